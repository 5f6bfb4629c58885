"""The way itself: certificates, and redirects that leave it."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading

import pytest

from tests.hub import publisher as publishers
from tests.hub.outcomes import CONTENT, SHA256, assert_fetched, kept
from videohub.errors import DownloadError
from videohub.hub import download, http_download

pytestmark = pytest.mark.usefixtures("impatient")


@pytest.fixture
def secured(tmp_path):
    """An https server with a certificate of its own authority; yields its URL and the certificate."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate,
                    "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
                   check=True, capture_output=True)  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with publishers._Server(("127.0.0.1", 0), publishers._Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.publisher = publishers.Publisher(server.server_port)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.publisher, certificate
        server.shutdown()
        thread.join()


def https(publisher, path):
    return publisher.url(path).replace("http:", "https:")


def test_a_bundle_of_authorities_is_honoured(secured, home, monkeypatch):
    publisher, certificate = secured
    publisher.publish("/MODEL.pkl", CONTENT)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    with pytest.raises(DownloadError, match="REQUESTS_CA_BUNDLE"):
        download.fetch(https(publisher, "/MODEL.pkl"), name="model")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    assert_fetched(home, https(publisher, "/MODEL.pkl"))


def test_a_way_that_leaves_https_needs_a_digest(secured, publisher, home, monkeypatch):
    safe, certificate = secured
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    safe.moved["/MODEL.pkl"] = publisher.publish("/plain.pkl", CONTENT)
    with pytest.raises(DownloadError, match="leads from https to http"):
        download.fetch(https(safe, "/MODEL.pkl"), name="model")
    assert publisher.requests == []  # nobody in between is as much as asked
    assert_fetched(home, https(safe, "/MODEL.pkl"), sha256=SHA256)


def test_a_size_from_beyond_https_is_believed_only_where_a_digest_is_known(secured, publisher, home, monkeypatch):
    safe, certificate = secured
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    safe.moved["/MODEL.pkl"] = publisher.publish("/plain.pkl", CONTENT)
    with pytest.raises(DownloadError, match="leads from https to http"):
        http_download.ask(https(safe, "/MODEL.pkl"), name="model")
    assert publisher.requests == []
    assert http_download.ask(https(safe, "/MODEL.pkl"), name="model", sha256=SHA256).size == len(CONTENT)


@pytest.mark.parametrize("begin", ["https", "http"])
def test_a_way_that_leaves_https_and_comes_back_needs_a_digest(secured, publisher, home, monkeypatch, begin):
    """Who sits at the hop in between may send on to any https address."""
    safe, certificate = secured
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    safe.moved["/a"], publisher.moved["/b"] = publisher.url("/b"), https(safe, "/c")
    publisher.moved["/start"] = https(safe, "/a")
    safe.publish("/c", CONTENT)
    url = https(safe, "/a") if begin == "https" else publisher.url("/start")
    with pytest.raises(DownloadError, match=f"leads from https to {publisher.url('/b')}"):
        download.fetch(url, name="model")
    assert "/b" not in publisher.requests
    assert kept(home) == []
    assert_fetched(home, url, sha256=SHA256)


@pytest.mark.parametrize("scheme", ["http:", "HTTP:", "hTTp:\t"])
def test_a_way_that_leaves_https_is_known_however_it_is_spelt(secured, publisher, home, monkeypatch, scheme):
    safe, certificate = secured
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    publisher.publish("/b", CONTENT)
    safe.moved["/a"] = publisher.url("/b").replace("http:", scheme)
    with pytest.raises(DownloadError):
        download.fetch(https(safe, "/a"), name="model")
    assert kept(home) == []


def test_a_way_that_comes_to_https_is_taken(secured, publisher, home, monkeypatch):
    safe, certificate = secured
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    publisher.moved["/start"], safe.moved["/a"] = https(safe, "/a"), "/c"
    safe.publish("/c", CONTENT)
    assert_fetched(home, publisher.url("/start"))

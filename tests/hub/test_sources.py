"""Mirrors come first, then the publisher, then the alternates; the same digest is demanded of all."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.hub.outcomes import CONTENT, SHA256, assert_fetched, kept
from tests.hub.publisher import refusing
from videohub.errors import ChecksumError, DownloadError, UsageError
from videohub.hub import download, pins, sources
from videohub.hub.sources import Source

pytestmark = pytest.mark.usefixtures("impatient")

URL = "https://publisher.invalid/zoo/a/MODEL.pkl"  # .invalid is never resolved


def mirrored(folder, content, url=URL):
    path = folder / url.partition("://")[2]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    folder = tmp_path / "mirror with a blank"
    folder.mkdir()
    monkeypatch.setenv("VIDEOHUB_MIRRORS", str(folder))
    return folder


def test_the_order_is_mirrors_publisher_alternates(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEOHUB_MIRRORS", f"{tmp_path}, https://mirror.invalid/zoo/ ,")
    result = list(sources.sources(URL, ["hf://org/repo/MODEL.pkl@v1", "https://other.invalid/M.pkl"]))
    assert result == [
        Source((tmp_path / "publisher.invalid/zoo/a/MODEL.pkl").as_uri(), "mirror"),
        Source("https://mirror.invalid/zoo/publisher.invalid/zoo/a/MODEL.pkl", "mirror"),
        Source(URL, "publisher"),
        Source("hf://org/repo/MODEL.pkl@v1", "alternate"),
        Source("https://other.invalid/M.pkl", "alternate"),
    ]


def test_a_mirror_keeps_files_of_hugging_face_as_its_hub_names_them(monkeypatch):
    monkeypatch.setenv("VIDEOHUB_MIRRORS", "https://mirror.invalid")
    first = next(iter(sources.sources("hf://org/repo/weights/MODEL.pkl@v1.0")))
    assert first.address == "https://mirror.invalid/huggingface.co/org/repo/resolve/v1.0/weights/MODEL.pkl"


def test_a_mirror_s_folder_spares_the_publisher(home, mirror):
    path = mirrored(mirror, CONTENT)
    assert_fetched(home, URL, sha256=SHA256)
    assert path.read_bytes() == CONTENT  # which stays


def test_a_mirror_s_url_spares_the_publisher(home, publisher, monkeypatch):
    monkeypatch.setenv("VIDEOHUB_MIRRORS", publisher.url("/mirror"))
    publisher.publish("/mirror/publisher.invalid/zoo/a/MODEL.pkl", CONTENT)
    assert_fetched(home, URL, sha256=SHA256)


def test_a_mirror_s_password_stands_in_no_message_log_or_pin(home, publisher, monkeypatch, caplog):
    plain = publisher.url("/mirror")
    monkeypatch.setenv("VIDEOHUB_MIRRORS", plain.replace("//", "//someone:s3cret@", 1))
    url = publisher.publish("/MODEL.pkl", CONTENT)
    in_mirror = f"/mirror/{sources.path_in_mirror(url)}"
    publisher.publish(in_mirror, b"something else")
    assert_fetched(home, url, sha256=SHA256)
    assert publisher.url(in_mirror) in caplog.text
    assert "s3cret" not in caplog.text
    with pytest.raises(DownloadError) as caught:
        download.fetch(URL, name="model")
    assert plain in str(caught.value)
    assert "s3cret" not in str(caught.value)
    publisher.publish("/mirror/publisher.invalid/zoo/a/MODEL.pkl", CONTENT)
    assert_fetched(home, URL)
    assert pins.pin_of(URL).source == publisher.url("/mirror/publisher.invalid/zoo/a/MODEL.pkl")


@pytest.mark.parametrize("port", [None, 99999])
def test_nor_does_it_where_a_mirror_refuses_or_is_no_address(home, publisher, monkeypatch, port):
    mirror = publisher.url("/mirror") if port is None else f"http://127.0.0.1:{port}/mirror"
    monkeypatch.setenv("VIDEOHUB_MIRRORS", mirror.replace("//", "//someone:s3cret@", 1))
    url = publisher.url("/gone.pkl")
    publisher.publish(f"/mirror/{sources.path_in_mirror(url)}", CONTENT, *[refusing(403)] * 9)
    for ask in (download.has, download.fetch):
        with pytest.raises(DownloadError) as refused:
            ask(url, name="model", purpose=sources.CHECKPOINT)
        assert mirror in str(refused.value)
        assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://host/a?id=1@2", "https://host/a?id=1@2"),
        ("https://user:pass@host/a", "https://host/a"),
        ("https://token@host", "https://host"),
        ("hf://org/name/file@main", "hf://org/name/file@main"),
        ("file:///folder/a@b", "file:///folder/a@b"),
    ],
)
def test_an_address_is_shown_without_user_and_password(address, shown):
    assert Source(address, "mirror").shown == shown


def test_what_came_from_a_mirror_is_pinned_with_its_origin(home, mirror):
    path = mirrored(mirror, CONTENT)
    assert_fetched(home, URL)
    pin = pins.pin_of(URL)
    assert (pin.sha256, pin.size, pin.source) == (SHA256, len(CONTENT), path.as_uri())


def test_a_mirror_without_the_file_is_passed_over(home, publisher, mirror):
    assert_fetched(home, publisher.publish("/MODEL.pkl", CONTENT), sha256=SHA256)


def test_a_mirror_with_another_file_is_passed_over_and_told(home, publisher, mirror, caplog):
    url = publisher.publish("/MODEL.pkl", CONTENT)
    mirrored(mirror, b"something else", url)
    assert_fetched(home, url, sha256=SHA256)
    assert len(caplog.records) == 1
    for text in (mirror.name.split()[0], SHA256, f"The right file came from {url}"):
        assert text in caplog.text


def test_the_first_pin_is_demanded_of_every_later_source(home, publisher, mirror):
    url = publisher.publish("/MODEL.pkl", CONTENT)
    assert_fetched(home, url)
    (home / "raw" / SHA256).unlink()
    mirrored(mirror, b"something else", url)
    assert_fetched(home, url)


def test_alternates_step_in_for_a_dead_link(home, publisher):
    other = publisher.publish("/other/MODEL.pkl", CONTENT)
    assert_fetched(home, publisher.url("/GONE.pkl"), sha256=SHA256, alternates=[publisher.url("/gone/too"), other])
    assert publisher.requests == ["/GONE.pkl", "/gone/too", "/other/MODEL.pkl"]


def test_where_all_sources_fail_each_is_told(home, publisher):
    wrong = publisher.publish("/wrong.pkl", b"another file")
    with pytest.raises(ChecksumError) as error:
        download.fetch(publisher.url("/GONE.pkl"), name="model", sha256=SHA256, alternates=[wrong])
    for text in ("none of 2 sources", "404", publisher.url("/GONE.pkl"), wrong, SHA256):
        assert text in str(error.value)
    assert kept(home) == []


@pytest.mark.parametrize("host", ["drive.google.com", "docs.google.com"])
def test_a_page_of_google_drive_is_refused_with_what_to_do_by_hand(home, host):
    with pytest.raises(DownloadError, match=r"(?s)Google Drive.*browser.*--checkpoint"):
        download.fetch(f"https://{host}/file/d/194gJinVejq6A1FmySNKQ8vAN5/view?usp=sharing", name="model")
    assert not home.exists()


def test_a_page_of_google_drive_may_have_an_alternate(home, publisher):
    page = "https://drive.google.com/file/d/194gJinVejq6A1FmySNKQ8vAN5/view?usp=sharing"
    assert_fetched(home, page, sha256=SHA256, alternates=[publisher.publish("/MODEL.pkl", CONTENT)])


def test_a_mirror_that_is_no_folder_is_misuse(monkeypatch, tmp_path):
    monkeypatch.setenv("VIDEOHUB_MIRRORS", str(tmp_path / "typo"))
    with pytest.raises(UsageError, match="typo is no folder"):
        download.fetch(URL, name="model")


@pytest.mark.parametrize("path", ["/../../etc/passwd", "/a/%2e%2e/%2E%2E/b"])
def test_no_url_leads_out_of_a_mirror(mirror, path):
    with pytest.raises(DownloadError, match="no place in a mirror"):
        download.fetch(f"https://publisher.invalid{path}", name="model")


def test_a_query_tells_files_of_a_mirror_apart(home, mirror):
    for query in ("?id=1", "?id=2"):
        mirrored(mirror, query.encode(), f"{URL}{query}")
    result = [download.fetch(f"{URL}?id={number}", name="model").path.read_bytes() for number in (1, 2)]
    assert result == [b"?id=1", b"?id=2"]


@pytest.mark.parametrize("content", [b"", CONTENT[:-1], b"<html>Sign in</html>"], ids=["empty", "short", "a page"])
def test_what_a_mirror_s_folder_has_instead_is_passed_over(home, publisher, mirror, content):
    url = publisher.publish("/MODEL.pkl", CONTENT)
    mirrored(mirror, content, url)
    assert_fetched(home, url, size=len(CONTENT))
    assert pins.pin_of(url).source == ""


def test_a_folder_in_a_file_s_place_does_not_keep_the_publisher_from_being_asked(home, publisher, mirror):
    url = publisher.publish("/MODEL.pkl", CONTENT)
    (mirror / url.partition("://")[2]).mkdir(parents=True)
    assert_fetched(home, url)


# --- Hugging Face ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["hf://org/repo/file", "hf://org/file@v1", "hf://org/repo/@v1", "hf://org/repo/f@"])
def test_an_address_of_hugging_face_names_repository_file_and_revision(address):
    with pytest.raises(DownloadError, match="expected hf://org/repo/file@revision"):
        sources.hf_parts(address)


HF = """
import json, sys
from videohub.hub import download
fetched = download.fetch(sys.argv[1], name="model", sha256=sys.argv[2])
print(json.dumps([str(fetched.path), fetched.sha256]))
"""


def from_hugging_face(publisher, tmp_path, **environment):
    """Fetch in a process of its own: huggingface_hub reads its environment when it is imported."""
    settings = {"HF_ENDPOINT": publisher.url(""), "HF_HOME": str(tmp_path / "hf"), **environment}
    command = [sys.executable, "-c", HF, "hf://org/repo/weights/MODEL.pkl@v1", SHA256]
    done = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_hugging_face_is_asked_at_its_endpoint_with_its_token(publisher, home, tmp_path):
    publisher.publish("/org/repo/resolve/v1/weights/MODEL.pkl", CONTENT)
    path, _ = from_hugging_face(publisher, tmp_path, HF_TOKEN="hf_secret")
    assert path == str(home / "raw" / SHA256)
    assert publisher.asked("authorization") == ["Bearer hf_secret"]
    assert kept(home) == [f"raw/{SHA256}"]


def test_a_netrc_does_not_replace_the_token(publisher, home, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    (tmp_path / "netrc").chmod(0o600)
    publisher.publish("/org/repo/resolve/v1/weights/MODEL.pkl", CONTENT)
    from_hugging_face(publisher, tmp_path, HF_TOKEN="hf_secret", NETRC=str(tmp_path / "netrc"))
    assert publisher.asked("authorization") == ["Bearer hf_secret"]


def test_a_token_does_not_follow_to_another_host(publisher, home, tmp_path):
    publisher.publish("/elsewhere/MODEL.pkl", CONTENT)
    publisher.moved["/org/repo/resolve/v1/weights/MODEL.pkl"] = publisher.url("/elsewhere/MODEL.pkl", host="localhost")
    from_hugging_face(publisher, tmp_path, HF_TOKEN="hf_secret", NO_PROXY="127.0.0.1,localhost")
    assert publisher.asked("authorization") == ["Bearer hf_secret", None]


def test_what_huggingface_hub_has_in_its_own_cache_is_not_fetched_again(publisher, home, tmp_path):
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "hf" / "hub" / "models--org--repo"
    file = repository / "snapshots" / commit / "weights" / "MODEL.pkl"
    file.parent.mkdir(parents=True)
    file.write_bytes(CONTENT)
    (repository / "refs").mkdir()
    (repository / "refs" / "v1").write_text(commit)
    from_hugging_face(publisher, tmp_path, HF_HUB_OFFLINE="1")
    assert publisher.requests == []


# --- what the environment says of the way ----------------------------------------------------------------------------


def test_no_proxy_is_honoured(home, publisher, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert_fetched(home, publisher.publish("/MODEL.pkl", CONTENT), sha256=SHA256)


def test_a_proxy_that_is_not_there_is_named_with_where_to_look(home, monkeypatch):
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with pytest.raises(DownloadError, match="HTTPS_PROXY"):
        download.fetch("http://publisher.invalid/MODEL.pkl", name="model")


# --- addresses that mislead ------------------------------------------------------------------------------------------

MISLEADING = [
    "hf://a/b/../../x@main", "hf://a/b/../x@main", "hf://a/b/./x@main", "hf://a/b//x@main", "hf://a/b//etc/passwd@main",
    "hf://../b/x@main", "hf://a/../x@main", "hf://./b/x@main", "hf:///b/x@main", "hf://a/b/x/@main",
    "hf://a/b/c\\x@main", "hf://a/b/..\\..\\x@main", "hf://a/b/%2e%2e/x@main", "hf://a/b/%2E%2E%2Fx@main",
    "hf://a/b/c%5Cx@main", "hf://a/b/x@..", "hf://a/b/x@../../main", "hf://a/b/x@refs//1", "hf://a/b/x@%2e%2e",
    "hf://a/b/x@ma\\in", "hf://a/b/x@/main",
]  # fmt: skip


@pytest.mark.parametrize("address", MISLEADING)
def test_an_address_of_hugging_face_whose_parts_lead_elsewhere_is_refused(home, address):
    with pytest.raises(DownloadError, match="expected hf://org/repo/file@revision"):
        sources.hf_parts(address)
    with pytest.raises(DownloadError, match=r"(?s)model.*expected hf://org/repo/file@revision|expected hf://org"):
        download.fetch(address, name="model")


@pytest.mark.parametrize(
    "address", ["hf://org/repo/weights/MODEL v1.0.pkl@refs/pr/1", "hf://org/repo/100% sure.pkl@main",
                "hf://o.r-g/re_po/..a/b../.c@v1.0", "hf://org/repo/a@b.pkl@1" + "0" * 39],
)  # fmt: skip
def test_an_address_of_hugging_face_may_have_dots_blanks_and_branches(address):
    repository, file, revision = sources.hf_parts(address)
    assert f"hf://{repository}/{file}@{revision}" == address


@pytest.mark.parametrize("character", ["\0", "\n", "\t", "\x1b", "\x7f", "\x85", "\u202e", "\ud800"], ids=ascii)
@pytest.mark.parametrize("url", ["https://publisher.invalid/a{}b", "https://publi{}sher.invalid/a", "hf://a/b/x{}@main",
                                 "hf://a/b/x@ma{}in", "file:///tmp/a{}b", "htt{}ps://publisher.invalid/a"])  # fmt: skip
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_url_with_what_cannot_be_seen_is_refused(home, tmp_path, monkeypatch, url, character, mirrored):
    if mirrored:
        monkeypatch.setenv("VIDEOHUB_MIRRORS", str(tmp_path))
    with pytest.raises(DownloadError, match="cannot be seen") as refusal:
        download.fetch(url.format(character), name="model")
    assert str(refusal.value).isprintable() or str(refusal.value).replace("\n", "").isprintable()


@pytest.mark.parametrize("url", ["file:///tmp/a%00b", "https://[::1/MODEL.pkl", "https://[nonsense]/MODEL.pkl"])
def test_a_url_that_makes_no_sense_is_refused(home, url):
    with pytest.raises(DownloadError):
        download.fetch(url, name="model")


@pytest.mark.parametrize(
    "url", ["https://../secret", "https://./secret", "https://user@../secret", "https://..%2f/secret/%2e%2e/x",
            "https://host/a/./b", "https://host/a%5c..%5cb", "https://host/a\\..\\b", "https://host/a%00b",
            "https://host/..;/../x", "https://host/%2e", "https:///x", "hf://a/b/../../../x@main", "hf://../b/x@m"],
)  # fmt: skip
@pytest.mark.parametrize("where", ["folder", "url"])
def test_no_part_of_a_url_leads_out_of_a_mirror(home, tmp_path, monkeypatch, url, where):
    folder = tmp_path / "mirror"
    for place in (folder, tmp_path):
        (place / "x").parent.mkdir(exist_ok=True)
        (place / "secret").write_bytes(CONTENT)
    monkeypatch.setenv("VIDEOHUB_MIRRORS", str(folder) if where == "folder" else "https://mirror.invalid/base")
    with pytest.raises(DownloadError, match="no place in a mirror"):
        next(sources.sources(url))


def test_a_query_stays_inside_a_mirror(home, tmp_path, monkeypatch):
    """It names a file there, and slashes in it make no folders of it."""
    folder = tmp_path / "mirror"
    (folder / "host" / "f?").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(CONTENT)
    monkeypatch.setenv("VIDEOHUB_MIRRORS", str(folder))
    first = next(sources.sources("https://host/f?/../../../secret"))
    assert first.path.parent == folder / "host"
    assert not first.path.exists()


# --- offline or not --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["ture", "2", "y", "none", "offline", "-1", "1 0", "01"])
def test_what_says_neither_yes_nor_no_is_misuse(home, publisher, monkeypatch, value):
    """Somebody who means to forbid connections must not get one for a slip of the finger."""
    monkeypatch.setenv("VIDEOHUB_OFFLINE", value)
    with pytest.raises(UsageError, match=f"VIDEOHUB_OFFLINE: found '{value}', expected 1, on, yes or true"):
        download.fetch(publisher.publish("/MODEL.pkl", CONTENT), name="model")
    assert publisher.log == []


@pytest.mark.parametrize(
    "value", ["1", "on", "ON", "Yes", "TRUE", "true", "0", "off", "No", "FALSE", "", "2", "y", " 1"]
)
@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_hugging_face_s_own_variables_are_read_as_it_reads_them(monkeypatch, variable, value):
    from huggingface_hub import constants

    monkeypatch.setenv(variable, value)
    assert sources.offline() == (variable if constants._is_true(value) else None)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert sources.offline() is None
    monkeypatch.setenv("VIDEOHUB_OFFLINE", "yes")
    assert sources.offline() == "VIDEOHUB_OFFLINE"

"""A URL becomes a file whose digest is known and right, or an error that says what to do and leaves nothing."""

from __future__ import annotations

import hashlib
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec
import pytest

from videohub import registry, weights
from videohub.errors import ChecksumError, DownloadError, FormatError, UsageError
from videohub.hub import download, pins

pytestmark = pytest.mark.usefixtures("impatient")

CONTENT = bytes(range(256)) * 10_000  # 2,560,000 bytes: more than one block
OTHER = b"another checkpoint"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def kept(home: Path) -> list[str]:
    """Every file in the cache, by its path below it."""
    return sorted(path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file())


def raw(home: Path) -> list[str]:
    return [name for name in kept(home) if not name.startswith("pins/")]


@pytest.mark.parametrize(
    ("body", "error"),
    [(b"<!DOCTYPE html><html><body>Please log in</body></html>", DownloadError), (b"Bandwidth exceeded", FormatError)],
    ids=["a web page", "another text"],
)
def test_what_is_no_checkpoint_does_not_bind_the_next_download(publisher, home, body, error):
    """A log-in page answers 200 for any URL; when the network is back, the true file must be taken."""
    ours = registry.record("slowfast_motions")
    true = Path(unquote(urlsplit(ours.checkpoint.url).path)).read_bytes()
    url = publisher.publish("/MODEL.pkl", body)
    unknown = msgspec.structs.replace(ours.checkpoint, url=url, sha256=None, size=None)
    record = msgspec.structs.replace(ours, checkpoint=unknown)
    with pytest.raises(error):
        weights.fetch(record)
    assert kept(home) == []
    publisher.publish("/MODEL.pkl", true)
    assert weights.fetch(record).is_file()
    assert pins.pin_of(url).sha256 == sha256(true) == ours.checkpoint.sha256


# --- what comes back -------------------------------------------------------------------------------------------------


def test_the_bytes_are_the_publishers_and_lie_under_their_digest(publisher, home):
    url = publisher.publish("/MODEL.pkl", CONTENT)
    fetched = download.fetch(url, name="model", sha256=sha256(CONTENT), size=len(CONTENT))
    assert fetched.sha256 == sha256(CONTENT)
    assert fetched.path == home / "raw" / sha256(CONTENT)
    assert fetched.path.read_bytes() == CONTENT
    assert kept(home) == [f"raw/{sha256(CONTENT)}"]


@pytest.mark.parametrize("stated", [True, False], ids=["with a digest", "without a digest"])
def test_a_second_fetch_asks_for_nothing(publisher, stated):
    url = publisher.publish("/MODEL.pkl", CONTENT)
    digest = sha256(CONTENT) if stated else None
    first = download.fetch(url, name="model", sha256=digest)
    assert download.fetch(url, name="model", sha256=digest) == first
    assert publisher.requests == ["/MODEL.pkl"]


def test_a_file_known_by_its_digest_needs_no_publisher(publisher, home):
    url = publisher.publish("/MODEL.pkl", CONTENT)
    download.fetch(url, name="model")
    mirrored = download.fetch(publisher.url("/mirror/MODEL.pkl"), name="model", sha256=sha256(CONTENT))
    assert mirrored.path.read_bytes() == CONTENT
    assert publisher.requests == ["/MODEL.pkl"]


def test_a_moved_file_is_followed(publisher):
    publisher.moved["/old.pkl"] = publisher.publish("/new.pkl", CONTENT)
    assert download.fetch(publisher.url("/old.pkl"), name="model").path.read_bytes() == CONTENT


def test_a_file_without_an_announced_length_is_taken_whole(publisher):
    url = publisher.publish("/MODEL.pkl", CONTENT)
    publisher.announced["/MODEL.pkl"] = None
    assert download.fetch(url, name="model").path.read_bytes() == CONTENT


def test_one_base_name_at_two_urls_is_two_files(publisher, home):
    charades = publisher.publish("/charades/SLOWFAST_16x8_R50.pkl", CONTENT)
    ssv2 = publisher.publish("/ssv2/SLOWFAST_16x8_R50.pkl", OTHER)
    assert download.fetch(charades, name="charades").path.read_bytes() == CONTENT
    assert download.fetch(ssv2, name="ssv2").path.read_bytes() == OTHER
    assert download.fetch(charades, name="charades").path.read_bytes() == CONTENT
    assert raw(home) == sorted(f"raw/{sha256(content)}" for content in (CONTENT, OTHER))


def test_several_at_once_agree_and_leave_one_file(publisher, home):
    url = publisher.publish("/MODEL.pkl", CONTENT)
    with ThreadPoolExecutor(4) as pool:
        paths = {fetched.path for fetched in pool.map(lambda _: download.fetch(url, name="model"), range(4))}
    assert [path.read_bytes() for path in paths] == [CONTENT]
    assert raw(home) == [f"raw/{sha256(CONTENT)}"]


# --- trust on first use ----------------------------------------------------------------------------------------------


def test_the_first_digest_of_a_url_without_one_is_remembered(publisher):
    url = publisher.publish("/MODEL.pkl", CONTENT)
    assert pins.pin_of(url) is None
    download.fetch(url, name="model")
    pin = pins.pin_of(url)
    assert (pin.url, pin.sha256, pin.size) == (url, sha256(CONTENT), len(CONTENT))


def test_a_url_with_a_digest_in_the_registry_is_not_pinned(publisher):
    url = publisher.publish("/MODEL.pkl", CONTENT)
    download.fetch(url, name="model", sha256=sha256(CONTENT))
    assert pins.pin_of(url) is None


def test_a_later_change_of_a_url_is_refused_with_both_digests(publisher, home):
    url = publisher.publish("/MODEL.pkl", CONTENT)
    download.fetch(url, name="model").path.unlink()
    publisher.publish("/MODEL.pkl", OTHER)
    with pytest.raises(ChecksumError) as error:
        download.fetch(url, name="model")
    for text in ("model", "MODEL.pkl", sha256(CONTENT), sha256(OTHER), "first seen here", "videohub fetch model"):
        assert text in str(error.value)
    assert raw(home) == []
    assert pins.pin_of(url).sha256 == sha256(CONTENT)


def test_the_same_file_is_taken_again_after_it_was_removed(publisher):
    url = publisher.publish("/MODEL.pkl", CONTENT)
    download.fetch(url, name="model").path.unlink()
    assert download.fetch(url, name="model").path.read_bytes() == CONTENT
    assert len(publisher.requests) == 2


# --- what is refused, and leaves nothing -----------------------------------------------------------------------------


def test_a_wrong_digest_is_refused_and_nothing_kept(publisher, home):
    url = publisher.publish("/MODEL.pkl", OTHER)
    with pytest.raises(ChecksumError) as error:
        download.fetch(url, name="model", sha256=sha256(CONTENT))
    for text in ("model", "MODEL.pkl", f"the registry says {sha256(CONTENT)}", sha256(OTHER)):
        assert text in str(error.value)
    assert kept(home) == []


def test_a_wrong_size_is_refused_and_nothing_kept(publisher, home):
    url = publisher.publish("/MODEL.pkl", CONTENT)
    with pytest.raises(DownloadError, match="2560000 bytes, expected 2560001"):
        download.fetch(url, name="model", size=2_560_001)
    assert kept(home) == []


@pytest.mark.parametrize("stated", [True, False], ids=["with a digest", "without a digest"])
def test_a_body_cut_short_is_refused_and_only_its_beginning_kept(publisher, home, stated):
    url = publisher.publish("/MODEL.pkl", CONTENT)
    publisher.announced["/MODEL.pkl"] = len(CONTENT) + 1
    with pytest.raises(DownloadError) as error:
        download.fetch(url, name="model", sha256=sha256(CONTENT) if stated else None)
    assert url in str(error.value)
    assert {name.partition("/")[0] for name in kept(home)} == {"partial"}


def test_an_empty_body_is_refused_and_not_remembered(publisher, home):
    url = publisher.publish("/MODEL.pkl", b"")
    with pytest.raises(DownloadError, match="gave 0 bytes"):
        download.fetch(url, name="model")
    assert kept(home) == []


def test_a_missing_page_names_the_url_and_what_to_do(publisher, home):
    url = publisher.url("/GONE.pkl")
    with pytest.raises(DownloadError) as error:
        download.fetch(url, name="model")
    for text in ("model", url, "404", "pass it with `--checkpoint FILE` (in Python `checkpoint=`)"):
        assert text in str(error.value)
    assert kept(home) == []


def test_a_publisher_that_does_not_answer_is_named_with_what_to_do(home):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: a connection is refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/MODEL.pkl"
        with pytest.raises(DownloadError) as error:
            download.fetch(url, name="model")
    for text in ("model", url, "Check the connection", "--checkpoint"):
        assert text in str(error.value)
    assert kept(home) == []


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/MODEL.pkl", "s3://bucket/MODEL.pkl", "MODEL.pkl"])
def test_an_unknown_scheme_is_refused_by_name(home, url):
    with pytest.raises(DownloadError, match="expected http, https or file") as error:
        download.fetch(url, name="model")
    assert url in str(error.value)
    assert not home.exists()


def test_a_url_without_a_host_is_a_download_error():
    with pytest.raises(DownloadError):
        download.fetch("http:///MODEL.pkl", name="model")


# --- files that are here already -------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", ["MODEL.pkl", "a model.pkl", "100%25.pkl", "ümlaut #1?.pkl"])
def test_a_file_url_is_read_where_it_lies(tmp_path, home, base):
    path = tmp_path / base
    path.write_bytes(CONTENT)
    fetched = download.fetch(path.as_uri(), name="model", sha256=sha256(CONTENT), size=len(CONTENT))
    assert fetched == download.Fetched(path, sha256(CONTENT))
    assert not home.exists()


def test_a_file_url_without_a_file_names_the_path(tmp_path):
    with pytest.raises(DownloadError) as error:
        download.fetch((tmp_path / "GONE.pkl").as_uri(), name="model")
    assert str(tmp_path / "GONE.pkl") in str(error.value)


@pytest.mark.parametrize("stated", [{"sha256": sha256(OTHER)}, {"size": 1}], ids=["digest", "size"])
def test_a_file_url_with_another_content_is_refused_and_left_alone(tmp_path, stated):
    path = tmp_path / "MODEL.pkl"
    path.write_bytes(CONTENT)
    with pytest.raises(ChecksumError, match="the registry says"):
        download.fetch(path.as_uri(), name="model", **stated)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("place", ["parts", "beside"])
def test_each_file_of_a_network_is_looked_at_again(tmp_path, place):
    first, other = tmp_path / "index.json", tmp_path / "shard.safetensors"
    for path in (first, other):
        path.write_bytes(CONTENT)
    fetched = replace(download.local(first, name="model"), **{place: (download.local(other, name="model"),)})
    fetched.check_unchanged(name="model")
    other.write_bytes(CONTENT[:-1] + b"?")
    with pytest.raises(ChecksumError, match=r"shard\.safetensors was written to while it was read"):
        fetched.check_unchanged(name="model")
    other.unlink()
    with pytest.raises(ChecksumError, match=r"shard\.safetensors was written to"):
        fetched.check_unchanged(name="model")


def test_a_local_path_that_is_no_file_is_misuse(tmp_path):
    with pytest.raises(UsageError, match="this is a folder, expected one checkpoint file"):
        download.local(tmp_path, name="model")

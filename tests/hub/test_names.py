"""Names that come out of files lead nowhere but to entries of the cache, and what lies elsewhere is never touched."""

from __future__ import annotations

import json
import os
import threading

import msgspec
import pytest

from tests.hub.outcomes import CONTENT, SHA256
from tests.hub.publisher import validators
from videohub.cache_admin import cache_scan
from videohub.errors import CacheError, VideohubError
from videohub.hub import cache, download, partial_download, pins
from videohub.hub.partial_download import boot
from videohub.value_types import Sha256

URL = "https://publisher.invalid/zoo/MODEL.pkl"
THESIS = b"three years of work"
ELSEWHERE = ["{thesis}", "../../thesis.txt", "../raw/{thesis}", "..", "", ".", f"{SHA256}\n", SHA256.upper(),
             f"{SHA256}/../../../thesis.txt", f"{SHA256}\0", SHA256[:-1], f" {SHA256}", "٠" * 64]  # fmt: skip


@pytest.fixture
def thesis(tmp_path):
    """A file of the user, outside of every cache."""
    path = tmp_path / "thesis.txt"
    path.write_bytes(THESIS)
    return path


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """Somebody's cache, in front of our own."""
    monkeypatch.setenv("VIDEOHUB_CACHE_RO", str(tmp_path / "shared"))
    return tmp_path / "shared"


def put_pin(cache_dir, sha256, **fields):
    """Write a pin as an attacker would."""
    path = cache_dir / "pins" / f"{cache.key_of(URL)}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    pin = {"url": URL, "sha256": sha256, "size": 7, "first_seen": "2025-01-02T03:04:05Z", **fields}
    path.write_text(json.dumps(pin))
    return path


def everything(*folders):
    """Every file, its content and its date."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.mark.parametrize("digest", ELSEWHERE)
@pytest.mark.parametrize("where", ["shared", "own"])
def test_a_pin_whose_digest_is_none_is_named_and_leads_to_no_file(home, shared, thesis, digest, where):
    """A digest names the file that is read, compared and, if it differs, removed."""
    path = put_pin(shared if where == "shared" else home, digest.format(thesis=thesis))
    before = everything(thesis.parent)
    for use in (download.fetch, lambda url, name: pins.forget(url), lambda url, name: pins.pin(url, SHA256, 7)):
        with pytest.raises(CacheError, match=r"(?s)damaged.*expected the digest of https://publisher"):
            use(URL, name="model")
    (entry,) = cache_scan.entries()
    assert entry.path == path
    assert (entry.pin, entry.sha256) == (None, None)
    assert entry.problem
    assert {path: seen for path, seen in everything(thesis.parent).items() if path.suffix != ".lock"} == before


@pytest.mark.parametrize(
    "fields", [{"size": -1}, {"url": "https://other.invalid/"}, {"first_seen": "x" * (1 << 17)}],
    ids=["a size below 0", "another URL", "long"],
)  # fmt: skip
def test_a_pin_that_makes_no_sense_is_damaged(home, fields):
    put_pin(home, SHA256, **fields)
    with pytest.raises(CacheError, match="damaged"):
        pins.pin_of(URL)
    assert cache_scan.entries()[0].problem


def test_a_pin_that_is_nested_deeply_is_damaged(home):
    path = put_pin(home, SHA256)
    path.write_text(path.read_text()[:-1] + ', "x": ' + "[" * 20_000 + "]" * 20_000 + "}")
    with pytest.raises(CacheError, match="damaged"):
        pins.pin_of(URL)
    assert cache_scan.entries()[0].problem


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_in_the_place_of_a_note_keeps_nobody_waiting(home):
    part = home / "partial" / f"{cache.key_of(URL)[:32]}-{'0' * 16}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"half")
    os.mkfifo(part.with_suffix(".json"))
    seen = []

    def look():
        seen.extend(entry.url for entry in cache_scan.entries() if entry.kind == "partial")
        seen.append(partial_download.adopt(URL, URL, exclusive=True))

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    looking.join(30)
    assert seen == [None, None]


@pytest.mark.parametrize("digest", ELSEWHERE[1:])
def test_a_digest_holds_nothing_but_64_hexadecimal_digits(digest):
    assert msgspec.convert(SHA256, Sha256) == SHA256
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(digest, Sha256)


@pytest.mark.parametrize("kind", ["raw", "converted", "pins", "partial", "registries", "locks"])
@pytest.mark.parametrize("name", [*ELSEWHERE[1:7], "/etc/passwd", f"{SHA256}-{'0' * 16}.safetensors/..", "..\\x"])
def test_no_path_is_made_of_a_name_that_no_entry_has(kind, name):
    for make in (cache.place, cache.find):
        with pytest.raises(CacheError, match="expected a name"):
            make(kind, name)
    with pytest.raises(CacheError, match="expected a name"):
        cache.place(f"../{kind}", SHA256)


def test_a_digest_that_a_caller_gives_leads_to_no_file(home, thesis):
    with pytest.raises(VideohubError, match="expected a name"):
        download.fetch(URL, name="model", sha256=str(thesis))
    assert thesis.read_bytes() == THESIS


# --- links -----------------------------------------------------------------------------------------------------------


def test_of_a_damaged_entry_that_is_a_link_only_the_link_goes(publisher, home, thesis):
    before = everything(thesis.parent)
    (home / "raw").mkdir(parents=True)
    (home / "raw" / SHA256).symlink_to(thesis)
    url = publisher.publish("/MODEL.pkl", CONTENT)
    assert download.fetch(url, name="model", sha256=SHA256).path.read_bytes() == CONTENT
    assert not (home / "raw" / SHA256).is_symlink()
    assert everything(thesis.parent).items() >= before.items()


def test_what_lies_behind_a_folder_that_is_a_link_is_never_removed(publisher, home, tmp_path):
    """Such as a store of another program, whose files are called by their digests, too."""
    store = tmp_path / "store"
    store.mkdir()
    (store / SHA256).write_bytes(THESIS)
    home.mkdir()
    (home / "raw").symlink_to(store)
    with pytest.raises(CacheError, match=rf"(?s)damaged.*leads out of the cache, to {store}"):
        download.fetch(publisher.publish("/MODEL.pkl", CONTENT), name="model", sha256=SHA256)
    (entry,) = [entry for entry in cache_scan.entries() if entry.kind == "raw"]
    assert entry.shared
    with pytest.raises(CacheError, match="not ours"):
        cache_scan.remove(entry)
    with pytest.raises(CacheError, match="not ours"):
        cache.remove(entry.path)
    assert (store / SHA256).read_bytes() == THESIS


@pytest.mark.parametrize("named", ["as it is", "through a link"])
def test_our_own_folder_named_as_read_only_is_read_only(publisher, home, tmp_path, monkeypatch, named):
    url = publisher.publish("/MODEL.pkl", CONTENT)
    path = download.fetch(url, name="model").path
    path.write_bytes(THESIS)
    if named == "through a link":
        (tmp_path / "link").symlink_to(home)
    monkeypatch.setenv("VIDEOHUB_CACHE_RO", str(home if named == "as it is" else tmp_path / "link"))
    with pytest.raises(CacheError, match=r"(?s)damaged.*VIDEOHUB_CACHE_RO"):
        download.fetch(url, name="model")
    assert path.read_bytes() == THESIS


def test_a_lock_that_is_a_link_reaches_no_file(publisher, home, thesis):
    url = publisher.publish("/MODEL.pkl", CONTENT)
    then = thesis.stat().st_mtime_ns - 10**12
    os.utime(thesis, ns=(then, then))
    (home / "locks").mkdir(parents=True)
    (home / "locks" / f"{cache.key_of(url)[:32]}.lock").symlink_to(thesis)
    assert download.fetch(url, name="model").path.read_bytes() == CONTENT
    assert thesis.stat().st_mtime_ns == then


@pytest.mark.parametrize("how", ["a link", "another name", "a pipe"])
def test_a_beginning_that_is_another_file_is_not_written_to(publisher, home, thesis, how):
    """In a folder that a group writes to, somebody may put anything in a part's place."""
    url = publisher.publish("/MODEL.pkl", CONTENT)
    part = partial_download.Part(
        partial_download.Note(url, url, validators(CONTENT)["ETag"], len(CONTENT), boot=boot())
    )
    part.write(CONTENT[:7])
    part.close()
    part.path.unlink()
    if how == "a link":
        part.path.symlink_to(thesis)
    elif how == "another name":
        part.path.hardlink_to(thesis)
    else:
        os.mkfifo(part.path)
    assert download.fetch(url, name="model", sha256=SHA256).path.read_bytes() == CONTENT
    assert thesis.read_bytes() == THESIS


def test_a_beginning_that_is_published_in_this_moment_is_not_written_to(publisher, home, monkeypatch):
    """Its writer gives it its name and lets go between our look at it and our lock."""
    url = publisher.publish("/MODEL.pkl", CONTENT + b"more")
    part = partial_download.Part(
        partial_download.Note(url, url, validators(CONTENT + b"more")["ETag"], None, boot=boot())
    )
    part.write(CONTENT)

    def late(handle):
        if part.path.exists():
            part.path.rename(home / "published")
            part.close()
        return hold(handle)

    hold = partial_download.try_flock
    monkeypatch.setattr(partial_download, "try_flock", late)
    assert download.fetch(url, name="model").path.read_bytes() == CONTENT + b"more"
    assert (home / "published").read_bytes() == CONTENT


def test_looking_at_a_link_leaves_the_times_of_what_it_leads_to(home, thesis):
    os.utime(thesis, (1, 2))
    (home / "pins").mkdir(parents=True)
    (home / "pins" / f"{SHA256}.json").symlink_to(thesis)
    changed = thesis.stat().st_ctime_ns
    cache_scan.entries()
    assert thesis.stat().st_ctime_ns == changed

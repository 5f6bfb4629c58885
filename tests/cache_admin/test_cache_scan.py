"""What lies in the cache is told by names and places; what is not ours is named, and nothing is ever in the way."""

from __future__ import annotations

import fcntl
import os
import time

import pytest

from videohub.cache_admin import cache_scan
from videohub.errors import CacheError
from videohub.hub import cache, partial_download, pins

SHA256 = "ab" * 32
URL = "https://publisher.example/zoo/MODEL.pkl"
LONG_AGO = time.time() - 10 * 86400


@pytest.fixture
def put(home):
    """Write a file below the cache folder, last used ten days ago."""

    def put(name, content=b"content", *, cache_dir=home, used=LONG_AGO):
        path = cache_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (used, used))
        return path

    return put


def kinds():
    return {entry.path.name: entry.kind for entry in cache_scan.entries()}


def test_a_cache_that_nobody_made_yet_is_empty(home):
    assert cache_scan.entries() == []
    assert not home.exists()


def test_every_kind_is_told_by_its_place_and_its_name(put):
    pins.pin(URL, SHA256, 7)
    put(f"raw/{SHA256}")
    put(f"converted/{SHA256}-0123456789abcdef.safetensors")
    put(f"partial/{'0' * 32}-{'1' * 16}.part")
    put(f"locks/{'0' * 32}.lock")
    put("registries/0123456789abcdef.yaml")
    result = {entry.kind: entry for entry in cache_scan.entries()}
    assert sorted(result) == ["converted", "lock", "partial", "pin", "raw", "registry"]
    assert result["raw"].sha256 == result["converted"].sha256 == result["pin"].sha256 == SHA256
    assert result["pin"].url == URL
    assert result["raw"].size == len(b"content")


@pytest.mark.parametrize(
    "name",
    ["notes.txt", "raw/MODEL.pkl", f"raw/{SHA256.upper()}", f"raw/deep/{SHA256}", "converted/x.safetensors",
     "huggingface/hub/model", f"pins/{SHA256}.json.bak", "locks/.x.part", ".DS_Store"],
)  # fmt: skip
def test_what_we_never_name_so_is_not_ours(put, name):
    path = put(name)
    (entry,) = cache_scan.entries()
    assert entry.kind == "other"
    with pytest.raises(CacheError, match="not ours"):
        cache_scan.remove(entry)
    assert path.is_file()


def test_a_link_that_leads_nowhere_is_not_ours(home):
    (home / "raw").mkdir(parents=True)
    (home / "raw" / SHA256).symlink_to("gone")
    assert kinds() == {SHA256: "other"}


@pytest.mark.parametrize("name", ["raw/.tmp1234.part", f"converted/.{SHA256}-0123456789abcdef.safetensors-x.part"])
def test_what_a_killed_writer_left_beside_its_target_is_unfinished(put, name):
    put(name)
    (entry,) = cache_scan.entries()
    assert (entry.kind, entry.at_work) == ("partial", False)
    assert cache_scan.remove(entry)
    assert cache_scan.entries() == []


def test_a_download_and_its_note_are_one_entry(home):
    part = partial_download.Part(partial_download.Note(URL, "https://mirror.example/MODEL.pkl", '"etag"', 100))
    part.write(b"beginning")
    part.close()
    (entry,) = cache_scan.entries()
    assert (entry.path, entry.url) == (part.path, URL)
    assert entry.size == sum(path.stat().st_size for path in (home / "partial").iterdir()) > len(b"beginning")


@pytest.mark.parametrize("ending", ["part", "json"])
def test_either_of_the_two_alone_is_one_entry_too(put, home, ending):
    put(f"partial/{'0' * 32}-{'1' * 16}.{ending}", b"not even JSON \xff")
    (entry,) = cache_scan.entries()
    assert entry.url is None
    assert cache_scan.remove(entry)
    assert list((home / "partial").iterdir()) == []


# --- who is at work --------------------------------------------------------------------------------------------------


def test_what_is_locked_or_was_written_just_now_has_a_writer(put, home):
    name = f"partial/{cache.key_of(URL)[:32]}-{'1' * 16}.part"
    path = put(name)
    lock = put(f"locks/{cache.key_of(URL)[:32]}.lock", b"")
    assert [entry.at_work for entry in cache_scan.entries()] == [False, False]
    with lock.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        entries = cache_scan.entries()
        assert [entry.at_work for entry in entries] == [True, True]
        assert not any(cache_scan.remove(entry) for entry in entries)
    assert [entry.at_work for entry in cache_scan.entries()] == [False, False]
    os.utime(path)
    assert {entry.kind: entry.at_work for entry in cache_scan.entries()} == {"lock": False, "partial": True}


def test_a_date_far_in_the_future_is_no_sign_of_work(put):
    put("raw/.tmp1234.part", used=time.time() + 86400)
    assert [entry.at_work for entry in cache_scan.entries()] == [False]


def test_a_writer_that_came_after_the_look_is_left_alone(put):
    path = put("raw/.tmp1234.part")
    (entry,) = cache_scan.entries()
    os.utime(path)
    assert cache_scan.remove(entry) is False
    assert path.is_file()


# --- cache dirs ------------------------------------------------------------------------------------------------------


def test_a_read_only_cache_dir_is_marked_and_nothing_of_it_is_removed(put, tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEOHUB_CACHE_RO", str(tmp_path / "shared"))
    put(f"raw/{SHA256}", cache_dir=tmp_path / "shared")
    put(f"raw/{SHA256}")
    shared, ours = cache_scan.entries()
    assert (shared.shared, ours.shared) == (True, False)
    with pytest.raises(CacheError, match="not ours"):
        cache_scan.remove(shared)
    assert cache_scan.remove(ours)
    assert [entry.cache_dir for entry in cache_scan.entries()] == [tmp_path / "shared"]


def test_a_folder_that_is_both_shared_and_our_own_counts_once_and_as_read_only(put, home, monkeypatch):
    monkeypatch.setenv("VIDEOHUB_CACHE_RO", f"{home}{os.pathsep}{home}/")
    put(f"raw/{SHA256}")
    assert [entry.shared for entry in cache_scan.entries()] == [True]


# --- notes that say nothing, and looks that are no use ---------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"\xff\xfe", b"{}", b'{"url": "\xff"}', b'{"url": "x", "sha256": "y", "size": 1, "first_seen": ""}'],
)  # fmt: skip
def test_a_damaged_pin_is_listed_with_what_is_wrong(put, text):
    put(f"pins/{cache.key_of('x')}.json", text)
    (entry,) = cache_scan.entries()
    assert (entry.kind, entry.pin, entry.url) == ("pin", None, None)
    assert entry.problem


def test_a_pin_under_another_url_s_name_is_damaged(put, home):
    pins.pin(URL, SHA256, 7)
    (file,) = (home / "pins").iterdir()
    file.rename(home / "pins" / f"{cache.key_of('https://other.example')}.json")
    assert [entry.problem for entry in cache_scan.entries()] == ["is under another URL's name"]


def test_a_pin_of_an_older_version_has_no_source_and_is_read(put):
    text = f'{{"url": "{URL}", "sha256": "{SHA256}", "size": 7, "first_seen": "2020-06-09T00:00:00Z"}}'
    put(f"pins/{cache.key_of(URL)}.json", text.encode())
    (entry,) = cache_scan.entries()
    assert entry.pin == pins.Pin(URL, SHA256, 7, "2020-06-09T00:00:00Z")


def test_a_look_does_not_count_as_a_use(put):
    path = put(f"raw/{SHA256}")
    with cache_scan.unnoticed(path):
        path.read_bytes()
    assert path.stat().st_atime == pytest.approx(LONG_AGO)
    path.read_bytes()
    (entry,) = cache_scan.entries()
    assert entry.used >= LONG_AGO  # on disks that note reading; on others it is the day of writing


def test_a_file_that_goes_while_it_is_looked_at_is_no_trouble(put):
    path = put(f"raw/{SHA256}")
    with cache_scan.unnoticed(path):
        path.unlink()

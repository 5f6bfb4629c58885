"""A disk that is full, or nearly: what is needed and what is free is told, nothing useless is left, and prune works.

Each test runs twice: on a small disk of its own, where this user may mount one, and on one that only says it is small.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cache_admin.cache_files import NAME
from tests.hub.publisher import cut, gzipped, headed, sent
from videohub import weights
from videohub.cache_admin import bundle_install, bundle_pack, listing
from videohub.errors import CacheError, DownloadError
from videohub.hub import cache, download, http_request, partial_download

SIZE = 1 << 20  # of the small disk
CONTENT = os.urandom(700_000)
FIGURES = r"\d+ bytes are free, (\d+|more) (bytes )?are needed"


class Disk:
    """A small disk that the cache is on."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def free(self) -> int:
        return shutil.disk_usage(self.home).free

    def fill(self, leave: int) -> None:
        """Let others write to it, until so many bytes are free."""
        with (self.home / "others").open("ab") as file:
            file.write(bytes(max(0, self.free() - leave)))


@pytest.fixture(params=["told", "mounted"])
def disk(request, home, monkeypatch):
    home.mkdir()
    monkeypatch.setattr(http_request, "PAUSE_S", 0)
    monkeypatch.setattr(http_request, "ATTEMPTS", 1)
    if request.param == "told":
        monkeypatch.setattr(shutil, "disk_usage", lambda path: _usage(home))
        write = partial_download.Part.write

        def limited(part, block):
            room = _usage(home).free
            write(part, block[:room])
            if room < len(block):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(partial_download.Part, "write", limited)
        yield Disk(home)
        return
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", str(home)], capture_output=True)
    if mounted.returncode:
        pytest.skip("this user may not mount a disk; the other half of these tests ran")
    try:
        yield Disk(home)
    finally:
        subprocess.run(["umount", "-l", str(home)], check=True)


def _usage(home):
    taken = sum(path.stat().st_size for path in home.rglob("*") if path.is_file())
    return shutil._ntuple_diskusage(SIZE, taken, max(0, SIZE - taken))


def kept(home):
    return sorted(path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file())


# --- downloads -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("marks", [{}, {"ETag": None}], ids=["a strong ETag", "no ETag"])
@pytest.mark.parametrize("manner", [sent(chunked=True), headed({"Content-Length": None}), gzipped()],
                         ids=["chunked", "without a length", "compressed"])  # fmt: skip
def test_a_body_without_a_length_does_not_fill_the_disk(disk, publisher, home, manner, marks, monkeypatch):
    lowest = [disk.free()]
    write = partial_download.Part.write

    def watched(part, block):
        write(part, block)
        lowest.append(disk.free())

    monkeypatch.setattr(partial_download.Part, "write", watched)
    url = publisher.publish("/MODEL.pkl", os.urandom(3 << 20), headed(marks), manner, sent(block=20_000))
    with pytest.raises(CacheError, match=rf"(?s)model.*{home}.*bytes are free, .*length its server does not tell"):
        download.fetch(url, name="model")
    assert min(lowest) > 0.04 * SIZE
    assert kept(home) == []
    assert disk.free() >= 0.95 * SIZE
    assert len(publisher.log) == 1


@pytest.mark.parametrize("known", [{}, {"size": len(CONTENT)}])
def test_a_file_that_does_not_fit_is_refused_and_nothing_is_left(disk, publisher, home, known):
    disk.fill(leave=len(CONTENT) - 1)
    with pytest.raises(CacheError, match=rf"{home}: \d+ bytes are free, {len(CONTENT)} are needed"):
        download.fetch(publisher.publish("/MODEL.pkl", CONTENT), name="model", **known)
    assert kept(home) == ["others"]


@pytest.mark.parametrize("resumable", [True, False])
def test_a_disk_that_others_fill_meanwhile_is_told_with_figures(disk, publisher, home, resumable, monkeypatch):
    """What can be gone on with stays and can be pruned at once; what cannot be gone on with is removed."""
    marks = {} if resumable else {"ETag": None}
    url = publisher.publish("/MODEL.pkl", CONTENT, headed(marks), sent(block=50_000))
    check = cache.check_room
    monkeypatch.setattr(cache, "check_room", lambda needed: (check(needed), disk.fill(leave=300_000)))
    with pytest.raises(CacheError, match=rf"(?s)model.*No space left on device \({home}.*{FIGURES}.*cache prune"):
        download.fetch(url, name="model")
    monkeypatch.setattr(cache, "check_room", check)
    left = [name for name in kept(home) if name.startswith("partial/")]
    assert [name.rpartition(".")[2] for name in left] == (["json", "part"] if resumable else [])
    if not resumable:
        assert disk.free() > 250_000
        return
    assert disk.free() < 60_000
    pruned = listing.prune(statuses=["unfinished"], remove=True)
    assert ([item.entry.kind for item in pruned.chosen], pruned.busy) == (["partial"], [])
    assert disk.free() > 250_000
    (home / "others").unlink()
    assert download.fetch(url, name="model").path.read_bytes() == CONTENT


def test_going_on_needs_room_for_what_is_missing_and_not_for_a_copy(disk, publisher, home):
    url = publisher.publish("/MODEL.pkl", CONTENT, cut([500_000]))
    with pytest.raises(DownloadError, match="500000 bytes are kept"):
        download.fetch(url, name="model")
    disk.fill(leave=250_000)
    assert download.fetch(url, name="model").path.read_bytes() == CONTENT
    assert publisher.asked("range") == [None, "bytes=500000-"]
    assert [name for name in kept(home) if name.startswith("partial/")] == []


def test_going_on_with_a_colleague_s_part_needs_room_for_a_copy_and_says_so(disk, publisher, home, monkeypatch):
    """Locks of another machine are not seen here: its part may still be written."""
    url = publisher.publish("/MODEL.pkl", CONTENT, cut([500_000]))
    with pytest.raises(DownloadError):
        download.fetch(url, name="model", sha256=cache.hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setattr(partial_download, "boot", lambda: "another machine")
    disk.fill(leave=250_000)
    with pytest.raises(CacheError, match="bytes are free, 500000 are needed"):
        download.fetch(url, name="model", sha256=cache.hashlib.sha256(CONTENT).hexdigest())


# --- everything else -------------------------------------------------------------------------------------------------


@pytest.fixture
def mounted(home):
    """A disk of 4 MiB, on which the demo's published file and its weights fit, of 1.6 MB each."""
    home.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(home)], capture_output=True).returncode:
        pytest.skip("this user may not mount a disk")
    yield Disk(home)
    subprocess.run(["umount", "-l", str(home)], check=True)


ROOMS = [
    0,
    4096,
    8192,
    12288,
    16384,
    40960,
    1_500_000,
    1_580_000,
    1_590_000,
    1_600_000,
    3_100_000,
    3_160_000,
    3_180_000,
]


@pytest.mark.slow
def test_whatever_is_written_when_the_disk_is_full_it_is_told_and_nothing_useless_is_left(mounted, zoo, home):
    messages = []
    for room in ROOMS:
        mounted.fill(leave=room)
        try:
            weights.fetch("first")
        except CacheError as error:
            messages.append(str(error))
        assert [name for name in kept(home) if "part" in name] == []
        listing.prune(keep=0, remove=True)
        shutil.rmtree(home / "pins", ignore_errors=True)
        (home / "others").unlink(missing_ok=True)
    assert 8 <= len(messages) < len(ROOMS)  # with the most room, it fits
    assert all("bytes are free" in words and str(home) in words for words in messages)


def test_a_bundle_that_does_not_fit_is_told_and_nothing_of_it_is_left(mounted, home, tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path / "elsewhere"))
    bundle_pack.bundle([NAME], tmp_path / "demo.tar")
    monkeypatch.setenv("VIDEOHUB_HOME", str(home))
    for room in ROOMS[:-3]:
        mounted.fill(leave=room)
        with pytest.raises(CacheError, match="bytes are free"):
            bundle_install.unbundle(tmp_path / "demo.tar")
        assert kept(home) == ["others"]
        (home / "others").unlink()
    assert bundle_install.unbundle(tmp_path / "demo.tar").records[0].state == "installed"

"""What the machine does to a cache: no connection, no space, no permission, other users' folders, older versions."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hub import publisher as publishers
from tests.hub.outcomes import CONTENT, SHA256, assert_fetched, kept
from videohub.errors import CacheError, DownloadError, OfflineError
from videohub.hub import cache, download, http_download, pins
from videohub.resources import cache_home

pytestmark = pytest.mark.usefixtures("impatient")


# --- offline ---------------------------------------------------------------------------------------------------------

WITHOUT_SOCKETS = """
import sys
from pathlib import Path
def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg"):
        print("tried", event, arguments, file=sys.stderr); sys.stderr.flush()
        import os; os._exit(99)
sys.addaudithook(refuse)
from videohub.errors import VideohubError
from videohub.hub import download
try:
    print(download.fetch(sys.argv[1], name="model", alternates=["hf://org/repo/MODEL.pkl@v1"]).path)
except VideohubError as error:
    print(f"{type(error).__name__}: {error}")
    sys.exit(error.exit_code)
"""


def without_sockets(url, **environment):
    """Fetch in a process that ends if it as much as asks for a name."""
    command = [sys.executable, "-c", WITHOUT_SOCKETS, url]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)


def test_the_guard_of_these_tests_sees_a_connection(publisher):
    assert without_sockets(publisher.url("/MODEL.pkl")).returncode == 99


@pytest.mark.parametrize(
    ("variable", "value"),
    [*(("VIDEOHUB_OFFLINE", value) for value in ("1", "on", "Yes", "TRUE")), ("HF_HUB_OFFLINE", "1")],
)
def test_offline_no_connection_is_even_tried(publisher, home, variable, value):
    done = without_sockets("https://publisher.invalid/MODEL.pkl", **{variable: value})
    assert done.returncode == 4, done.stderr
    for text in ("OfflineError: model", "https://publisher.invalid/MODEL.pkl", "not in the cache", str(home), variable,
                 "videohub bundle model", "videohub unbundle", "--checkpoint"):  # fmt: skip
        assert text in done.stdout
    assert kept(home) == []


@pytest.mark.parametrize("value", ["", "0", "off", "no", "false"])
def test_other_values_do_not_mean_offline(publisher, home, monkeypatch, value):
    monkeypatch.setenv("VIDEOHUB_OFFLINE", value)
    assert_fetched(home, publisher.publish("/MODEL.pkl", CONTENT))


@pytest.mark.parametrize("offline", ["0", "1"])
def test_what_is_in_the_cache_needs_no_connection_whether_offline_or_not(publisher, home, offline):
    url = publisher.publish("/MODEL.pkl", CONTENT)
    assert_fetched(home, url)
    done = without_sockets(url, VIDEOHUB_OFFLINE=offline)
    assert (done.returncode, done.stdout.strip()) == (0, str(home / "raw" / SHA256))
    assert len(publisher.requests) == 1


def test_offline_a_mirror_s_folder_is_still_there(home, tmp_path):
    path = tmp_path / "mirror" / "publisher.invalid" / "MODEL.pkl"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    url = "https://publisher.invalid/MODEL.pkl"
    done = without_sockets(url, VIDEOHUB_OFFLINE="1", VIDEOHUB_MIRRORS=str(tmp_path / "mirror"))
    assert (done.returncode, done.stdout.strip()) == (0, str(home / "raw" / SHA256))


def test_offline_is_an_error_of_its_own(home, monkeypatch):
    monkeypatch.setenv("VIDEOHUB_OFFLINE", "1")
    with pytest.raises(OfflineError):
        download.fetch("https://publisher.invalid/MODEL.pkl", name="model")


# --- space and permission --------------------------------------------------------------------------------------------


def test_a_file_larger_than_the_disk_is_refused_before_a_byte_comes(publisher, home, monkeypatch):
    url = publisher.publish("/MODEL.pkl", CONTENT)
    usage = shutil.disk_usage("/")._replace(free=len(CONTENT) - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(CacheError, match=rf"{len(CONTENT) - 1} bytes are free, {len(CONTENT)} are needed"):
        download.fetch(url, name="model")
    assert [name for name in kept(home) if not name.startswith("partial/")] == []


LIMITED = """
import resource, sys
from videohub.errors import VideohubError
from videohub.hub import download
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), -1))
try:
    download.fetch(sys.argv[1], name="model")
except VideohubError as error:
    print(f"{type(error).__name__}: {error}")
    sys.exit(error.exit_code)
"""


def test_a_disk_that_is_full_half_way_is_named_and_nothing_is_lost(publisher, home):
    """A limit on the size of files stands for the end of the disk: a write fails in the middle."""
    url = publisher.publish("/MODEL.pkl", CONTENT)
    command = [sys.executable, "-c", LIMITED, url, "200000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 5, done.stderr
    for text in ("CacheError: model", "File too large", str(home), "videohub cache prune", "VIDEOHUB_HOME"):
        assert text in done.stdout
    assert not (home / "raw").exists()
    assert_fetched(home, url)
    assert publisher.asked("range")[1] == "bytes=200000-"  # what came before is used


AS_NOBODY = """
import os, sys, requests, tqdm, encodings.idna
from videohub.errors import VideohubError
from videohub.hub import download, http_download
if os.getuid() == 0:  # whom no permission stops
    os.setuid(65534)
try:
    download.fetch(sys.argv[1], name="model")
except VideohubError as error:
    print(f"{type(error).__name__}: {error}")
    sys.exit(error.exit_code)
"""


def test_a_folder_that_cannot_be_written_is_named(publisher, home):
    home.mkdir()
    home.chmod(0o555)
    for folder in home.parents[:4]:  # with pytest's processes a folder deeper
        folder.chmod(folder.stat().st_mode | 0o111)  # so that only the cache itself is in the way
    command = [sys.executable, "-c", AS_NOBODY, publisher.publish("/MODEL.pkl", CONTENT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 5, done.stderr
    for text in ("CacheError: model", "Permission denied", str(home / "locks"), "VIDEOHUB_HOME"):
        assert text in done.stdout
    assert kept(home) == []


def test_a_cache_that_is_a_file_is_named(publisher, home):
    home.write_text("not a folder")
    with pytest.raises(CacheError, match="VIDEOHUB_HOME"):
        download.fetch(publisher.publish("/MODEL.pkl", CONTENT), name="model")
    assert home.read_text() == "not a folder"


# --- a shared cache dir ----------------------------------------------------------------------------------------------


@pytest.fixture
def shared(home, publisher, tmp_path, monkeypatch):
    """A cache that somebody has filled and shares, in front of an empty one of our own; and the file's URL."""
    url = publisher.publish("/MODEL.pkl", CONTENT)
    download.fetch(url, name="model")
    folder = home.rename(tmp_path / "shared")
    monkeypatch.setenv("VIDEOHUB_CACHE_RO", f"{tmp_path / 'none'}{os.pathsep}{folder}")
    publisher.log.clear()
    return folder, url


def test_a_shared_cache_dir_spares_the_download_and_is_not_written(shared, home, publisher):
    folder, url = shared
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert download.fetch(url, name="model").path == folder / "raw" / SHA256
    assert publisher.requests == []
    assert not home.exists()
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_the_pins_of_a_shared_cache_dir_bind(shared, publisher):
    folder, url = shared
    (folder / "raw" / SHA256).unlink()
    publisher.publish("/MODEL.pkl", b"another file")
    with pytest.raises(DownloadError, match="first seen here"):
        download.fetch(url, name="model")


def test_a_damaged_file_of_a_shared_cache_dir_is_named_and_left(shared, home):
    folder, url = shared
    path = folder / "raw" / SHA256
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(CacheError, match=r"(?s)damaged.*VIDEOHUB_CACHE_RO"):
        download.fetch(url, name="model")
    assert path.read_bytes() == CONTENT[:-1]


# --- what is in the cache already ------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [b"", CONTENT[:-1], CONTENT[:-1] + b"x", bytes(len(CONTENT))])
def test_a_damaged_file_is_noticed_and_fetched_again(publisher, home, caplog, damage):
    """As a power cut leaves it, or a disk that forgets."""
    url = publisher.publish("/MODEL.pkl", CONTENT)
    download.fetch(url, name="model").path.write_bytes(damage)
    assert_fetched(home, url)
    assert "was damaged" in caplog.text


def test_pins_of_an_older_and_of_a_newer_version_are_read(publisher, home):
    url = publisher.publish("/MODEL.pkl", b"another file")
    path = cache.place("pins", f"{cache.key_of(url)}.json")
    path.parent.mkdir(parents=True)
    pin = {"url": url, "sha256": SHA256, "size": len(CONTENT), "first_seen": "2025-01-02T03:04:05Z"}
    for fields in (pin, {**pin, "source": "", "signed_by": ["nobody"]}):
        path.write_text(json.dumps(fields))
        with pytest.raises(DownloadError, match=r"(?s)2025-01-02T03:04:05Z.*cache pins --forget model"):
            download.fetch(url, name="model")


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"url": "x"}', b"\0\0\0", b'{"url": "\xff"}'])
def test_a_damaged_pin_is_named_and_never_taken_for_none(publisher, home, text):
    url = publisher.publish("/MODEL.pkl", CONTENT)
    path = cache.place("pins", f"{cache.key_of(url)}.json")
    path.parent.mkdir(parents=True)
    path.write_bytes(text)
    with pytest.raises(CacheError, match=r"(?s)damaged.*Remove this file to trust the URL anew"):
        download.fetch(url, name="model")
    assert publisher.requests == []


def test_what_an_older_version_left_half_done_disturbs_nobody(publisher, home):
    (home / "raw").mkdir(parents=True)
    (home / "raw" / ".abc123.part").write_bytes(b"half")
    url = publisher.publish("/MODEL.pkl", CONTENT)
    assert download.fetch(url, name="model").path.read_bytes() == CONTENT
    assert kept(home) == ["raw/.abc123.part", f"raw/{SHA256}"]  # `videohub cache prune` knows it


@pytest.mark.parametrize("year", [1970, 2099])
def test_a_clock_that_jumped_disturbs_nobody(publisher, home, year):
    url = publisher.publish("/MODEL.pkl", CONTENT, publishers.cut([100_000, 0, 0, 0]))
    with pytest.raises(DownloadError):
        download.fetch(url, name="model", size=len(CONTENT))
    seconds = (year - 1970) * 365.25 * 86_400
    for path in home.rglob("*"):
        os.utime(path, (seconds, seconds))
    publisher.publish("/MODEL.pkl", CONTENT)
    assert_fetched(home, url)
    assert publisher.asked("range")[-1] is not None


@pytest.mark.parametrize("known", [{}, {"sha256": SHA256}], ids=["unknown", "known"])
def test_what_came_before_a_restart_is_used_only_where_the_digest_is_known(publisher, home, monkeypatch, known):
    """A power cut may have taken what was not flushed, and left zeros in its place."""
    url = publisher.publish("/MODEL.pkl", CONTENT, publishers.cut([100_000, 0, 0, 0]))
    with pytest.raises(DownloadError):
        download.fetch(url, name="model", **known)
    monkeypatch.setattr(http_download, "boot", lambda: "another one")
    publisher.publish("/MODEL.pkl", CONTENT)
    assert_fetched(home, url, **known)
    assert publisher.asked("range")[-1] == ("bytes=100000-" if known else None)


def test_the_first_of_two_pins_stays(home):
    first = pins.pin("https://x.invalid/a", "1" * 64, 1)
    assert pins.pin("https://x.invalid/a", "2" * 64, 2) == first
    assert pins.pin_of("https://x.invalid/a") == first


def test_names_in_the_cache_do_not_differ_in_case_alone(publisher, home):
    for path in ("/X3D_S.pyth", "/x3d_s.pyth"):
        download.fetch(publisher.publish(path, path.encode()), name="model")
    names = [path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()]
    assert len(names) == 4
    assert all(name == name.lower() for name in names)


def test_another_user_s_lock_does_not_keep_anybody_from_working(publisher, home, monkeypatch):
    """In a cache that a group shares, it may be there and not be ours to open."""
    opened = os.open

    def refused(path, *arguments, **named):
        if str(path).endswith(".lock"):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **named)

    monkeypatch.setattr(os, "open", refused)
    assert_fetched(home, publisher.publish("/MODEL.pkl", CONTENT))


def test_a_home_that_cannot_be_told_is_named(monkeypatch):
    monkeypatch.delenv("VIDEOHUB_HOME")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "expanduser", lambda path: (_ for _ in ()).throw(RuntimeError("no home directory")))
    with pytest.raises(CacheError, match="VIDEOHUB_HOME"):
        cache_home()


def test_a_bundle_of_authorities_that_is_not_there_is_a_matter_of_the_way(home, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/bundle.pem")
    with pytest.raises(DownloadError, match="bundle"):
        download.fetch("https://127.0.0.1:1/MODEL.pkl", name="model")

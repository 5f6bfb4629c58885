"""A cache that one user fills and others read: modes follow the umask, and what is kept from us is told as that."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.cache_admin.cache_files import NAME, only, tree
from videohub import weights
from videohub.cache_admin import bundle_install, bundle_pack
from videohub.convert import kept_weights
from videohub.errors import CacheError
from videohub.hub import cache

# A file without any permission is kept from its owner, too: so one user stands for two. Root gives up its rights.
AS_ANOTHER = """
import ctypes, json, os, sys
import msgspec
import videohub
from videohub.errors import VideohubError
from videohub.cache_admin import listing, trust
if os.getuid() == 0:
    header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()  # version 3, ourselves
    assert ctypes.CDLL(None, use_errno=True).capset(header, none) == 0
try:
    load = type(videohub.load(sys.argv[1])).__name__
except VideohubError as error:
    load = f"{type(error).__name__}: {error}"
listed = [item.facts() for cache_dir in listing.listing() for item in cache_dir.entries]
print(json.dumps({"load": load, "list": listed, "verify": msgspec.to_builtins(trust.check())}))
"""


def as_another(name, shared, home):
    """What `load`, `cache list` and `cache verify` say to another user, whose own cache `home` is."""
    environment = {**os.environ, "VIDEOHUB_HOME": str(home), "VIDEOHUB_OFFLINE": "1"}
    if home != shared:
        environment["VIDEOHUB_CACHE_RO"] = str(shared)
    done = subprocess.run([sys.executable, "-c", AS_ANOTHER, name], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def shared(home, zoo):
    """A cache with a published file, its pin and its weights."""
    weights.fetch("first")
    return home


@pytest.fixture
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o027, 0o077], indirect=True, ids=oct)
def test_all_that_is_written_has_the_mode_that_the_umask_gives(home, zoo, tmp_path, umask, monkeypatch):
    weights.fetch("first")
    out = tmp_path / "out"
    out.mkdir()
    bundle_pack.bundle([NAME], out / "demo.tar")
    for layout in ("videohub", "caffe2", "pyslowfast"):
        weights.convert_file(next(home.glob("raw/*")), "first", out / layout, layout=layout)
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path / "elsewhere"))
    bundle_install.unbundle(out / "demo.tar")
    modes = {path: path.stat().st_mode & 0o777 for folder in (home, out, tmp_path / "elsewhere")
             for path in folder.rglob("*") if path.is_file()}  # fmt: skip
    assert len(modes) == 9
    assert set(modes.values()) == {0o666 & ~umask}


def test_half_written_weights_have_the_mode_that_the_umask_gives_and_stand_alone(monkeypatch, zoo):
    """So that what a kill leaves can be told, and swept, by its name."""
    beside = []

    def look(path, tensors, origin):
        write(path, tensors, origin)
        beside.extend((file.name, file.stat().st_mode & 0o777) for file in path.parent.iterdir())

    write = kept_weights.write
    monkeypatch.setattr(kept_weights, "write", look)
    path = weights.fetch("first")
    ((name, mode),) = beside
    assert name.startswith(f".{path.name}-")
    assert mode == path.stat().st_mode & 0o777


@pytest.mark.slow
def test_another_user_uses_what_was_shared(shared):
    text = as_another("first", shared, shared.parent / "mine")
    assert text["load"] == "SlowFast"
    statuses = {entry["kind"]: entry["status"] for entry in text["list"]}
    assert statuses == {"raw": "redundant", "converted": "current", "pin": "current"}
    assert (text["verify"]["checked"], text["verify"]["damaged"], text["verify"]["unchecked"]) == (3, [], [])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["raw", "converted", "pins"])
def test_what_may_not_be_read_is_told_as_that(shared, kind):
    path = only(shared, f"{kind}/*")
    if kind == "raw":
        only(shared, "converted/*").unlink()  # else nobody would ask for it
    path.chmod(0)
    before = tree(shared)
    text = as_another("first", shared, shared.parent / "mine")
    assert text["load"].startswith(f"CacheError: {path}: may not be read by you")
    assert f"chmod -R a+rX {shared}" in text["load"]
    assert "unset VIDEOHUB_CACHE_RO" in text["load"]
    (listed,) = [entry for entry in text["list"] if entry["path"] == str(path)]
    assert listed["status"] == "unreadable"
    assert "may not be read by you" in listed["problem"]
    assert listed["records"] == ["first"]
    assert text["verify"]["damaged"] == []
    (finding,) = text["verify"]["unchecked"]
    assert finding["path"] == str(path)
    assert "may not be read by you" in finding["problem"]
    assert tree(shared) == before


@pytest.mark.slow
def test_what_may_not_be_read_in_our_own_folder_is_not_removed(shared):
    """In a folder that a group writes to, it may be a colleague's and sound."""
    path = only(shared, "converted/*")
    path.chmod(0)
    shared.chmod(0o777)
    path.parent.chmod(0o777)
    text = as_another("first", shared, shared)
    assert text["load"].startswith(f"CacheError: {path}: may not be read by you")
    assert "unset" not in text["load"]
    assert [finding["done"] for finding in text["verify"]["unchecked"]] == ["left"]
    assert path.is_file()


def test_weights_that_may_not_be_read_are_not_called_missing(shared, monkeypatch):
    path = only(shared, "converted/*")

    def refused(self, *arguments, **named):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(type(path), "open", refused)
    for read in (kept_weights.tensors, kept_weights.origin, kept_weights.check):
        with pytest.raises(PermissionError):
            read(path)
    with pytest.raises(CacheError, match="may not be read by you"):
        cache.find("converted", path.name)

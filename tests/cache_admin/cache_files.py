"""What the tests of the cache do with its files, and what they look at afterwards."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

from videohub import convert, registry
from videohub.convert import caffe2_pickle

NAME = "slowfast_motions"
DAY = 86400
PUBLISHED = Path(unquote(urlsplit(registry.record(NAME).checkpoint.url).path))
SHA256 = registry.record(NAME).checkpoint.sha256


def caffe2(**changes):
    """The embedded checkpoint's blobs with some changed or added, as a Caffe2 file."""
    blobs = dict(convert.read(PUBLISHED).tensors)
    blobs |= {key: change(blobs) for key, change in changes.items()}
    with tempfile.TemporaryDirectory() as folder:
        caffe2_pickle.write(Path(folder) / "file.pkl", blobs)
        return (Path(folder) / "file.pkl").read_bytes()


def tree(folder):
    """Every file below a folder, with its size and date."""
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def used(path, days_ago):
    then = time.time() - days_ago * DAY
    os.utime(path, (then, then))


def only(home, pattern):
    (path,) = home.glob(pattern)
    return path


def entries(run):
    code, result, _ = run("cache", "list", "--json")
    assert code == 0
    return [entry for cache_dir in result["cache_dirs"] for entry in cache_dir["entries"]]


def statuses(run):
    """What is listed: {(kind, records): status}."""
    return {(entry["kind"], *entry["records"]): entry["status"] for entry in entries(run)}


def narrow(out):
    return all(len(line.rstrip()) <= 80 for line in out.splitlines())


def damage(path):
    """Change one bit in the middle of a file and leave its date."""
    text, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(text.st_atime_ns, text.st_mtime_ns))

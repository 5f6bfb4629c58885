"""Several processes want the same weights at once, and some are killed: they are made once, and right."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

import msgspec
import pytest
from safetensors.torch import load_file

from tests.hub.publisher import running
from videohub import registry, resources, weights
from videohub.convert import kept_weights, tables
from videohub.hub import cache

pytestmark = pytest.mark.slow

# Forks children that fetch the demo's record from the URL in argv, each of which notes its conversions in a file.
FETCH = """
import os, sys
import msgspec, requests, tqdm, safetensors.torch
from videohub import registry, weights
import videohub.convert.conversion, videohub.convert.checkpoint
url, children, noted = sys.argv[1], int(sys.argv[2]), sys.argv[3]
ours = registry.record("slowfast_motions")
known = msgspec.structs.replace(ours.checkpoint, url=url, sha256=None if "unknown" in url else ours.checkpoint.sha256)
record = msgspec.structs.replace(ours, checkpoint=known)
write = weights._write
def noting(*arguments, **named):
    with open(noted, "a") as file:
        file.write("x")
    return write(*arguments, **named)
weights._write = noting
for _ in range(children):
    if (child := os.fork()) == 0:
        try:
            weights.fetch(record)
            os._exit(0)
        finally:
            os._exit(1)
sys.exit(max(os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(children)))
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture
def publisher():
    with running() as publisher:
        yield publisher


def published(publisher, path):
    ours = registry.record("slowfast_motions")
    return publisher.publish(path, Path(unquote(urlsplit(ours.checkpoint.url).path)).read_bytes())


def command(url, tmp_path, *, children=1):
    return [sys.executable, "-c", FETCH, url, str(children), str(tmp_path / "noted")]


def files(home):
    return sorted(path.relative_to(home).parts[0] for path in home.rglob("*") if path.is_file())


def expected():
    return load_file(weights.fetch("slowfast_motions"))


@pytest.mark.parametrize("name", ["known", "unknown"])
def test_of_eight_at_once_one_downloads_and_one_converts(publisher, home, tmp_path, name):
    subprocess.run(command(published(publisher, f"/{name}.pkl"), tmp_path, children=8), check=True)
    assert len(publisher.requests) == 1
    assert (tmp_path / "noted").read_text() == "x"
    assert files(home) == ["converted", *(["pins"] if name == "unknown" else []), "raw"]
    result = load_file(next((home / "converted").iterdir()))
    assert all(result[key].equal(tensor) for key, tensor in expected().items())


def test_a_killed_conversion_leaves_nothing_after_the_next(publisher, home, tmp_path):
    url = published(publisher, "/known.pkl")
    process = subprocess.Popen(command(url, tmp_path), start_new_session=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "noted").exists():
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    subprocess.run(command(url, tmp_path), check=True)
    assert len(publisher.requests) == 1  # the published file was here already
    assert files(home) == ["converted", "raw"]


def test_a_part_that_a_killed_conversion_left_is_removed_by_the_next(home):
    record = registry.record("slowfast_motions")
    name = cache.converted_name(record.checkpoint.sha256, weights.conversion_key(record))
    stray = home / "converted" / f".{name}-abc123.part"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"half")
    other = home / "converted" / ".another-abc123.part"
    other.write_bytes(b"of somebody at work")
    assert weights.fetch(record) == home / "converted" / name
    assert sorted(path.name for path in (home / "converted").iterdir()) == sorted([other.name, name])


# --- what the cache knows of a record --------------------------------------------------------------------------------


def test_weights_are_made_anew_when_what_decides_them_changes_and_only_then(home, monkeypatch):
    record = registry.record("slowfast_motions")
    first = weights.fetch(record)
    made = first.stat().st_mtime_ns
    noted = msgspec.structs.replace(record, notes=[*record.notes, "one more"])
    assert weights.fetch(record) == weights.fetch("SLOWFAST_MOTIONS") == weights.fetch(noted) == first
    assert first.stat().st_mtime_ns == made
    with monkeypatch.context() as later:
        later.setattr(weights, "_CONVERTER", weights._CONVERTER + 1)
        assert weights.fetch(record) != first
    with monkeypatch.context() as later:
        table = tables.find("slowfast", "caffe2")
        later.setattr(tables, "find", lambda family, layout: replace(table, digest="0" * 64))
        assert weights.conversion_key(record) not in first.name
    labelled = msgspec.structs.replace(record, labels="kinetics400")
    assert weights.conversion_key(labelled) != weights.conversion_key(record)


def test_the_conversion_key_follows_from_the_content_of_the_one_table_that_is_used(tmp_path, monkeypatch):
    ours = tables.find("slowfast", "caffe2")
    record = registry.record("slowfast_motions")
    keys = weights.conversion_keys(record)
    assert list(keys) == [*tables.of_family("slowfast"), "videohub"]
    path = tmp_path / "slowfast" / "caffe2.yaml"
    path.parent.mkdir()
    text = (resources.path("converters") / "slowfast" / "caffe2.yaml").read_text()
    result = tables.of_family("slowfast")

    def changed(old, new):
        path.write_text(text.replace(old, new))
        table = tables.read_table(path)
        with monkeypatch.context() as later:
            later.setattr(tables, "of_family", lambda family: {**result, "caffe2": table})
            return weights.conversion_keys(record)

    assert changed("rules:", "# another comment\nrules:") == keys
    assert tables.read_table(path).digest == ours.digest
    other = changed("<-> stem", "<-> lateral.stem") if "<-> stem" in text else changed("pred_w ", "prediction_w ")
    assert {layout for layout in keys if other[layout] != keys[layout]} == {"caffe2"}


def test_a_new_argument_at_its_neutral_default_keeps_the_conversion_key_and_a_changed_default_does_not():
    from videohub.architectures import slowfast

    record = registry.record("slowfast_motions")

    class WithMore(slowfast.SlowFast, frozen=True, kw_only=True, tag="slowfast"):
        NEUTRAL: ClassVar[Mapping[str, Any]] = {**slowfast.SlowFast.NEUTRAL, "more": 1}

        more: int = 1

    class WithAnother(WithMore, frozen=True, kw_only=True, tag="slowfast"):
        more: int = 2

    text = msgspec.structs.asdict(record.model)
    keys = [
        weights.conversion_key(msgspec.structs.replace(record, model=kind(**text))) for kind in (WithMore, WithAnother)
    ]
    assert keys[0] == weights.conversion_key(record) != keys[1]


def test_a_digest_that_is_filled_in_leaves_the_weights_as_they_are(publisher, home, monkeypatch):
    ours = registry.record("slowfast_motions")
    url = published(publisher, "/unknown.pkl")
    unknown = msgspec.structs.replace(ours.checkpoint, url=url, sha256=None, size=None)
    path = weights.fetch(msgspec.structs.replace(ours, checkpoint=unknown))
    filled = msgspec.structs.replace(ours.checkpoint, url=url, alternates=["https://other.invalid/MODEL.pkl"])
    monkeypatch.setenv("VIDEOHUB_OFFLINE", "1")
    assert weights.fetch(msgspec.structs.replace(ours, checkpoint=filled)) == path


def test_weights_that_are_cut_short_are_made_anew(home, caplog):
    path = weights.fetch("slowfast_motions")
    sound = path.read_bytes()
    for size in (0, 7, 100, len(sound) - 1):
        path.write_bytes(sound[:size])
        assert weights.fetch("slowfast_motions") == path
        assert path.read_bytes() == sound
    assert len(caplog.records) == 4


def test_a_use_is_noted_for_those_who_prune(home):
    path = weights.fetch("slowfast_motions")
    made = path.stat().st_mtime_ns
    os.utime(path, ns=(0, made))
    weights.fetch("slowfast_motions")
    assert (path.stat().st_atime > made / 1e9 - 5, path.stat().st_mtime_ns) == (True, made)


FULL = """
import resource
from videohub import weights
from videohub.errors import CacheError
import videohub.convert.checkpoint
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, -1))
try:
    weights.fetch("slowfast_motions")
except CacheError as error:
    print(error)
"""


def test_a_disk_that_fills_up_during_conversion_is_named_and_nothing_half_stays(home):
    done = subprocess.run([sys.executable, "-c", FULL], capture_output=True, text=True, check=True)
    assert "slowfast_motions: the weights cannot be kept: File too large" in done.stdout
    assert files(home) == []


def test_where_locks_do_nothing_a_part_that_vanishes_is_written_again(home, monkeypatch):
    write = kept_weights.write

    def swept(path, *arguments):
        write(path, *arguments)
        path.unlink()
        monkeypatch.setattr(kept_weights, "write", write)

    monkeypatch.setattr(kept_weights, "write", swept)
    kept_weights.check(weights.fetch("slowfast_motions"))
    assert files(home) == ["converted"]


def test_converted_weights_need_no_published_file(publisher, home):
    ours = registry.record("slowfast_motions")
    checkpoint = msgspec.structs.replace(ours.checkpoint, url=published(publisher, "/unknown.pkl"), sha256=None)
    record = msgspec.structs.replace(ours, checkpoint=checkpoint)
    path = weights.fetch(record)
    for raw in (home / "raw").iterdir():
        raw.unlink()
    assert weights.fetch(record) == path
    assert len(publisher.requests) == 1


def test_a_shared_cache_dir_spares_the_conversion(home, tmp_path, monkeypatch):
    path = weights.fetch("slowfast_motions")
    home.rename(tmp_path / "shared")
    monkeypatch.setenv("VIDEOHUB_CACHE_RO", str(tmp_path / "shared"))
    assert weights.fetch("slowfast_motions") == tmp_path / "shared" / "converted" / path.name
    assert not home.exists()

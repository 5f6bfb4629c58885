"""Runs over tars behind http and in a bucket: the scores of files, bit for bit, whatever the server does meanwhile."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import videohub
from tests.data.tars import write_tar
from tests.hub.publisher import Publisher, running
from tests.storage import faulty_server
from tests.verification import datasets
from tests.verification.killing import final_scores, one_of_three_killed
from videohub import runs, storage
from videohub.errors import FileChangedError
from videohub.hub import http_request
from videohub.storage import buckets

NAME = "tiny_kinetics"


def written(folder: Path, videos: int, shards: int) -> tuple[Path, Path]:
    """Write videos into a folder, and the same with their labels into tars; return the list and the tars' folder."""
    listing, _ = datasets.kinetics(folder / "files", videos=videos)
    for shard in range(shards):
        members = {}
        for number in range(shard, videos, shards):
            members[f"v{number}.mp4"] = (folder / "files" / f"v{number}.mp4").read_bytes()
            members[f"v{number}.cls"] = str(7 * number).encode()
        members[f"README-{shard}.txt"] = b"of which a note is made"
        write_tar(folder / "tars" / f"val-{shard:03}.tar", members)
    return listing, folder / "tars"


@pytest.fixture(scope="module")
def six(tmp_path_factory):
    return written(tmp_path_factory.mktemp("six"), videos=6, shards=3)


@pytest.fixture(scope="module")
def fifty(tmp_path_factory):
    return written(tmp_path_factory.mktemp("fifty"), videos=56, shards=4)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(http_request, "PAUSE_S", 0.0)  # in this process
    with running() as server:
        yield server


def served(server: Publisher, tars: Path, *behaviours) -> str:
    """Serve a folder of tars and return their pattern."""
    last = len(list(tars.iterdir())) - 1
    return f"{faulty_server.publish_folder(server, tars, *behaviours)}/val-{{000..{last:03}}}.tar"


@pytest.mark.parametrize("workers", [0, 1])
def test_scores_from_http_are_those_from_files_bit_for_bit(zoo, six, server, tmp_path, workers):
    listing, tars = six
    videohub.verify(NAME, listing, out=tmp_path / "files", workers=workers)
    expected = final_scores(tmp_path / "files")
    assert len(expected) == 6
    assert None not in expected.values()
    pattern = served(server, tars)
    videohub.verify(NAME, pattern, out=tmp_path / "labelled", workers=workers)
    assert final_scores(tmp_path / "labelled") == expected
    server.log.clear()
    videohub.verify(NAME, pattern, out=tmp_path / "listed", workers=workers, list_file=listing)
    assert final_scores(tmp_path / "listed") == expected
    assert len(server.log) == 3 + 6  # the three tars are known, and asked whether they changed; each video once


def test_scores_from_s3_are_those_from_files_bit_for_bit(zoo, six, tmp_path, monkeypatch):
    boto3 = pytest.importorskip("boto3")
    pytest.importorskip("s3fs")
    moto = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    monkeypatch.setattr(buckets, "_filesystems", {})
    monkeypatch.setattr(buckets, "_touched", set())
    listing, tars = six
    videohub.verify(NAME, listing, out=tmp_path / "files", workers=1)
    moto.start()
    try:
        for name, value in {
            "NO_PROXY": "127.0.0.1",
            "AWS_ENDPOINT_URL": "http://{}:{}".format(*moto.get_host_and_port()),
            "AWS_ACCESS_KEY_ID": "AKIAALICE",
            "AWS_SECRET_ACCESS_KEY": "hunter2",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
        client = boto3.client("s3")
        client.create_bucket(Bucket="kinetics")
        for tar in tars.iterdir():
            client.upload_file(str(tar), "kinetics", f"val/{tar.name}")
        videohub.verify(NAME, "s3://kinetics/val/*.tar", out=tmp_path / "s3", workers=1)
    finally:
        moto.stop()
    assert final_scores(tmp_path / "s3") == final_scores(tmp_path / "files")
    assert "AKIAALICE" not in texts(tmp_path)


def texts(folder: Path) -> str:
    """Everything that files of a folder hold, as if it were text."""
    return "".join(file.read_bytes().decode("latin-1") for file in folder.rglob("*") if file.is_file())


def test_no_credential_is_in_a_run_a_cache_or_a_message(zoo, six, server, tmp_path, run, monkeypatch):
    _, tars = six
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path / "cache"))
    pattern = served(server, tars)
    for path in list(server.files):
        server.publish(f"{path}?token=hunter2", server.files[path])
    pattern = pattern.replace("//", "//alice:hunter2@") + "?token=hunter2"
    code, out, err = run("verify", NAME, "--data", pattern, "--out", tmp_path / "run", "--workers", 1)
    assert code in (0, 1, 3)
    code, out2, err2 = run("data", "check", NAME, "--data", pattern)
    code, out3, err3 = run("verify", NAME, "--data", pattern.replace("002", "009"), "--out", tmp_path / "run2")
    assert code == 3
    assert "val-009.tar" in err3
    assert "hunter2" not in out + err + out2 + err2 + out3 + err3 + texts(tmp_path)


def test_a_shard_that_changes_midway_ends_the_run_with_that_reason(zoo, six, server, tmp_path):
    _, tars = six
    pattern = served(server, tars)
    other = server.files["/val-001.tar"][::-1]
    server.publish("/val-001.tar", server.files["/val-001.tar"], faulty_server.changing_after(3, other))
    with pytest.raises(FileChangedError, match=r"val-001\.tar: has changed: found version"):
        videohub.verify(NAME, pattern, out=tmp_path / "run", workers=0)
    joined = runs.join([tmp_path / "run"])
    assert not [entry for entry in joined.entries.values() if entry.failure]  # no video is blamed


@pytest.mark.parametrize(
    ("count", "workers"), [(50, 0), pytest.param(20, 2, marks=pytest.mark.slow)], ids=["fifty", "with true pauses"]
)
def test_under_faults_at_random_the_scores_are_the_same_and_nothing_is_lost(
    zoo, fifty, server, tmp_path, count, workers
):
    listing, tars = fifty
    videohub.verify(NAME, listing, out=tmp_path / "files", workers=workers)
    faults = faulty_server.at_random(seed=3, count=count, share=0.6)
    videohub.verify(NAME, served(server, tars, faults), out=tmp_path / "http", workers=workers)
    assert final_scores(tmp_path / "http") == final_scores(tmp_path / "files")
    assert len(faults.served) == count
    assert len(set(faults.served)) > count // 4


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks processes up in /proc")
def test_one_of_three_processes_over_http_is_killed_and_restarted(zoo, fifty, server, tmp_path):
    listing, tars = fifty
    videohub.verify(NAME, listing, out=tmp_path / "plain", workers=1)
    pattern = served(server, tars, faulty_server.latency(0.05))
    stdout = one_of_three_killed(NAME, pattern, tmp_path / "run", before=50)
    assert stdout.count("verdict:") == 1
    assert final_scores(tmp_path / "run") == final_scores(tmp_path / "plain")
    joined = runs.join([tmp_path / "run"])
    assert {made.shard for made in joined.made_by} == {"1/3", "2/3", "3/3"}
    assert joined.repeated == 0


@pytest.mark.slow
def test_a_large_member_is_read_in_pieces_with_the_same_scores(zoo, six, server, tmp_path, monkeypatch):
    """Large is what stands in `samples`; here everything is, and a piece is small."""
    from videohub.data import samples
    from videohub.storage import ranges

    listing, tars = six
    videohub.verify(NAME, listing, out=tmp_path / "files", workers=0)
    monkeypatch.setattr(samples, "STREAMED", 0)
    monkeypatch.setattr(ranges, "BLOCK", 1000)
    pattern = served(server, tars)
    videohub.verify(NAME, pattern, out=tmp_path / "http", workers=0)
    assert final_scores(tmp_path / "http") == final_scores(tmp_path / "files")
    largest = max(exchange.sent for exchange in server.log if exchange.headers["range"] != "bytes=0-0")
    assert largest <= 64 << 10  # of headers; videos come by the thousand bytes
    assert storage.stat(server.url("/val-000.tar")).size > 0

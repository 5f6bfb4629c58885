"""Runs over tars: the same scores as over files, bit for bit; what is damaged, missing or changed is told as such."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

import videohub
from tests.data.tars import write_tar
from tests.hub.publisher import headed
from tests.storage.faulty_server import publish_folder, running
from tests.verification import datasets
from videohub import runs
from videohub.data.sets.shards import _members_of
from videohub.errors import DataError, FileChangedError, UsageError
from videohub.hub import http_request
from videohub.runs.score_file import read_scores

NAME = "tiny_kinetics"


def scores(folder) -> dict[str, bytes]:
    joined = runs.join([folder])
    return {entry.name: values.tobytes() for entry, values in read_scores(joined.entries.values())}


@pytest.fixture
def files(zoo, tmp_path):
    """Six videos in a folder, and the same in three tars, which hold their labels, too."""
    listing, _ = datasets.kinetics(tmp_path / "files")
    videos = {f"v{number}.mp4": (tmp_path / "files" / f"v{number}.mp4").read_bytes() for number in range(6)}
    for shard in range(3):
        members = {}
        for number in (2 * shard, 2 * shard + 1):
            members |= {f"v{number}.mp4": videos[f"v{number}.mp4"], f"v{number}.cls": str(7 * number).encode()}
        write_tar(tmp_path / "tars" / f"val-{shard}.tar", members)
    return listing


@pytest.fixture
def server(monkeypatch):
    """A web server on this machine, and nobody waits long before asking again."""
    monkeypatch.setattr(http_request, "PAUSE_S", 0.01)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running() as publisher:
        yield publisher


@pytest.mark.parametrize("workers", [0, 1])
def test_scores_from_tars_are_those_from_files_bit_for_bit(files, tmp_path, workers):
    tars = tmp_path / "tars" / "val-{0..2}.tar"
    of_files = videohub.verify(NAME, files, out=tmp_path / "a", workers=workers)
    listed = videohub.verify(NAME, tars, list_file=files, out=tmp_path / "b", workers=workers)
    labelled = videohub.verify(NAME, str(tars), out=tmp_path / "c", workers=workers)
    expected = scores(tmp_path / "a")
    assert len(expected) == 6
    assert scores(tmp_path / "b") == scores(tmp_path / "c") == expected
    assert of_files.comparisons == listed.comparisons == labelled.comparisons
    identities = [runs.read_run(tmp_path / name).identity for name in "abc"]
    assert len({each.data_sha256 for each in identities}) == 1
    assert [each.shards_sha256 for each in identities] == [
        None,
        identities[1].shards_sha256,
        identities[1].shards_sha256,
    ]
    shards = runs.join([tmp_path / "b"]).shards
    assert (listed.shards, listed.shards_sha256) == ([*shards], identities[1].shards_sha256)
    assert (of_files.shards, of_files.shards_sha256) == ([], None)
    assert [(os.path.basename(each.location), each.size) for each in shards] == [
        (f"val-{number}.tar", (tmp_path / "tars" / f"val-{number}.tar").stat().st_size) for number in range(3)
    ]


def test_a_run_over_files_is_not_gone_on_with_over_tars(files, tmp_path):
    videohub.verify(NAME, files, out=tmp_path / "run", workers=0)
    with pytest.raises(UsageError, match=r"shards_sha256: .* asked for, (nothing|null) in it"):
        videohub.verify(NAME, tmp_path / "tars" / "val-*.tar", out=tmp_path / "run", workers=0)


def test_listed_videos_that_no_tar_has_and_damaged_ones_fail_by_themselves(files, tmp_path):
    files.write_text(files.read_text() + "gone.mp4 3\nbad.mp4 4\nempty.mp4 5\n")
    write_tar(tmp_path / "tars" / "val-3.tar", {"bad.mp4": b"not a video", "empty.mp4": b""})
    report = videohub.verify(NAME, tmp_path / "tars" / "val-*.tar", list_file=files, workers=1)
    assert (report.counts.scored, report.counts.failed) == (6, 3)
    reasons = {failure.name: failure.reason for failure in report.failures}
    assert reasons["gone.mp4"] == f"{tmp_path / 'tars'}/gone.mp4: no tar has a member of this name"
    assert reasons["bad.mp4"].startswith(f"{tmp_path / 'tars'}/val-3.tar/bad.mp4: ")
    assert reasons["empty.mp4"] == f"{tmp_path / 'tars'}/val-3.tar/empty.mp4: the file is empty (0 bytes)"


def test_tars_that_are_missing_end_a_run_before_anything_is_scored(files, tmp_path):
    with pytest.raises(DataError, match="2 of 5 shards cannot be used, 2 of them missing"):
        videohub.verify(NAME, tmp_path / "tars" / "val-{0..4}.tar", out=tmp_path / "run", workers=0)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_tar_that_changes_ends_the_run_with_that_reason(files, tmp_path, workers, monkeypatch):
    """It changes after the indexes were read, before the first video is."""
    from videohub.verification import runner

    def changing(*args, **options):
        os.utime(tmp_path / "tars" / "val-1.tar", ns=(1, 1))
        return evaluate(*args, **options)

    evaluate = runner.evaluate
    monkeypatch.setattr(runner, "evaluate", changing)
    with pytest.raises(FileChangedError, match=r"val-1.tar: has changed: found version .* 1 ns, expected"):
        videohub.verify(NAME, tmp_path / "tars" / "val-*.tar", out=tmp_path / "run", workers=workers)
    assert set(scores(tmp_path / "run")) <= {"v0.mp4", "v1.mp4"}
    assert not [entry for entry in runs.join([tmp_path / "run"]).entries.values() if entry.failure]


def test_a_run_is_not_gone_on_with_once_a_tar_has_changed(files, tmp_path):
    tars = tmp_path / "tars" / "val-*.tar"
    videohub.verify(NAME, tars, out=tmp_path / "run", workers=0, shard="1/2")
    os.utime(tmp_path / "tars" / "val-1.tar", ns=(1, 1))
    with pytest.raises(FileChangedError, match=r"val-1.tar has changed since scores were kept here: found version"):
        videohub.verify(NAME, tars, out=tmp_path / "run", workers=0, shard="2/2")


def test_parts_that_read_copies_of_the_tars_are_one_run(files, tmp_path):
    videohub.verify(NAME, tmp_path / "tars" / "val-*.tar", out=tmp_path / "run", workers=0, shard="1/2")
    (tmp_path / "tars").rename(tmp_path / "copies")
    for tar in (tmp_path / "copies").iterdir():
        os.utime(tar, ns=(1, 1))
    report = videohub.verify(NAME, tmp_path / "copies" / "val-*.tar", out=tmp_path / "run", workers=0, shard="2/2")
    assert (report.counts.scored, report.counts.pending) == (6, 0)


def test_the_verbs_take_tars(files, tmp_path, run):
    tars = tmp_path / "tars" / "val-{0..2}.tar"
    code, out, _ = run(
        "verify", NAME, "--data", tars, "--list", files, "--workers", 0, "--out", tmp_path / "run", "--json"
    )
    assert code in (0, 1, 3)
    assert json.loads(out)[0]["counts"]["scored"] == 6 if isinstance(json.loads(out), list) else True
    code, out, _ = run("benchmark", NAME, "--data", tars, "--workers", 0, "--json")
    assert (code, json.loads(out)["counts"]["scored"]) == (0, 6)
    code, out, _ = run("data", "check", NAME, "--data", tars, "--json")
    checked = json.loads(out)
    assert (checked["listed"], checked["found"], checked["usable"]) == (6, 6, 6)
    code, _, err = run("data", "check", NAME, "--data", tmp_path / "tars" / "val-{0..3}.tar")
    assert (code, "val-3.tar: no such file" in err) == (3, True)


def test_a_check_looks_into_the_members_and_remembers_them(files, tmp_path):
    from videohub import preflight

    files.write_text(files.read_text() + "gone.mp4 3\nbad.mp4 4\ntwin.mp4 5\n")
    twin = (tmp_path / "files" / "v0.mp4").read_bytes()
    write_tar(tmp_path / "tars" / "val-3.tar", {"bad.mp4": twin[: len(twin) // 2], "twin.mp4": twin})
    tars = str(tmp_path / "tars" / "val-*.tar")
    index = preflight.index_beside(tars)
    for deep in (False, True):
        checked = preflight.check(NAME, tars, list_file=files, workers=1, deep=deep, index=index)
        assert (checked.listed, checked.missing, checked.unreadable, checked.usable) == (9, 1, 1, 7)
        assert "v0.mp4" in str([finding.samples for finding in checked.findings if "same" in finding.text])
    assert preflight.check(NAME, tars, list_file=files, workers=1, index=index).looked_at == 0


@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_a_training_set_of_tars_gives_the_clips_of_files(files, tmp_path, context):
    from torch.utils.data import DataLoader

    of_files = videohub.ClipDataset(files, NAME, split="val", train=False)
    of_tars = videohub.ClipDataset(str(tmp_path / "tars" / "val-{0..2}.tar"), NAME, split="val", train=False)
    assert len(of_tars) == 6
    for (clip, target), (other, right) in zip(of_tars, of_files, strict=True):
        assert target == right
        assert np.array_equal(clip.numpy(), other.numpy())
    loaded = list(DataLoader(of_tars, batch_size=3, num_workers=2, multiprocessing_context=context))
    assert [target.tolist() for _, target in loaded] == [[0, 7, 14], [21, 28, 35]]


def test_scores_over_http_are_those_from_files_and_a_member_is_one_request(files, tmp_path, server):
    videohub.verify(NAME, files, out=tmp_path / "a", workers=0)
    url = publish_folder(server, tmp_path / "tars")
    videohub.verify(NAME, f"{url}/val-{{0..2}}.tar", list_file=files, out=tmp_path / "b", workers=1)
    assert scores(tmp_path / "b") == scores(tmp_path / "a")
    shards = runs.join([tmp_path / "b"]).shards
    assert [each.location for each in shards] == [f"{url}/val-{number}.tar" for number in range(3)]


def test_a_tar_behind_a_url_that_changes_ends_the_run(files, tmp_path, server, monkeypatch):
    from videohub.verification import runner

    def changing(*args, **options):
        server.publish("/val-1.tar", b"x" * (tmp_path / "tars" / "val-1.tar").stat().st_size)
        return evaluate(*args, **options)

    evaluate = runner.evaluate
    monkeypatch.setattr(runner, "evaluate", changing)
    url = publish_folder(server, tmp_path / "tars")
    with pytest.raises(FileChangedError, match=r"val-1.tar: has changed"):
        videohub.verify(NAME, f"{url}/val-{{0..2}}.tar", out=tmp_path / "run", workers=1)


def test_predictions_and_features_of_tars_are_those_of_files(files, tmp_path, run, server, caplog):
    url = publish_folder(server, tmp_path / "tars")

    def predicted(given):
        code, out, _ = run("predict", given, "--model", NAME, "--json")
        assert (code, "cret" in out) == (0, False)
        return {os.path.basename(each["name"]): each["predictions"] for each in map(json.loads, out.splitlines())}

    tars = tmp_path / "tars" / "val-{0..2}.tar"
    of_files = predicted(files.parent)
    assert predicted(tars) == predicted(f"{url}/val-{{0..2}}.tar") == of_files
    assert "left out: members of other endings, 6 in all: v0.cls" in caplog.text
    signed = f"{url.replace('//', '//user:secret@')}/val-{{0..2}}.tar?sig=se%2Fcret"
    for tar in (tmp_path / "tars").iterdir():
        server.publish(f"/{tar.name}?sig=se%2Fcret", tar.read_bytes())
    assert predicted(signed) == of_files
    options = ("--model", NAME, "--stride", 16, "--json")
    assert run("features", files.parent, *options, "-o", tmp_path / "a")[0] == 0
    assert run("features", tars, *options, "-o", tmp_path / "b")[0] == 0
    for number in range(6):
        assert (tmp_path / "a" / f"v{number}.npy").read_bytes() == (tmp_path / "b" / f"v{number}.npy").read_bytes()
    _, out, _ = run("features", tars, *options, "-o", tmp_path / "b")
    assert [json.loads(line)["status"] for line in out.splitlines()] == ["kept"] * 6
    write_tar(tmp_path / "tars" / "val-1.tar", {"v2.mp4": (files.parent / "v5.mp4").read_bytes()})
    _, out, _ = run("features", tars, *options, "-o", tmp_path / "b")
    assert [json.loads(line)["status"] for line in out.splitlines()] == ["kept"] * 2 + ["done"] + ["kept"] * 2


@pytest.mark.parametrize("far", [False, True])
def test_large_members_are_read_piece_by_piece(files, tmp_path, server, monkeypatch, far):
    from videohub.data import samples

    videohub.verify(NAME, files, out=tmp_path / "a", workers=0)
    monkeypatch.setattr(samples, "STREAMED", 1000)
    tars = f"{publish_folder(server, tmp_path / 'tars')}/val-{{0..2}}.tar" if far else tmp_path / "tars" / "val-*.tar"
    videohub.verify(NAME, tars, out=tmp_path / "b", workers=0)
    assert scores(tmp_path / "b") == scores(tmp_path / "a")


@pytest.mark.parametrize("out", ["s3://bucket/run", "gs://bucket/run", "https://host/run", "hf://datasets/a/b/run"])
def test_a_bucket_is_refused_as_the_folder_of_a_run(files, tmp_path, run, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        UsageError, match=r"(?s)found a URL, expected a folder on a disk.*give each its part \(--shard\)"
    ):
        videohub.verify(NAME, files, out=out, workers=0)
    for verb in (("verify", NAME), ("benchmark", NAME)):
        code, _, err = run(*verb, "--data", files, "--workers", 0, "--out", out)
        assert (code, "found a URL, expected a folder on a disk" in " ".join(err.split())) == (2, True)
    code, _, err = run("features", files.parent, "--model", NAME, "--stride", 16, "-o", out)
    assert (code, "found a URL, expected a folder on a disk" in " ".join(err.split())) == (2, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["files", "tars"]


def test_one_member_of_a_tar_is_a_video_by_its_name(files, tmp_path):
    member = f"{tmp_path / 'tars' / 'val-1.tar'}/v3.mp4"
    assert videohub.predict(member, NAME) == videohub.predict(files.parent / "v3.mp4", NAME)
    with pytest.raises(UsageError, match=r"val-1.tar: no member is called 'v5.mp4'"):
        videohub.predict(member.replace("v3", "v5"), NAME)


def test_a_member_of_a_tar_that_was_written_anew_is_the_new_one(files, tmp_path):
    """A notebook goes on while its tars change; and a name may hold what the dot of a regular expression does not."""
    tar = tmp_path / "tars" / "val-1.tar"
    before = videohub.predict(f"{tar}/v3.mp4", NAME)
    other = (files.parent / "v5.mp4").read_bytes()
    write_tar(tar, {"v3.mp4": other, "odd\n.mp4": other})
    after = videohub.predict(files.parent / "v5.mp4", NAME)
    assert before != after
    assert videohub.predict(f"{tar}/v3.mp4", NAME) == videohub.predict(f"{tar}/odd\n.mp4", NAME) == after


def test_predictions_and_features_name_no_credential(files, tmp_path, run, server, caplog):
    tar = (tmp_path / "tars" / "val-1.tar").read_bytes()
    server.publish("/val-1.tar?token=hunter2", tar)
    server.publish("/v.mp4?token=hunter2", (files.parent / "v3.mp4").read_bytes())
    url = server.url("/val-1.tar?token=hunter2").replace("//", "//alice:hunter2@")
    features = ("--model", NAME, "--stride", 8, "--out", tmp_path / "features")
    words = [
        run("predict", url, "--model", NAME),
        run("features", url, *features),
        run("features", url.replace("val-1.tar", "v.mp4"), *features),
        run("features", url.replace("val-1.tar", "v.mp4"), *features),
    ]
    assert [code for code, _, _ in words] == [0, 0, 0, 0]
    assert "left out: members of other endings" in caplog.text
    assert "(was there)" in words[-1][1]
    kept = [file.read_text() for file in (tmp_path / "features").glob("*.json")]
    assert len(kept) == 4  # three videos, and how they were made
    assert not [text for text in [caplog.text, *kept, *(out + err for _, out, err in words)] if "hunter2" in text]
    server.publish("/v.mp4?token=other", (files.parent / "v5.mp4").read_bytes())
    other = server.url("/v.mp4?token=other").replace("//", "//alice:hunter2@")
    assert "(was there)" not in run("features", other, *features)[1]


def test_the_index_of_a_tar_without_marks_of_its_version_is_read_each_time(files, tmp_path, server):
    """Another one of the same size could not be told from it."""
    members = {name: (files.parent / name).read_bytes() for name in ("v0.mp4", "v1.mp4")}
    unmarked = headed({"ETag": None, "Last-Modified": None})
    for order in (["v0.mp4", "v1.mp4"], ["v1.mp4", "v0.mp4"]):
        tar = write_tar(tmp_path / "one.tar", {name: members[name] for name in order})
        url = server.publish("/one.tar", tar.read_bytes(), unmarked)
        assert videohub.predict(f"{url}/v1.mp4", NAME) == videohub.predict(files.parent / "v1.mp4", NAME)
        _members_of.cache_clear()  # as another process has none

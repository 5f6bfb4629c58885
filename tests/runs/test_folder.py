"""The folder of a run: made once, found again, refused to any other run."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import time
from pathlib import Path

import pytest

from tests.runs.made import IDENTITY, MADE_BY, identity, kept, scores_of, truth
from videohub.errors import CacheError, DataError, UsageError
from videohub.runs import Truth, folder, join, open_run, read_run


def names(place: Path) -> list[str]:
    return sorted(path.name for path in place.rglob("*") if path.is_file())


def test_a_new_run_is_two_files_that_tell_what_it_is(tmp_path):
    open_run(tmp_path / "deep" / "run", IDENTITY, truth(3))
    assert names(tmp_path) == ["data.json", "run.json"]
    card = json.loads((tmp_path / "deep" / "run" / "run.json").read_text())
    assert card["schema_version"] == 1
    assert card["identity"]["protocol"]["mean"] == [0.45, 0.45, 0.45]
    data = json.loads((tmp_path / "deep" / "run" / "data.json").read_text())
    assert data["names"] == ["0.mp4", "1.mp4", "2.mp4"]


def test_a_run_that_is_opened_again_knows_what_is_done(tmp_path):
    run = kept(tmp_path / "run", 5, [3, 1])
    with run.writer(MADE_BY) as writer:
        writer.fail(4, "4.mp4", "no pictures")
        writer.fail(1, "1.mp4", "a second process had no luck with it")
    again = open_run(tmp_path / "run", IDENTITY, truth(5))
    assert again.done() == {1, 3, 4}
    assert again.done(retry_failed=True) == {1, 3}
    joined = join([again.folder])
    assert (joined.scored, joined.missing, joined.pending, joined.torn) == ([1, 3], [0, 2, 4], [0, 2], 0)


def test_what_is_read_back_is_the_run_that_was_made(tmp_path):
    ava = {"names": {1: "bend"}, "keys": ["v,0902"], "boxes": [(0.0, 0.1, 0.5, 1.0)], "labels": [1]}
    made = open_run(tmp_path, IDENTITY, Truth(names=["a"], classes=[[]], ava=ava))
    assert read_run(tmp_path) == made
    assert made.truth.ava == {
        "names": {"1": "bend"},
        "keys": ["v,0902"],
        "boxes": [[0.0, 0.1, 0.5, 1.0]],
        "labels": [1],
    }


def test_a_folder_of_another_run_is_refused_with_the_fields_that_differ(tmp_path):
    kept(tmp_path / "run", 3, [0])
    with pytest.raises(UsageError) as refusal:
        open_run(tmp_path / "run", identity(weights_sha256="91" * 32, seed=7), truth(3))
    assert str(refusal.value) == (
        f"{tmp_path / 'run'}: holds another run:\n"
        "  weights_sha256: 919191919191… asked for, 3f3f3f3f3f3f… in it\n"
        "  seed: 7 asked for, 0 in it\n"
        "  Give the options that it was made with, choose another --out, or remove the folder if its scores are no "
        "longer wanted."
    )


def test_a_folder_of_the_same_run_on_other_samples_is_refused(tmp_path):
    kept(tmp_path / "run", 3, [0])
    with pytest.raises(UsageError, match="samples: 4 asked for, 3 in it"):
        open_run(tmp_path / "run", IDENTITY, truth(4))


@pytest.mark.parametrize("stranger", ["thesis.tex", "data.json", "scores"])
def test_a_folder_of_other_things_is_left_alone(tmp_path, stranger):
    (tmp_path / stranger).touch()
    with pytest.raises(UsageError, match=f"found '{stranger}' and no run.json, expected an empty folder"):
        open_run(tmp_path, IDENTITY, truth(3))
    assert names(tmp_path) == [stranger]


def test_hidden_files_are_nobody_s(tmp_path):
    for name in (".DS_Store", ".run.json-0123456789abcdef.part", ".nfs000001"):
        (tmp_path / name).touch()
    assert open_run(tmp_path, IDENTITY, truth(3)).done() == set()


def test_a_file_is_not_a_folder(tmp_path):
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UsageError, match="found a file, expected a folder"):
            open_run(place, IDENTITY, truth(3))


def test_a_folder_that_cannot_be_written_is_told_as_such(tmp_path, monkeypatch):
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CacheError, match=r"cannot keep a run \(No space left on device\); choose another --out"):
        open_run(tmp_path, IDENTITY, truth(3))
    assert names(tmp_path) == []


def test_names_and_classes_go_together(tmp_path):
    with pytest.raises(UsageError, match="found 2 names and 1 lists of classes"):
        open_run(tmp_path, IDENTITY, Truth(names=["a", "b"], classes=[[0]]))


# --- damage ----------------------------------------------------------------------------------------------------------


def test_a_run_json_that_ends_early_is_never_taken_for_one(tmp_path):
    card = kept(tmp_path / "run", 3, [0]).folder / "run.json"
    for length in range(len(card.read_bytes().rstrip()) - 1, -1, -1):
        os.truncate(card, length)
        with pytest.raises(DataError, match=r"run.json: cannot be understood .*\n.*bring it back from a copy"):
            open_run(tmp_path / "run", IDENTITY, truth(3))


def test_a_run_of_a_later_version_is_refused(tmp_path):
    card = kept(tmp_path / "run", 3, [0]).folder / "run.json"
    card.write_text(card.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    with pytest.raises(DataError, match="a run of version 2, and this videohub reads 1"):
        read_run(tmp_path / "run")


def test_a_run_json_without_clips_is_refused(tmp_path):
    card = kept(tmp_path / "run", 3, [0]).folder / "run.json"
    card.write_text(card.read_text().replace('"clips"', '"chips"'))
    with pytest.raises(DataError, match=r"cannot be understood .*chips"):
        read_run(tmp_path / "run")


@pytest.mark.parametrize("content", [None, b"", b"{"])
def test_a_data_json_that_is_lost_is_refused_by_readers_and_mended_by_the_run_itself(tmp_path, content):
    data = kept(tmp_path / "run", 3, [0, 1]).folder / "data.json"
    before = data.read_bytes()
    data.unlink()
    if content is not None:
        data.write_bytes(content)
    with pytest.raises(
        DataError, match=r"data.json: found .*, run.json vouches for .*\n.*the command that made the run"
    ):
        join([tmp_path / "run"])
    assert open_run(tmp_path / "run", IDENTITY, truth(3)).done() == {0, 1}
    assert data.read_bytes() == before


@pytest.mark.parametrize("content", [b"{}", b'{"surprise":' * 100_000, b"\xff", b'{"names": [3]}'])
def test_a_data_json_that_is_vouched_for_and_says_nothing_is_refused(tmp_path, content):
    place = kept(tmp_path / "run", 3, [0]).folder
    card = json.loads((place / "run.json").read_text())
    (place / "run.json").write_text(json.dumps(card | {"truth_sha256": hashlib.sha256(content).hexdigest()}))
    (place / "data.json").write_bytes(content)
    with pytest.raises(DataError, match=r"data.json: cannot be understood"):
        read_run(place)


@pytest.mark.skipif(not Path("/dev/null").is_char_device(), reason="no devices here")
@pytest.mark.parametrize("name", ["data.json", "scores/mine.scores"])
def test_a_device_in_the_place_of_a_run_s_data_is_not_read(tmp_path, name):
    place = kept(tmp_path / "run", 3, [0]).folder / name
    place.unlink(missing_ok=True)
    place.symlink_to("/dev/null")
    with pytest.raises(DataError, match="a pipe or a device, expected a file"):
        join([tmp_path / "run"])


@pytest.mark.skipif(not Path("/dev/null").is_char_device(), reason="no devices here")
def test_a_device_in_the_place_of_a_run_is_not_read(tmp_path):
    """A pipe there would keep us waiting."""
    card = kept(tmp_path / "run", 3, [0]).folder / "run.json"
    card.unlink()
    card.symlink_to("/dev/null")
    with pytest.raises(CacheError, match="a pipe or a device, expected a file"):
        open_run(tmp_path / "run", IDENTITY, truth(3))


def test_an_empty_place_keeps_no_run(tmp_path):
    with pytest.raises(UsageError, match=r"found no run.json, expected the folder of a run"):
        read_run(tmp_path)


# --- many at once ----------------------------------------------------------------------------------------------------


def _open_together(place: Path, begin: float, seed: int) -> None:
    time.sleep(max(0.0, begin - time.time()))
    run = open_run(place, identity(seed=seed), truth(200))
    with run.writer(MADE_BY) as writer:
        writer.append(seed, f"{seed}.mp4", None, scores_of(seed))


def test_eight_processes_that_start_together_make_one_run(tmp_path, forks):
    for turn in range(5):
        place, begin = tmp_path / str(turn), time.time() + 0.05
        children = [forks.start(_open_together, place, begin, 7) for _ in range(8)]
        assert [forks.end(child) for child in children] == [0] * 8
        joined = join([place])
        assert (list(joined.entries), joined.repeated, joined.disagreeing) == ([7], 1, [])
        assert len(list((place / "scores").iterdir())) == 8
        assert sorted(os.listdir(place)) == ["data.json", "run.json", "scores"]


def test_of_two_runs_that_start_together_in_one_folder_one_is_refused(tmp_path, forks):
    for turn in range(5):
        place, begin = tmp_path / str(turn), time.time() + 0.05
        children = {forks.start(_open_together, place, begin, seed): seed for seed in (0, 1) * 4}
        ended = [(seed, forks.end(child)) for child, seed in children.items()]
        winner = read_run(place).identity.seed
        assert {status for seed, status in ended if seed == winner} == {0}
        assert {status for seed, status in ended if seed != winner} == {UsageError.exit_code}
        assert list(join([place]).entries) == [winner]


def test_where_there_are_no_links_a_run_is_made_all_the_same(tmp_path, monkeypatch):
    def refuse(*arguments: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    run = kept(tmp_path / "run", 3, [0])
    assert folder.read_run(run.folder) == run
    assert sorted(os.listdir(run.folder)) == ["data.json", "run.json", "scores"]
    with pytest.raises(UsageError, match="holds another run"):
        open_run(run.folder, identity(seed=1), truth(3))

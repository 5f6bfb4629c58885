"""Processes that keep scores are killed at any moment: nothing that was kept is lost, and the end is the same."""

from __future__ import annotations

import mmap
import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from tests.runs.conftest import KILLED, Forks
from tests.runs.made import IDENTITY, MADE_BY, scores_of, shard, truth
from videohub.runs import Joined, join, open_run
from videohub.runs.score_file import read_scores

pytestmark = pytest.mark.slow

MANY = 2000
RIGHT = np.stack([scores_of(index) for index in range(MANY)])


def _keep_what_is_pending(
    folder: Path, kept: Path, number: int = 1, of: int = 1, dies: tuple[int, float] | None = None
) -> None:
    """Keep every sample of a shard that is not done, and mark in the file `kept` what `append` has returned from."""
    run = open_run(folder, IDENTITY, truth(MANY))
    if dies is not None:
        _die_within_a_write(*dies)
    done = run.done()
    with kept.open("r+b") as file, mmap.mmap(file.fileno(), MANY) as marks, run.writer(shard(number, of)) as writer:
        for index in range(number - 1, MANY, of):
            if index not in done:
                writer.append(index, f"{index}.mp4", "v" * 64, RIGHT[index])
                marks[index] = 1


def _die_within_a_write(count: int, share: float) -> None:
    """Be killed when a share of the count-th write's bytes is on the disk; a clock would hardly ever hit that."""
    write, left = os.write, [count]

    def die(handle: int, block: bytes) -> int:
        left[0] -= 1
        if left[0]:
            return write(handle, block)
        write(handle, block[: int(share * len(block))])
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    os.write = die


def _marks(path: Path) -> Path:
    path.write_bytes(bytes(MANY))
    return path


def _assert_nothing_lost_and_nothing_wrong(joined: Joined, kept: Path) -> None:
    marked = set(np.flatnonzero(np.frombuffer(kept.read_bytes(), np.uint8)).tolist())
    assert marked <= set(joined.entries)
    assert len(joined.entries) + len(joined.pending) == MANY
    read = 0
    for entry, scores in read_scores(joined.entries.values()):
        assert entry.name == f"{entry.index}.mp4"
        assert scores.tobytes() == RIGHT[entry.index].tobytes()
        read += 1
    assert read == len(joined.entries)


def _uninterrupted(folder: Path) -> bytes:
    run = open_run(folder, IDENTITY, truth(MANY))
    with run.writer(MADE_BY) as writer:
        for index in range(MANY):
            writer.append(index, f"{index}.mp4", "v" * 64, RIGHT[index])
    return join([folder]).video_scores()[1].tobytes()


def test_fifty_kills_at_random_moments_lose_nothing_and_change_nothing(tmp_path, forks):
    plain = _uninterrupted(tmp_path / "plain")
    draw, kills, torn, number = random.Random(0), 0, 0, 0
    while kills < 50:
        folder, kept, status = tmp_path / str(number), _marks(tmp_path / f"{number}.kept"), KILLED
        number += 1
        while status == KILLED:
            by_clock = draw.random() < 0.5
            dies = None if by_clock else (draw.randint(1, 700), draw.random())
            child = forks.start(_keep_what_is_pending, folder, kept, 1, 1, dies)
            if by_clock:
                time.sleep(draw.uniform(0, 0.06))
                os.kill(child, signal.SIGKILL)
            status = forks.end(child)  # 0: it was faster, or had little left to do
            kills += status == KILLED
            if (folder / "run.json").exists() and (folder / "data.json").exists():
                joined = join([folder])
                _assert_nothing_lost_and_nothing_wrong(joined, kept)
                torn = max(torn, joined.torn)
        assert status == 0
        joined = join([folder])
        assert (joined.pending, joined.repeated, joined.disagreeing) == ([], 0, [])
        assert joined.video_scores()[1].tobytes() == plain
    assert torn > 2  # some were hit within a write


def test_four_writers_at_once_of_which_two_are_killed_and_started_again(tmp_path, forks: Forks):
    plain = _uninterrupted(tmp_path / "plain")
    folder, kept = tmp_path / "run", _marks(tmp_path / "kept")
    deaths = {2: (100, 0.5), 4: (1, 0.9)}  # one amid its work, one as it says who it is
    children = {number: forks.start(_keep_what_is_pending, folder, kept, number, 4, deaths.get(number))
                for number in (1, 2, 3, 4)}  # fmt: skip
    ended = {number: forks.end(child) for number, child in children.items()}
    assert ended == {1: 0, 2: KILLED, 3: 0, 4: KILLED}
    joined = join([folder])
    _assert_nothing_lost_and_nothing_wrong(joined, kept)
    assert (len(joined.pending), joined.torn) == (500 + 500 - 98, 2)  # the header was the first write
    again = [forks.start(_keep_what_is_pending, folder, kept, number, 4) for number in (2, 4)]
    assert [forks.end(child) for child in again] == [0, 0]
    joined = join([folder])
    assert (joined.pending, joined.repeated, len(joined.made_by)) == ([], 0, 5)
    assert joined.video_scores()[1].tobytes() == plain


def test_what_is_read_while_others_write_is_whole(tmp_path, forks):
    folder, kept = tmp_path / "run", _marks(tmp_path / "kept")
    open_run(folder, IDENTITY, truth(MANY))
    children = [forks.start(_keep_what_is_pending, folder, kept, number, 2) for number in (1, 2)]
    seen = 0
    while seen < MANY:
        joined = join([folder])
        assert len(joined.entries) >= seen
        seen = len(joined.entries)
        assert (joined.repeated, joined.disagreeing) == (0, [])
    assert [forks.end(child) for child in children] == [0, 0]


def test_four_processes_that_score_the_same_samples_count_once(tmp_path, forks):
    folder, begun = tmp_path / "run", open_run(tmp_path / "run", IDENTITY, truth(MANY))
    kept = [_marks(tmp_path / f"{number}.kept") for number in range(4)]
    children = [forks.start(_keep_all, folder, path) for path in kept]
    assert [forks.end(child) for child in children] == [0] * 4
    joined = join([folder])
    assert (joined.pending, joined.repeated, joined.disagreeing) == ([], 200, [])
    assert len(begun.score_files()) == 4


def _keep_all(folder: Path, kept: Path) -> None:
    """Keep everything of one shard, and of the first 200 samples what others keep as well."""
    number = int(kept.stem)
    with open_run(folder, IDENTITY, truth(MANY)).writer(shard(number + 1, 4)) as writer:
        for index in range(MANY):
            if index < 200 or index % 4 == number:
                writer.append(index, f"{index}.mp4", None, RIGHT[index])

"""Writers: one write for each entry, nothing taken that is not this run's, and what a full disk does to them."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.runs.made import IDENTITY, MADE_BY, ends_of, is_right, kept, score_file, scores_of, shard, truth
from videohub.errors import CacheError, DataError, UsageError
from videohub.runs import join, open_run


def test_each_entry_is_one_write_and_the_disk_is_waited_for_at_the_end(tmp_path, monkeypatch):
    calls: list[str] = []
    write, fsync = os.write, os.fsync
    run = kept(tmp_path / "run", 50, [])
    monkeypatch.setattr(os, "write", lambda *given: (calls.append("write"), write(*given))[1])
    monkeypatch.setattr(os, "fsync", lambda *given: (calls.append("fsync"), fsync(*given))[1])
    with run.writer(MADE_BY) as writer:
        for index in range(50):
            writer.append(index, f"{index}.mp4", None, scores_of(index))
    assert calls == ["write"] * 51 + ["fsync"]
    monkeypatch.setattr("videohub.runs.score_file._FLUSH_S", -1.0)  # as if every entry took that long
    calls.clear()
    with run.writer(MADE_BY) as writer:
        writer.append(0, "0.mp4", None, scores_of(0))
    assert calls == ["write", "fsync"] * 2 + ["fsync"]


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_scores_that_are_no_numbers_are_refused(tmp_path, odd):
    run = kept(tmp_path / "run", 5, [])
    wrong = scores_of(1)
    wrong[1, 2] = odd
    with run.writer(MADE_BY) as writer:
        with pytest.raises(DataError, match=r"1.mp4: 1 of 10 scores are not finite"):
            writer.append(1, "1.mp4", None, wrong)
        writer.append(2, "2.mp4", None, scores_of(2))
    assert run.done() == {2}


def test_other_precisions_are_refused(tmp_path):
    run = kept(tmp_path / "run", 5, [])
    with run.writer(MADE_BY) as writer, pytest.raises(UsageError, match="scores of float64, expected float32"):
        writer.append(1, "1.mp4", None, scores_of(1).astype(np.float64))


def test_scores_that_lie_otherwise_in_memory_are_kept_in_their_order(tmp_path):
    run = kept(tmp_path / "run", 5, [])
    with run.writer(MADE_BY) as writer:
        writer.append(1, "1.mp4", None, np.asfortranarray(scores_of(1)))
        writer.append(2, "2.mp4", None, scores_of(2)[:, ::-1].copy()[:, ::-1])
    assert all(map(is_right, join([run.folder]).entries.values()))


@pytest.mark.parametrize("said", ["", "1", "0/2", "3/2", "1/2/3", "01/2"])
def test_a_shard_is_one_of_so_many(tmp_path, said):
    run = kept(tmp_path / "run", 5, [])
    with pytest.raises(UsageError, match=f"shard: found '{said}', expected one such as '2/16'"):
        run.writer(msgspec.structs.replace(MADE_BY, shard=said))


def test_a_file_s_name_says_whose_shard_it_is(tmp_path):
    run = open_run(tmp_path, IDENTITY, truth(5))
    run.writer(shard(2, 16)).close()
    assert score_file(run).name.startswith("2-of-16-")


def test_a_writer_that_was_closed_takes_nothing(tmp_path):
    run = kept(tmp_path / "run", 5, [])
    with run.writer(MADE_BY) as writer:
        pass
    writer.close()
    with pytest.raises(UsageError, match="was closed"):
        writer.fail(0, "0.mp4", "no")


def test_a_reason_may_quote_a_name_that_is_not_utf_8(tmp_path):
    run = kept(tmp_path / "run", 5, [])
    with run.writer(MADE_BY) as writer:
        writer.fail(0, "0.mp4", "caf\udce9.mp4: no pictures")
    assert join([run.folder]).entries[0].failure == "caf\\udce9.mp4: no pictures"


# --- a full disk -----------------------------------------------------------------------------------------------------


def _write_with_room_for(room: int, folder: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))  # the kernel takes a part, and then refuses
    run = open_run(folder, IDENTITY, truth(5))
    with run.writer(MADE_BY) as writer:
        for index in range(5):
            try:
                writer.append(index, f"{index}.mp4", "v" * 64, scores_of(index))
            except CacheError as error:
                (folder.parent / "said").write_text(str(error))
                with pytest.raises(CacheError):  # and the same for all that follow
                    writer.append(index, f"{index}.mp4", None, scores_of(index))
                raise


def test_an_entry_that_the_disk_takes_a_part_of_poisons_nothing(tmp_path, forks):
    ends = ends_of(kept(tmp_path / "like it", 5, range(5)))
    for room in range(ends[1], ends[3], 17):
        folder = tmp_path / str(room)
        kept(folder, 5, []).score_files()[0].unlink()
        assert forks.end(forks.start(_write_with_room_for, room, folder)) == CacheError.exit_code
        said = (tmp_path / "said").read_text()
        whole = sum(end <= room for end in ends)
        if room in ends:
            assert "File too large" in said
        else:
            assert f"it took {room - ends[whole - 1]} of {ends[whole] - ends[whole - 1]} bytes" in said
        assert "run the same command again; it goes on from there" in said
        run = open_run(folder, IDENTITY, truth(5))
        assert run.done() == set(join([folder]).entries) == set(range(whole))
        with run.writer(MADE_BY) as writer:
            for index in sorted(set(range(5)) - run.done()):
                writer.append(index, f"{index}.mp4", None, scores_of(index))
        assert join([folder]).pending == []


@pytest.mark.parametrize("step", ["write", "fsync", "close"])
def test_a_full_disk_is_told_whenever_it_shows(tmp_path, monkeypatch, step):
    def full(handle: int, *given: object) -> None:
        if step == "close":
            close(handle)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    run, close = kept(tmp_path / "run", 5, []), os.close
    writer = run.writer(MADE_BY)
    with monkeypatch.context() as patch:
        patch.setattr(os, step, full)
        with pytest.raises(CacheError, match=r"No space left on device.*\n.*Make room"):  # noqa: PT012 (by either)
            writer.append(0, "0.mp4", None, scores_of(0))
            writer.close()
    writer.close()
    with pytest.raises(CacheError, match="No space left on device"):
        writer.append(1, "1.mp4", None, scores_of(1))


def test_a_place_that_takes_no_file_is_told_before_anything_is_computed(tmp_path):
    run = kept(tmp_path / "run", 5, [])
    score_file(run).unlink()
    (run.folder / "scores").rmdir()
    (run.folder / "scores").touch()
    with pytest.raises(CacheError, match="cannot be written: "):
        run.writer(MADE_BY)
    with pytest.raises(DataError, match="scores: cannot be read"):
        run.done()

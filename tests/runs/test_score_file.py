"""Score files: cut or damaged anywhere, they never give a wrong entry."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.runs.made import IDENTITY, MADE_BY, ends_of, identity, is_right, kept, score_file, scores_of, shard, truth
from videohub.errors import CacheError, DataError, UsageError
from videohub.runs import join, open_run
from videohub.runs import score_file as kept_file
from videohub.runs.score_file import ScoreFile


def read_both_ways(path: Path, terms: kept_file.Terms) -> ScoreFile:
    """Read a file whole; a quick look has to see the same."""
    quick, whole = (kept_file.read(path, terms, whole=whole) for whole in (False, True))
    assert quick == whole
    return whole


# --- cut, damaged ----------------------------------------------------------------------------------------------------


def test_a_file_cut_at_any_byte_gives_the_entries_before_the_cut_and_no_other(tmp_path):
    run = kept(tmp_path / "run", 5, [4, 0, 3])
    path, ends = score_file(run), ends_of(run)
    content = path.read_bytes()
    whole = {0, len(kept_file.header(run.terms.run, MADE_BY)), *ends}
    assert len(whole) == 5
    assert max(whole) == len(content)
    for length in range(len(content), -1, -1):
        os.truncate(path, length)
        file = read_both_ways(path, run.terms)
        assert [entry.index for entry in file.entries] == [4, 0, 3][: sum(end <= length for end in ends)]
        assert all(map(is_right, file.entries))
        assert file.torn == (length not in whole)


def test_a_cut_run_goes_on_and_ends_like_one_that_was_not(tmp_path):
    whole = join([kept(tmp_path / "whole", 5, range(5)).folder]).video_scores()[1]
    run = kept(tmp_path / "run", 5, range(5))
    path, last = score_file(run), ends_of(run)[2]
    path.write_bytes(path.read_bytes()[: last + 30])
    again = open_run(run.folder, IDENTITY, truth(5))
    assert again.done() == {0, 1, 2}
    assert join([run.folder]).torn == 1
    with again.writer(MADE_BY) as writer:
        for index in (3, 4):
            writer.append(index, f"{index}.mp4", None, scores_of(index))
    joined = join([run.folder])
    assert (joined.pending, joined.torn, joined.repeated) == ([], 1, 0)
    assert joined.video_scores()[1].tobytes() == whole.tobytes()


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_a_changed_byte_anywhere_is_told_or_costs_the_last_entry_alone(tmp_path, mask):
    run = kept(tmp_path / "run", 5, [4, 0, 3])
    path, ends = score_file(run), ends_of(run)
    content = path.read_bytes()
    messages = []
    for at in range(len(content)):
        with path.open("r+b") as changed:
            changed.write(content[:at] + bytes([content[at] ^ mask]) + content[at + 1 :])
        try:
            file = kept_file.read(path, run.terms, whole=True)
        except DataError:
            messages.append(at)
            continue
        assert [entry.index for entry in file.entries] == [4, 0]
        assert all(map(is_right, file.entries))
        assert read_both_ways(path, run.terms) == file
    assert messages == list(
        range(ends[1] + 20)
    )  # up to the last entry's head; what that is of may be a power cut's trace


def test_damage_is_told_with_its_place_and_the_way_out_works(tmp_path):
    run = kept(tmp_path / "run", 5, [4, 0, 3])
    path, ends = score_file(run), ends_of(run)
    content = bytearray(path.read_bytes())
    content[ends[1] - 1] ^= 1  # in the scores of the second
    path.write_bytes(content)
    assert run.done() == {4, 0, 3}  # a look at the scores would take too long
    with pytest.raises(DataError) as messages:
        join([run.folder])
    assert f"{path}: damaged at byte {ends[0]}: a checksum does not fit" in str(messages.value)
    assert f"`truncate -s {ends[0]} {path}` keeps it" in str(messages.value)
    os.truncate(path, ends[0])
    assert run.done() == set(join([run.folder]).entries) == {4}


@pytest.mark.parametrize("zeros", [1, 19, 20, 21, 5000])
def test_zeros_at_the_end_are_bytes_that_never_arrived(tmp_path, zeros):
    run = kept(tmp_path / "run", 5, [4, 0])
    path = score_file(run)
    with path.open("ab") as file:
        file.write(bytes(zeros))
    file = read_both_ways(path, run.terms)
    assert [entry.index for entry in file.entries] == [4, 0]
    assert file.torn
    with path.open("ab") as appended:
        appended.write(b"and then something" * 2)
    if zeros >= 20:
        with pytest.raises(DataError, match="damaged at byte"):
            kept_file.read(path, run.terms, whole=False)


@pytest.mark.parametrize("content", [b"PK\x03\x04", b"vhscore2" + bytes(100)])
def test_another_kind_of_file_is_told(tmp_path, content):
    run = kept(tmp_path / "run", 5, [])
    (run.folder / "scores" / "1-of-1-x.scores").write_bytes(content)
    with pytest.raises(DataError, match="expected a score file"):
        run.done()


def test_scores_of_another_run_are_told(tmp_path):
    ours = kept(tmp_path / "ours", 5, [1])
    other = open_run(tmp_path / "other", identity(seed=1), truth(5))
    other.writer(MADE_BY).close()
    (path,) = other.score_files()
    path.rename(ours.folder / "scores" / path.name)
    with pytest.raises(
        DataError, match=r"found scores of run .*and run.json beside it is of run .*\n.*take the file out"
    ):
        ours.done()


@pytest.mark.parametrize(
    ("index", "name", "shape", "said"),
    [
        (5, "5.mp4", (2, 5), "found sample 5, expected 0 to 4"),
        (-1, "4.mp4", (2, 5), "found sample -1, expected 0 to 4"),
        (3, "4.mp4", (2, 5), "found '4.mp4' as sample 3, expected '3.mp4'"),
        (3, "3.mp4", (1, 5), "found scores (1, 5) for '3.mp4', expected (2, 5)"),
        (3, "3.mp4", (2, 6), "found scores (2, 6) for '3.mp4', expected (2, 5)"),
    ],
)
def test_entries_that_are_not_this_run_s_are_refused_by_writers_and_readers(tmp_path, index, name, shape, said):
    run = kept(tmp_path / "run", 5, [0])
    ones = np.ones(shape, np.float32)
    with run.writer(MADE_BY) as writer, pytest.raises(UsageError) as refusal:
        writer.append(index, name, None, ones)
    assert str(refusal.value) == said
    assert run.done() == {0}
    with writer.path.open("ab") as file:
        file.write(kept_file.block(kept_file._Note(index, name, None, None, shape, 0.0), ones.tobytes()))
    with pytest.raises(DataError) as messages:
        run.done()
    assert f"{said}.\n  What comes before is whole: `truncate -s" in str(messages.value)


def test_an_entry_of_a_later_version_is_told(tmp_path):
    run = kept(tmp_path / "run", 5, [0])
    with score_file(run).open("ab") as file:
        file.write(kept_file.block({"index": 1, "colour": "red"}))
    with pytest.raises(DataError, match=r"cannot be understood .*\n.*A newer videohub wrote it"):
        run.done()


def test_a_header_that_is_nested_deeply_is_told(tmp_path):
    run = kept(tmp_path / "run", 5, [])
    (run.folder / "scores").mkdir(exist_ok=True)
    nested = b"\x81\xa1x" + b"\x91" * 100_000 + b"\xc0"  # {"x": [[[… null …]]]}
    (run.folder / "scores" / "1-of-1-x.scores").write_bytes(kept_file.MARK + kept_file.block(msgspec.Raw(nested)))
    with pytest.raises(DataError, match="cannot be understood"):
        run.done()


def test_a_file_that_shrinks_after_it_was_joined_gives_an_error_and_no_scores(tmp_path):
    run = kept(tmp_path / "run", 5, [0, 1])
    joined = join([run.folder])
    os.truncate(score_file(run), ends_of(run)[1] - 1)
    assert joined.entries[0].scores is not None
    with pytest.raises(DataError, match="ends before the scores at byte"):
        joined.video_scores()
    score_file(run).unlink()
    with pytest.raises(DataError, match="cannot be read"):
        _ = joined.entries[0].scores


# --- writers: one write for each entry, nothing taken that is not this run's, a full disk -----------------------------


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
        text = (tmp_path / "said").read_text()
        whole = sum(end <= room for end in ends)
        if room in ends:
            assert "File too large" in text
        else:
            assert f"it took {room - ends[whole - 1]} of {ends[whole] - ends[whole - 1]} bytes" in text
        assert "run the same command again; it goes on from there" in text
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


def test_a_file_that_was_removed_meanwhile_ends_its_writer(tmp_path):
    run = open_run(tmp_path / "run", IDENTITY, truth(5))
    writer = run.writer(MADE_BY)
    writer.append(0, "0.mp4", None, scores_of(0))
    score_file(run).unlink()
    with pytest.raises(CacheError, match="was removed, with what it held"):
        writer.flush()
    with pytest.raises(CacheError, match="was removed"):
        writer.append(1, "1.mp4", None, scores_of(1))
    writer.close()


def test_a_place_that_takes_no_file_is_told_before_anything_is_computed(tmp_path):
    run = kept(tmp_path / "run", 5, [])
    score_file(run).unlink()
    (run.folder / "scores").rmdir()
    (run.folder / "scores").touch()
    with pytest.raises(CacheError, match="cannot be written: "):
        run.writer(MADE_BY)
    with pytest.raises(DataError, match="scores: cannot be read"):
        run.done()

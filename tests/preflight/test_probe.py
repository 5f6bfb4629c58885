"""A decoder that hangs or crashes costs the file that it was given, and nothing else."""

from __future__ import annotations

import functools
import os
import sys
import time
from contextlib import closing

import pytest

from tests.preflight.conftest import check
from videohub.errors import DeviceError
from videohub.preflight import probe
from videohub.preflight.probe import Job, Probe
from videohub.worker_pool import process

# Stands in for a decoder: does what the file's name says.
CODE = """
import os, signal, time
from videohub.preflight import probe
from videohub.preflight.probe import Probe
from videohub.worker_pool import worker

def look(job):
    if b"hang" in job.path:
        time.sleep(600)
    if b"crash" in job.path:
        os.kill(os.getpid(), signal.SIGSEGV)
    if b"leave" in job.path:
        os._exit(3)
    if b"once" in job.path and not os.path.exists(job.path):
        open(job.path, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    if b"fault" in job.path:
        raise TypeError("open() got an unexpected keyword argument")
    if b"talk" in job.path:
        os.write(1, b"frame dropped")
    return Probe(frames=len(job.path))

probe.probe_file = look
worker.main()
"""


def stand_in(monkeypatch, code: str) -> None:
    """Let worker processes run some code instead of their program."""
    pool = functools.partial(probe.WorkerPool, command=(sys.executable, "-c", code))
    monkeypatch.setattr(probe, "WorkerPool", pool)


def look(names: list[bytes], *, workers: int = 2, timeout_s: float = 20) -> list[Probe]:
    jobs = [Job("video", name) for name in names]
    with closing(probe.probe_files(jobs, workers=workers, timeout_s=timeout_s)) as answers:
        return list(answers)


def test_answers_come_in_order_and_a_crash_costs_one_file(monkeypatch):
    stand_in(monkeypatch, CODE)
    answers = look([b"1", b"crash", b"333", b"leave", b"talk", b"666666"])
    assert [answer.frames for answer in answers] == [1, 0, 3, 0, 4, 6]
    assert [answer.problem for answer in answers if answer.problem] == [
        "the decoder crashed (SIGSEGV)",
        "the decoder crashed (exit code 3)",
    ]
    assert [answer.passing for answer in answers] == [False, True, False, True, False, False]


def test_a_process_that_is_ended_from_outside_costs_no_file(monkeypatch, tmp_path):
    stand_in(monkeypatch, CODE)
    ended = [os.fsencode(tmp_path / f"once {number}") for number in range(3)]
    answers = look([b"1", *ended, b"22"])
    assert [answer.frames for answer in answers] == [1, *map(len, ended), 2]
    assert not any(answer.problem or answer.passing for answer in answers)


def test_an_exception_of_ours_is_told_as_that_and_the_next_file_is_looked_at(monkeypatch):
    stand_in(monkeypatch, CODE)
    answers = look([b"1", b"fault", b"333"], workers=1)
    assert [answer.frames for answer in answers] == [1, 0, 3]
    assert answers[1].problem.startswith("TypeError: open() got an unexpected keyword argument (<string>, line ")
    assert [(answer.fault, answer.passing) for answer in answers] == [(False, False), (True, True), (False, False)]


def test_a_check_does_not_call_a_video_damaged_for_an_exception_of_ours(monkeypatch, copy):
    code = "import av; av.open = lambda file: None; from videohub.worker_pool.worker import main; main()"
    stand_in(monkeypatch, code)  # a PyAV whose arguments have changed
    answer = check({copy("one.mp4"): 0, copy("two.mp4"): 0})
    (finding,) = [one for one in answer.findings if one.kind in ("unreadable", "damaged", "fault")]
    assert finding.kind == "fault"
    assert "2 of 2 videos could not be looked at for a fault of videohub's" in finding.text
    assert "TypeError" in finding.samples["one.mp4"]


def test_a_decoder_that_hangs_is_ended_when_patience_is_over(monkeypatch):
    stand_in(monkeypatch, CODE)
    began = time.monotonic()
    answers = look([b"hang", b"22", b"333"], workers=1, timeout_s=3)
    assert answers[0].problem == "the decoder gave no answer within 3 s, and was ended"
    assert [answer.frames for answer in answers] == [0, 2, 3]
    assert time.monotonic() - began < 60


def test_who_stops_asking_ends_the_processes(monkeypatch):
    stand_in(monkeypatch, CODE)
    made = []
    start = process.subprocess.Popen
    monkeypatch.setattr(process.subprocess, "Popen", lambda *a, **k: made.append(start(*a, **k)) or made[-1])
    began = time.monotonic()
    jobs = [Job("video", name) for name in (b"1", b"hang", b"hang", b"hang")]
    with closing(probe.probe_files(jobs, workers=2, timeout_s=600)) as answers:
        assert next(answers).frames == 1
    assert time.monotonic() - began < 60
    assert made
    assert all(each.poll() is not None for each in made)


def test_a_process_that_cannot_be_started_is_no_fault_of_the_videos(monkeypatch):
    stand_in(monkeypatch, "raise SystemExit(7)")
    with pytest.raises(DeviceError, match="ended with exit code 7"):
        look([b"1"])


def test_a_pipe_does_not_hold_the_check_up(tmp_path, copy):
    os.mkfifo(tmp_path / "pipe.mp4")
    began = time.monotonic()
    answer = check({tmp_path / "pipe.mp4": 0, copy("one.mp4"): 0})
    assert time.monotonic() - began < 60
    assert answer.findings[1].samples == {"pipe.mp4": "this is a pipe or a device, expected one video file"}

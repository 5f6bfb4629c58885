"""Decoding in worker processes: one that misbehaves costs one video, and nothing is ever left of any."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from tests.data.sample_videos import FOUR_FRAMES, numbered, protocol, write_video
from tests.evaluation import awkward_decoder
from videohub.data.decoded import decode
from videohub.data.samples import VideoFile
from videohub.data.spec import TestSpec
from videohub.errors import DeviceError, UsageError
from videohub.evaluation.decoding import Decoding, Failure, decode_all
from videohub.worker_pool import WorkerPool

RECIPE = TestSpec(protocol(), FOUR_FRAMES)
ROOT = Path(__file__).resolve().parents[2]
LINUX = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="what is open is read from /proc")


def pool(workers=1, **settings):
    return WorkerPool(Decoding([RECIPE], "fast", workers), workers=workers, **{"timeout_s": 120, **settings})


def outcomes(decoders, sources):
    return dict(decoders.map(sources.items()))


def failures(found):
    return {name: first.reason for name, (first,) in found.items() if isinstance(first, Failure)}


def in_time(condition):
    """Wait until something is so, though not for ever."""
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def begun(source):
    """Return whether the awkward decoder has begun with a source: it has noted its process there."""
    return source.path.exists() and bool(source.path.read_text())


def ended(source):
    """Return whether the process that began a source is gone; a zombie that nobody has buried yet is gone too."""
    try:
        status = Path(f"/proc/{source.path.read_text()}/stat").read_text()
    except FileNotFoundError:
        return True
    return status.rpartition(")")[2].split()[0] == "Z"


# --- what arrives ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_every_source_is_decoded_as_it_would_be_alone_and_in_its_order(videos, workers):
    result = dict(decode_all(videos.items(), [RECIPE], workers=workers))
    assert list(result) == list(videos)
    for name, source in videos.items():
        alone = decode(source, protocol(), FOUR_FRAMES)
        for field in ("frames", "positions", "pts", "decode_positions"):
            expected, arrived = getattr(alone, field), getattr(result[name][0], field)
            assert arrived.dtype == expected.dtype
            assert np.array_equal(arrived, expected), (name, field)
        assert result[name][0].boxes is None


def test_frames_made_smaller_in_the_process_arrive_as_they_are(tmp_path):
    source = VideoFile(write_video(tmp_path / "large.mov", 12, picture=lambda index: numbered(index, 240, 200)))
    (_, result), *_ = decode_all([("large", source)], [RECIPE], workers=1)
    assert result[0].frames.dtype == np.float32
    assert np.array_equal(result[0].frames, decode(source, protocol(), FOUR_FRAMES).frames)


@pytest.mark.parametrize("workers", [0, 1])
def test_what_cannot_be_decoded_is_said_in_words_and_the_rest_goes_on(videos, tmp_path, workers):
    (tmp_path / "text.mp4").write_text("not a video")
    sources = {"missing": VideoFile(tmp_path / "missing.mp4"), "text": VideoFile(tmp_path / "text.mp4"),
               "good": videos["video00"]}  # fmt: skip
    result = dict(decode_all(sources.items(), [RECIPE], workers=workers))
    assert list(result) == ["missing", "text", "good"]
    assert failures(result)["missing"] == f"{tmp_path / 'missing.mp4'}: no such video file"
    assert str(tmp_path / "text.mp4") in failures(result)["text"]
    assert "good" not in failures(result)


def test_a_file_whose_name_is_no_text_is_decoded(tmp_path, videos):
    path = tmp_path / os.fsdecode(b"\xff\xfe.mov")
    path.write_bytes(videos["video00"].path.read_bytes())
    (_, result), *_ = decode_all([("odd", VideoFile(path))], [RECIPE], workers=1)
    assert not isinstance(result[0], Failure)


def test_a_slow_video_comes_in_its_turn(videos, awkward):
    sources = {"is_slow": awkward("is_slow"), **videos}
    with pool(2, command=awkward_decoder.COMMAND) as decoders:
        assert list(outcomes(decoders, sources)) == list(sources)


# --- what goes wrong -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_processes_that_hang_crash_or_stumble_cost_their_own_video_alone(videos, awkward):
    good = iter(videos.items())
    bad = ("hangs", "is_killed", "crashes", "raises", "hangs_in_native_code")
    sources = {}
    for behaviour in bad:
        sources |= {behaviour: awkward(behaviour), **dict([next(good), next(good)])}
    with pool(2, timeout_s=5, command=awkward_decoder.COMMAND) as decoders:
        result = outcomes(decoders, sources)
    assert list(result) == list(sources)
    reasons = failures(result)
    assert sorted(reasons) == sorted(bad)
    assert reasons["hangs"] == reasons["hangs_in_native_code"] == "decoding took longer than 5 s"
    assert reasons["is_killed"] == "the worker process was ended by signal SIGKILL, without a word"
    assert reasons["crashes"] == "the worker process was ended by signal SIGSEGV, without a word"
    fault = "a fault of videohub's or its libraries', not of the video's: the worker process ended with exit code 1"
    assert reasons["raises"].startswith(f"{fault}, saying:\n")
    assert reasons["raises"].endswith("IndexError: list index out of range")


def test_last_words_are_few_and_about_the_last_video(awkward):
    sources = {name: awkward(name) for name in ("chatters", "raises")}
    with pool(command=awkward_decoder.COMMAND) as decoders:
        reasons = failures(outcomes(decoders, sources))
    assert str(sources["chatters"].path) in reasons["chatters"]  # what it noted there is no video
    assert "line of chatter" not in reasons["raises"]
    assert len(reasons["raises"].splitlines()) <= 7


def test_three_failed_starts_in_a_row_are_a_broken_installation(videos):
    command = (sys.executable, "-c", "raise SystemExit('libvideo.so.7 is missing')")
    expected = pytest.raises(DeviceError, match=r"3 worker processes in a row(.|\n)*libvideo.so.7 is missing")
    with expected, pool(2, command=command) as decoders:
        list(decoders.map(videos.items()))


def test_a_process_that_never_gets_ready_is_a_failed_start(videos):
    command = (sys.executable, "-c", "import time; time.sleep(600)")
    expected = pytest.raises(DeviceError, match=r"was not ready after 0\.1 s")
    with expected, pool(command=command, start_s=0.1) as decoders:
        list(decoders.map(videos.items()))


def test_a_command_that_is_not_there_is_named(videos):
    expected = pytest.raises(DeviceError, match="/no/such/python: a worker process cannot be started: No such file")
    with expected, pool(command=("/no/such/python",)) as decoders:
        list(decoders.map(videos.items()))


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"timeout_s": 0.0}])
def test_a_pool_without_workers_or_patience_is_refused(wrong):
    with pytest.raises(UsageError, match="both must be above 0"):
        pool(**wrong)


def endings(paths, number):
    """Send a signal to each process that waits, as soon as it does."""

    def end():
        for path in paths:
            in_time(lambda path=path: path.exists() and path.read_text())
            os.kill(int(path.read_text()), number)

    thread = threading.Thread(target=end)
    thread.start()
    return thread


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_process_that_is_ended_from_outside_costs_no_video(videos, tmp_path, number):
    waits = VideoFile(tmp_path / "waits_once.mov")
    waits.path.write_bytes(videos["video00"].path.read_bytes())
    with pool(2, command=awkward_decoder.COMMAND) as decoders:
        ending = endings([waits.path.with_suffix(".busy")], number)
        result = outcomes(decoders, {"waits": waits, **videos})
        ending.join()
    assert list(result) == ["waits", *videos]
    assert failures(result) == {}
    assert np.array_equal(result["waits"][0].frames, result["video00"][0].frames)


def test_a_video_that_is_tried_again_has_the_machine_for_itself(videos, tmp_path):
    """Two at once have taken the memory, and the system has ended both decoders: together they would do it again."""
    sources = {}
    for name in ("waits_once_1", "waits_once_2"):
        sources[name] = VideoFile(tmp_path / f"{name}.mov")
        sources[name].path.write_bytes(videos["video00"].path.read_bytes())
    with pool(2, command=awkward_decoder.COMMAND) as decoders:
        ending = endings([source.path.with_suffix(".busy") for source in sources.values()], signal.SIGKILL)
        assert failures(outcomes(decoders, {**sources, **videos})) == {}
        ending.join()
    company = [source.path.with_suffix(".company").read_text() for source in sources.values()]
    assert company == ["waits_once_1", "waits_once_2"]


@pytest.mark.parametrize("behaviour", ["is_killed", "crashes", "raises"])
def test_a_video_that_ends_its_process_every_time_is_tried_twice_and_no_more(videos, awkward, behaviour):
    bad = awkward(behaviour)
    with pool(command=awkward_decoder.COMMAND) as decoders:
        result = outcomes(decoders, {"good": videos["video00"], "bad": bad, "better": videos["video01"]})
    assert list(failures(result)) == ["bad"]
    assert bad.path.with_suffix(".tries").read_text() == ".."


def test_faults_of_ours_at_the_first_three_videos_are_no_videos_fault(awkward, tmp_path):
    sources = {}
    for number in range(5):
        (tmp_path / f"{number}").mkdir()
        sources[number] = VideoFile(tmp_path / f"{number}" / "raises.mov")
    expected = pytest.raises(
        DeviceError, match=r"3 in a row met a fault of videohub(.|\n)*IndexError(.|\n)*no video is to"
    )
    with expected, pool(2, command=awkward_decoder.COMMAND) as decoders:
        outcomes(decoders, sources)


# --- how much is under way -------------------------------------------------------------------------------------------


def test_no_more_than_two_sources_a_process_are_taken_ahead(videos):
    taken = []
    sources = ((taken.append(name) or name, source) for name, source in videos.items())
    with pool(2) as decoders:
        for count, _ in enumerate(decoders.map(sources), start=1):
            assert len(taken) <= count - 1 + 4


def test_no_source_is_begun_while_decoded_frames_take_more_room_than_allowed(videos, awkward):
    """One process is slow with the first source; the other one has decoded the next two long before."""
    taken = []
    sources = {"is_slow": awkward("is_slow"), **videos}
    counted = ((taken.append(name) or name, source) for name, source in sources.items())
    with pool(2, command=awkward_decoder.COMMAND, max_waiting=0) as decoders:
        running = decoders.map(counted)
        for name in ("is_slow", "video00", "video01"):
            assert next(running)[0] == name
            assert len(taken) == 4
        assert len(list(running)) == 10
        assert len(taken) == 13


@LINUX
def test_a_process_that_has_grown_is_replaced_after_its_video(videos, awkward):
    grows = awkward("grows")
    with pool(1, command=awkward_decoder.COMMAND, max_resident=150 << 20) as decoders:
        processes = []
        for _ in range(2):
            failed = failures(outcomes(decoders, {"grows": grows, "good": videos["video00"]}))
            assert list(failed) == ["grows"]  # what it noted there is no video
            processes.append(grows.path.read_text())
            grows.path.unlink()
    assert len(set(processes)) == 2


# --- what is left ----------------------------------------------------------------------------------------------------


@LINUX
def test_nothing_is_open_running_or_named_afterwards(videos, awkward, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    hangs = awkward("hangs")
    before = len(os.listdir("/proc/self/fd"))
    with pool(2, command=awkward_decoder.COMMAND) as decoders:
        running = decoders.map([*videos.items(), ("hangs", hangs), *videos.items()])
        held = [next(running)[1] for _ in range(11)]
        mapped = Path("/proc/self/maps").read_text()
        names = [name for line in mapped.splitlines() if "memfd" in (name := line.partition("/")[2])]
        assert len(names) >= 9
        assert all(name.endswith(" (deleted)") for name in names)
        in_time(lambda: begun(hangs))
    assert ended(hangs)
    assert all(outcome[0].frames[0, 0, 0, 0] == 0 for outcome in held)  # frames outlive the pool
    del held, running
    assert len(os.listdir("/proc/self/fd")) == before
    assert {path.name for path in tmp_path.iterdir()} == {"hangs.fifo", "hangs.mov", "hangs.tries"}


PARENT = """
import signal
import sys
from pathlib import Path
from tests.evaluation import awkward_decoder
from tests.data.sample_videos import FOUR_FRAMES, protocol
from videohub.evaluation.decoding import Decoding
from videohub.data.spec import TestSpec
from videohub.data.samples import VideoFile
from videohub.worker_pool import WorkerPool

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit that it is ignored
sources = [(name, VideoFile(Path(name))) for name in sys.argv[1:]]
work = Decoding([TestSpec(protocol(), FOUR_FRAMES)], "fast", 2)
with WorkerPool(work, workers=2, timeout_s=120, command=awkward_decoder.COMMAND) as decoders:
    print("begun", flush=True)
    for name, outcome in decoders.map(sources):
        print(name, outcome)
"""


@pytest.mark.slow
@LINUX
@pytest.mark.parametrize("last", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_process_outlives_its_parent(awkward, last):
    """They hang in a system call and in native code that lets no Python run: only the system can end them."""
    sources = [awkward("hangs"), awkward("hangs_in_native_code")]
    parent = subprocess.Popen([sys.executable, "-c", PARENT, *(str(source.path) for source in sources)], cwd=ROOT,
                              env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, start_new_session=True)  # fmt: skip
    assert parent.stdout.readline() == "begun\n"
    in_time(lambda: all(map(begun, sources)))
    if last == signal.SIGINT:
        os.killpg(parent.pid, last)  # as the terminal does
    else:
        parent.send_signal(last)
    _, stderr = parent.communicate(timeout=60)
    in_time(lambda: all(map(ended, sources)))
    if last == signal.SIGINT:
        assert len(re.findall("Traceback", stderr)) == 1, stderr  # the parent's own
        assert stderr.rstrip().endswith("KeyboardInterrupt")


# --- the process itself ----------------------------------------------------------------------------------------------


def test_a_worker_process_does_not_load_torch():
    code = "import sys, videohub.evaluation.decoding, videohub.worker_pool.worker; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


def test_a_module_that_lies_where_the_user_stands_is_none_of_the_decoders(videos, tmp_path, monkeypatch):
    if sys.version_info < (3, 11):
        pytest.skip("Python 3.10 looks there first")
    (tmp_path / "numpy.py").write_text("raise SystemExit('not the numpy you want')")
    monkeypatch.chdir(tmp_path)
    assert failures(dict(decode_all(list(videos.items())[:1], [RECIPE], workers=1))) == {}

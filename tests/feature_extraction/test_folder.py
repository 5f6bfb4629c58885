"""Features of many videos in a folder: what is written, gone on with, shared out, told; and as others read it."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

import videohub
from tests.hub.publisher import running
from tests.verification import datasets
from videohub import feature_extraction
from videohub.data import windows as windows_file
from videohub.data.synthetic.motions import write_mp4
from videohub.errors import UsageError
from videohub.feature_extraction import folder
from videohub.feature_extraction.folder import ids_of
from videohub.preflight.probe import Probe

NAME = "tiny_kinetics"  # 8 frames two apart, 30 a second
LENGTHS = {"a": 40, "b": 25, "c": 33}
ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three short videos."""
    folder = tmp_path_factory.mktemp("videos")
    for number, (name, frames) in enumerate(LENGTHS.items()):
        datasets.video(folder / f"{name}.mp4", number, frames)
    return folder


def features(run: Run, *arguments: object, stride: int = 8) -> tuple[int, str, str]:
    return run("features", *arguments, "--model", NAME, "--stride", stride)


def kept(folder: Path) -> dict[str, bytes]:
    """Return what a folder holds, but for what no other call finds again."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix == ".npy"}


def test_each_video_becomes_a_matrix_and_how_it_came_about(zoo, run, videos, tmp_path):
    out = tmp_path / "features"
    code, text, _ = features(run, videos, "-o", out)
    assert code == 0
    assert text.splitlines() == [f"{out}/a.npy  5 windows", f"{out}/b.npy  4 windows", f"{out}/c.npy  5 windows"]
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [".videohub-features.json", *(f"{name}.{kind}" for name in LENGTHS for kind in ("npy", "json"))]
    )
    alone = videohub.features(videos / "b.mp4", NAME, stride=8)
    matrix, messages = np.load(out / "b.npy"), json.loads((out / "b.json").read_text())
    assert matrix.dtype == np.float32
    assert np.array_equal(matrix, alone.values)
    assert messages["times"] == [[pytest.approx(time, abs=1e-6) for time in row] for row in alone.times.tolist()]
    assert messages["times"][3] == pytest.approx([24 / 30] * 3, abs=1e-6)  # frame 24 is the last one
    asked = {
        key: messages[key] for key in ("stride", "frames", "sampling_rate", "fps", "rate", "crop", "tail", "record")
    }
    assert asked == {"stride": 8, "frames": 8, "sampling_rate": 2, "fps": 30, "rate": 30, "crop": "center",
                     "tail": "pad", "record": NAME}  # fmt: skip
    assert messages["weights_sha256"] == alone.weights_sha256
    assert (messages["windows"], messages["features"], messages["bytes"]) == (
        4,
        64 * 4,
        (videos / "b.mp4").stat().st_size,
    )
    assert messages["versions"] == videohub.features(videos / "b.mp4", NAME, stride=99).versions


def test_a_finished_video_is_not_looked_at_again(zoo, run, videos, tmp_path, monkeypatch):
    out = tmp_path / "features"
    features(run, videos / "a.mp4", videos / "b.mp4", "-o", out)
    before = kept(out)
    (out / "b.json").unlink()
    opened = []
    original = feature_extraction.open_frames
    monkeypatch.setattr(feature_extraction, "open_frames", lambda path, **share: opened.append(path.name) or
                        original(path, **share))  # fmt: skip
    code, text, _ = features(run, videos, "-o", out, "--json")
    assert code == 0
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(Path(line["name"]).name, line["status"], line["windows"]) for line in lines] == [
        ("a.mp4", "kept", 5), ("b.mp4", "done", 4), ("c.mp4", "done", 5)
    ]  # fmt: skip
    assert opened == ["b.mp4", "c.mp4"]
    assert {name: kept(out)[name] for name in before} == before


def test_a_video_that_has_changed_or_whose_features_are_damaged_is_done_anew(zoo, run, videos, tmp_path):
    out, ours = tmp_path / "features", tmp_path / "own"
    for number, name in enumerate(LENGTHS):
        datasets.video(ours / f"{name}.mp4", number, 20)
    features(run, ours, "-o", out)
    datasets.video(ours / "a.mp4", 0, 40)
    (out / "b.npy").write_bytes((out / "b.npy").read_bytes()[:-4])
    (ours / "c.mp4").unlink()
    _, text, _ = features(run, *(ours / f"{name}.mp4" for name in LENGTHS), "-o", out)
    assert [line.endswith("(was there)") for line in text.splitlines()] == [False, False, True]
    assert np.load(out / "a.npy").shape == (5, 256)


def test_another_video_of_the_same_name_and_size_is_done_anew(zoo, run, videos, tmp_path):
    out, ours = tmp_path / "features", tmp_path / "own"
    ours.mkdir()
    content = (videos / "a.mp4").read_bytes() + b"\0\0\0\x10free"  # a box that players pass over
    for ending, text in (
        (b"version1", "5 windows"),
        (b"version1", "5 windows (was there)"),
        (b"version2", "5 windows"),
    ):
        (ours / "a.mp4").write_bytes(content + ending)
        assert features(run, ours / "a.mp4", "-o", out)[:2] == (0, f"{out}/a.npy  {text}\n")


def test_another_url_that_ends_in_the_same_name_is_done_anew(zoo, run, videos, tmp_path):
    out, other = tmp_path / "features", tmp_path / "other"
    other.mkdir()
    (other / "a.mp4").write_bytes((videos / "b.mp4").read_bytes())
    for place, windows in ((videos, "5 windows"), (videos, "5 windows (was there)"), (other, "4 windows")):
        assert features(run, (place / "a.mp4").as_uri(), "-o", out)[:2] == (0, f"{out}/a.npy  {windows}\n")


def test_a_url_is_called_by_what_is_no_credential(zoo, run, videos, tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running() as publisher:
        urls = [publisher.publish(f"/{name}.mp4?token=hunter2", content).replace("//", "//alice:hunter2@")
                for name, content in (("whole", (videos / "a.mp4").read_bytes()), ("broken", b"no video"))]  # fmt: skip
        code, text, messages = features(run, *urls, "-o", tmp_path / "features", "--json")
    names = [json.loads(line)["name"] for line in text.splitlines()]
    assert (code, names) == (1, [publisher.url("/whole.mp4"), publisher.url("/broken.mp4")])
    assert "hunter2" not in text + messages


def test_features_made_in_another_way_are_not_mixed(zoo, run, videos, tmp_path):
    out = tmp_path / "features"
    features(run, videos / "a.mp4", "-o", out)
    before = kept(out)
    code, _, text = features(run, videos, "-o", out, stride=4)
    assert code == 2
    assert f"{out}: holds features made in another way: stride 8 (asked for: 4); take another folder" in text
    assert features(run, videos, "-o", out, "--fp16")[0] == 2
    assert run("features", videos, "-o", out, "--model", "tiny_i3d", "--stride", 8, "--frames", 8)[0] == 2
    assert kept(out) == before
    (out / ".videohub-features.json").write_text("{")
    assert "says no longer how the features here were made" in features(run, videos, "-o", out)[2]


def test_what_interrupts_leaves_nothing_of_the_video_that_it_was_at(zoo, run, videos, tmp_path, monkeypatch, caplog):
    out = tmp_path / "features"
    features(run, videos, "-o", tmp_path / "whole", "--batch", 5)  # all windows of a
    original = windows_file.prepare
    prepared = []

    def interrupted(pixels, how, planar=None):
        prepared.append(None)
        if len(prepared) == 25:  # of a: frames 0, 2, … 38, and 39
            raise KeyboardInterrupt
        return original(pixels, how, planar)

    monkeypatch.setattr(windows_file, "prepare", interrupted)
    code, _, text = features(run, videos, "-o", out, "--batch", 5)
    assert (code, "interrupted" in text) == (130, True)
    left = [".b.begun", ".videohub-features.json", "a.json", "a.npy"]
    assert sorted(path.name for path in out.iterdir()) == left
    monkeypatch.setattr(windows_file, "prepare", original)
    killed = out / ".b.npy-0123456789abcdef.part"  # of a process that was, two days ago
    killed.touch()
    os.utime(killed, (time.time() - 2 * 86400,) * 2)
    (out / ".a.begun").touch()  # of a process that was killed right behind a.json
    assert features(run, videos, "-o", out, "--batch", 5)[0] == 0
    assert caplog.text.count("b.mp4: an earlier call ended while this was read") == 1
    assert kept(out) == kept(tmp_path / "whole")
    assert not [*out.glob("*.part"), *out.glob(".*.begun")]


def test_broken_videos_are_told_and_the_others_go_on(zoo, run, videos, tmp_path):
    ours = tmp_path / "own"
    datasets.video(ours / "whole.mp4", 0, 20)
    (ours / "empty.mp4").touch()
    cut = (videos / "a.mp4").read_bytes()
    (ours / "cut.mp4").write_bytes(cut[: len(cut) // 2])
    listing = ours / "all.txt"
    listing.write_text("empty.mp4 0\ncut.mp4 1\nabsent.mp4 2\nwhole.mp4 3\n")
    out = tmp_path / "features"
    code, text, errors = features(run, listing, "-o", out)
    assert code == 1
    assert text.splitlines() == [f"{out}/whole.npy  3 windows"]
    assert all(f"{name}.mp4" in errors for name in ("empty", "cut", "absent"))
    assert sorted(path.name for path in out.iterdir()) == [".videohub-features.json", "whole.json", "whole.npy"]
    code, text, _ = features(run, listing, "-o", out, "--json")
    lines = [json.loads(line) for line in text.splitlines()]
    assert code == 1
    assert [line["status"] for line in lines] == ["failed", "failed", "failed", "kept"]
    assert "the file is empty (0 bytes)" in lines[0]["error"]


def test_a_video_that_ended_an_earlier_call_and_ends_a_process_of_its_own_is_left_out(
    zoo, run, videos, tmp_path, monkeypatch
):
    out = tmp_path / "features"
    out.mkdir()
    (out / ".b.begun").touch()
    crashed = Probe(problem="the decoder crashed (SIGSEGV)", passing=True)
    monkeypatch.setattr(folder, "probe_files", lambda jobs, **limits: iter([crashed for _ in jobs]))
    for _ in range(2):
        code, _, messages = features(run, videos, "-o", out)
        assert code == 1
        assert "b.mp4: the decoder crashed (SIGSEGV), in a process of its own, too" in messages
        assert set(kept(out)) == {"a.npy", "c.npy"}


def test_two_calls_that_are_at_the_same_videos_disturb_neither_and_come_to_the_same_bits(
    zoo, run, videos, tmp_path, monkeypatch
):
    features(run, videos, "-o", tmp_path / "alone")
    out, calls = tmp_path / "features", []
    original = feature_extraction.open_frames

    def meanwhile(path, **share):  # the first video is begun, and another call makes all of them
        monkeypatch.setattr(feature_extraction, "open_frames", original)
        calls.append(features(run, videos, "-o", out))
        return original(path, **share)

    monkeypatch.setattr(feature_extraction, "open_frames", meanwhile)
    calls.append(features(run, videos, "-o", out))
    assert [(code, len(text.splitlines())) for code, text, _ in calls] == [(0, 3), (0, 3)]
    assert kept(out) == kept(tmp_path / "alone")
    assert not [*out.glob("*.part"), *out.glob(".*.begun")]


def test_what_one_call_has_finished_outlasts_another_that_is_ended_at_it(zoo, run, videos, tmp_path, monkeypatch):
    out = tmp_path / "features"
    original = feature_extraction.open_frames

    def ended(*given):
        raise KeyboardInterrupt

    def meanwhile(path, **share):
        monkeypatch.setattr(feature_extraction, "open_frames", original)
        assert features(run, videos / "a.mp4", "-o", out)[0] == 0
        monkeypatch.setattr(folder._Rows, "append", ended)  # what it has to write has been computed by then
        return original(path, **share)

    monkeypatch.setattr(feature_extraction, "open_frames", meanwhile)
    assert features(run, videos / "a.mp4", "-o", out)[0] == 130
    assert list(kept(out)) == ["a.npy"]


def test_of_settings_that_are_written_at_once_one_counts(zoo, run, videos, tmp_path, monkeypatch):
    out = tmp_path / "features"
    original = folder.claim

    def overtaken(place, content):
        original(place, content.replace(b'"stride": 8', b'"stride": 4'))
        original(place, content)

    monkeypatch.setattr(folder, "claim", overtaken)
    code, _, messages = features(run, videos, "-o", out)
    assert (code, "stride 4 (asked for: 8)" in messages) == (2, True)


def test_shards_share_the_videos_and_come_to_the_same_bits(zoo, run, videos, tmp_path):
    features(run, videos, "-o", tmp_path / "whole")
    for shard in ("1/2", "2/2"):
        assert features(run, videos, "-o", tmp_path / "shards", "--shard", shard)[0] == 0
        assert set(kept(tmp_path / "shards")) == {"1/2": {"a.npy", "c.npy"}, "2/2": {"a.npy", "b.npy", "c.npy"}}[shard]
    assert kept(tmp_path / "shards") == kept(tmp_path / "whole")
    assert features(run, videos, "-o", tmp_path / "other", "--shard", "3/2")[0] == 2


@pytest.mark.parametrize("threads", [1, 3])
def test_videos_that_are_decoded_ahead_come_to_the_same_bits(zoo, run, videos, tmp_path, threads):
    features(run, videos, "-o", tmp_path / "whole")
    assert features(run, videos, "-o", tmp_path / "ahead", "--threads", threads)[0] == 0
    assert kept(tmp_path / "ahead") == kept(tmp_path / "whole")


def test_several_videos_share_a_batch(zoo, run, videos, tmp_path, monkeypatch):
    sizes = []
    original = feature_extraction.pooled_features
    monkeypatch.setattr(feature_extraction, "pooled_features", lambda model, batch, *rest: sizes.append(len(batch)) or
                        original(model, batch, *rest))  # fmt: skip
    assert features(run, videos, "-o", tmp_path / "features", "--batch", 6)[0] == 0
    assert sizes == [6, 6, 6]  # 5 + 4 + 5 windows, the last one filled up


def test_float16_takes_half_the_room_and_refuses_what_it_cannot_hold(zoo, run, videos, tmp_path, monkeypatch):
    features(run, videos / "a.mp4", "-o", tmp_path / "full")
    features(run, videos / "a.mp4", "-o", tmp_path / "half", "--fp16")
    full, half = (np.load(tmp_path / name / "a.npy") for name in ("full", "half"))
    assert (half.dtype, half.shape) == (np.float16, full.shape)
    assert np.array_equal(half, full.astype(np.float16))
    original = feature_extraction.pooled_features
    monkeypatch.setattr(feature_extraction, "pooled_features", lambda *given: original(*given) * 1e9)
    code, _, text = features(run, videos / "a.mp4", "-o", tmp_path / "large", "--fp16")
    assert (code, "are too large for float16; keep float32" in text) == (2, True)
    assert kept(tmp_path / "large") == {}


def test_a_url_after_which_no_file_can_be_called_is_refused():
    with pytest.raises(UsageError, match="its last part holds a zero byte"):
        ids_of(["https://host/a%00b.mp4"])


def test_videos_whose_files_would_be_called_alike_are_refused(tmp_path):
    assert list(ids_of(["x/a.mp4", "https://host/some%20clip.mp4?key=1", "b.c.avi"])) == ["a", "some clip", "b.c"]
    with pytest.raises(UsageError, match=r"y/a\.avi: its features would be called a\.npy, as those of x/a\.mp4"):
        ids_of(["x/a.mp4", "y/a.avi"])


# --- as others read it -----------------------------------------------------------------------------------------------


def test_actionformer_places_a_feature_in_the_middle_of_its_window(zoo, run, videos, tmp_path):
    out = tmp_path / "features"
    code, text, _ = features(run, videos, "-o", out, "--layout", "actionformer")
    assert code == 0
    config = yaml.safe_load("\n".join(text.splitlines()[3:]))["dataset"]
    assert config == {"feat_folder": str(out), "file_prefix": None, "file_ext": ".npy", "input_dim": 256,
                      "feat_stride": 8, "num_frames": 16, "default_fps": 30}  # fmt: skip
    # as libs/datasets/thumos14.py has it: (seconds * fps - 0.5 * num_frames) / feat_stride; windows last 16 / 30 s
    middles = [start / 30 + 8 / 30 for start in (0, 8, 16)]
    places = [(middle * 30 - 0.5 * config["num_frames"]) / config["feat_stride"] for middle in middles]
    assert places == pytest.approx([0, 1, 2])
    features_read = np.load(out / ("" + "a" + config["file_ext"])).astype(np.float32)  # T x C
    assert features_read.shape == (5, config["input_dim"])


def test_opentad_is_told_the_same_and_which_videos_are_missing(zoo, run, videos, tmp_path):
    ours = tmp_path / "own"
    datasets.video(ours / "whole.mp4", 0, 20)
    (ours / "empty.mp4").touch()
    out = tmp_path / "features"
    code, text, _ = features(run, ours, "-o", out, "--layout", "opentad")
    assert code == 1
    config: dict[str, object] = {}
    exec("\n".join(text.splitlines()[1:]), {}, config)
    assert config["data_path"] == f"{out}/"
    assert (config["feature_stride"], config["sample_stride"], config["offset_frames"], config["fps"]) == (8, 1, 8, 30)
    assert Path(str(config["block_list"])).read_text() == "empty\n"
    assert config["load"] == {"type": "LoadFeats", "feat_format": "npy"}


def test_with_json_the_configuration_goes_to_stderr(zoo, run, videos, tmp_path):
    _, text, messages = features(run, videos, "-o", tmp_path / "features", "--layout", "actionformer", "--json")
    assert [json.loads(line)["status"] for line in text.splitlines()] == ["done"] * 3
    assert "feat_stride: 8" in messages


# --- in processes of their own ---------------------------------------------------------------------------------------


def _started(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)], env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        text=True, capture_output=True, timeout=300,
    )  # fmt: skip


@pytest.mark.slow
def test_processes_of_a_torchrun_share_the_videos(zoo, run, videos, tmp_path):
    features(run, videos, "-o", tmp_path / "whole")
    done = _started("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "videohub",
                    "features", videos, "-o", tmp_path / "shared", "--model", NAME, "--stride", 8, "--layout",
                    "opentad")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert kept(tmp_path / "shared") == kept(tmp_path / "whole")
    assert done.stdout.count("feature_stride = 8") == 1  # one process speaks for all
    assert (tmp_path / "shared" / "missing_files.txt").read_text() == ""


@pytest.mark.slow
def test_a_call_that_was_killed_is_gone_on_with_and_comes_to_the_same_bits(zoo, run, videos, tmp_path):
    ours = tmp_path / "own"
    for number in range(12):
        datasets.video(ours / f"v{number}.mp4", number, 60)
    command = [sys.executable, "-m", "videohub", "features", ours, "--model", NAME, "--stride", 1, "--batch", 4]
    killed = subprocess.Popen([*map(str, command), "-o", str(tmp_path / "out")], stderr=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)})  # fmt: skip
    until = time.monotonic() + 120
    while not list((tmp_path / "out").glob("v*.json")) and time.monotonic() < until and killed.poll() is None:
        time.sleep(0.01)
    killed.kill()
    assert killed.wait() == -signal.SIGKILL, "it was over before it could be killed"
    before = kept(tmp_path / "out")
    assert 0 < len(before) < 12
    for out in ("out", "whole"):
        assert features(run, ours, "-o", tmp_path / out, "--batch", 4, stride=1)[0] == 0
    assert kept(tmp_path / "out") == kept(tmp_path / "whole")
    assert sorted(path.suffix for path in (tmp_path / "out").iterdir()) == sorted([".json", ".npy"] * 12 + [".json"])


ALONG = """
import json, resource, sys
import videohub

found = videohub.features(sys.argv[1], "slowfast_motions", stride=64)
print(json.dumps([len(found.values), found.times[-1].tolist(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is counted in other units elsewhere")
def test_two_hours_of_video_take_no_more_memory_than_ten_minutes(tmp_path, monkeypatch):
    """36,000 frames, 5 a second, at 30 a second: prepared, all of them would take 440 MB.

    The network is one of ours: to read a registry of one's own takes more memory than all else here.
    """
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path / "cache"))
    peaks = {}
    for seconds in (600, 7200):
        path = tmp_path / f"{seconds}.mp4"
        pictures = itertools.repeat(datasets.picture(0, 0), 5 * seconds)
        write_mp4(path, pictures, width=datasets.WIDTH, height=datasets.HEIGHT, fps=5)
        done = _started("-c", ALONG, path)
        assert done.returncode == 0, done.stderr
        windows, last, peaks[seconds] = json.loads(done.stdout)
    assert windows == 3375  # 7200 s * 30 / 64
    assert last[0] == pytest.approx(3374 * 64 / 30, abs=0.2)
    print(", ".join(f"{seconds} s: {peak / 1024:.0f} MiB at most" for seconds, peak in peaks.items()))
    assert peaks[7200] - peaks[600] < 60 * 1024

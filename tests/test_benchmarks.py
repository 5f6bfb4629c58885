"""The benchmarks run at small sizes, have every row, and work out ratios and shares from what was measured."""

import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import av
import pytest
import torch

import videohub

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture(autouse=True)
def beside_each_other(monkeypatch, tmp_path):
    """Let scripts find one another as they do when they are run, and leave nothing behind."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path / "cache"))
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def results(monkeypatch, tmp_path):
    """Run a script in this process and return its file of results."""

    def results(name, *arguments):
        out = tmp_path / f"{name}.json"
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments), "--out", str(out)])
        importlib.import_module(name).main()
        return json.loads(out.read_text())

    return results


# --- arithmetic ------------------------------------------------------------------------------------------------------


def test_every_contender_is_timed_once_a_turn_and_the_first_turn_does_not_count():
    import measurement

    now = [0.0]
    takes = {"ours": iter([100.0, 2.0, 3.0]), "theirs": iter([100.0, 8.0, 6.0])}

    def contender(name):
        now[0] += next(takes[name])

    contenders = {name: lambda name=name: contender(name) for name in takes}
    assert measurement.in_turns(contenders, 2, clock=lambda: now[0]) == {"ours": [2.0, 3.0], "theirs": [8.0, 6.0]}


def test_a_ratio_is_the_median_of_the_turns_own_ratios():
    import measurement

    result = measurement.ratios([1.0, 4.0, 4.0], [2.0, 2.0, 8.0])
    assert result == [0.5, 2.0, 0.5]
    assert measurement.summary(result) == {"median": 0.5, "min": 0.5, "max": 2.0}  # of the medians it would be 2
    assert measurement.rates(12, [4.0, 24.0]) == [3.0, 0.5]


def test_the_steady_rate_begins_after_the_videos_that_are_skipped():
    import gpu_run

    assert gpu_run.steady_rate([10, 20, 30, 31, 32, 33, 34], skipped=3) == pytest.approx(1.0)
    assert gpu_run.steady_rate([10, 20, 30, 31], skipped=10) == pytest.approx(2 / 11)  # never more than half of them
    assert gpu_run.steady_rate([10], skipped=3) is None


def test_kernels_that_run_side_by_side_keep_a_gpu_busy_once():
    import gpu_run

    assert gpu_run.busy_share([(5, 6), (0, 2), (1, 3)], begin=0, end=10) == pytest.approx(0.4)
    assert gpu_run.busy_share([(-5, 1), (9, 20)], begin=0, end=10) == pytest.approx(0.2)


def test_the_driver_s_percentages_are_read(tmp_path, monkeypatch):
    import gpu_run

    driver = tmp_path / "nvidia-smi"
    driver.write_text(f"#!/bin/sh\necho 90; echo '[N/A]'; echo 96; : > {tmp_path / 'said'}; exec sleep 60\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with gpu_run.nvidia_smi() as percentages:
        until = time.monotonic() + 30
        while not (tmp_path / "said").exists() and time.monotonic() < until:
            time.sleep(0.01)
    assert gpu_run.mean(percentages) == 93.0


@pytest.mark.parametrize(
    ("name", "peak"),
    [("NVIDIA H200", 989), ("NVIDIA H100 80GB HBM3", 989), ("NVIDIA H100 PCIe", 756), ("NVIDIA A100-SXM4-80GB", 312),
     ("Tesla V100-SXM2-16GB", None)],
)  # fmt: skip
def test_peaks_go_by_the_device_s_name(name, peak):
    import gpu_forward

    assert gpu_forward.peak_named(name) == peak


def test_a_view_of_slowfast_8x8_takes_131_gflop():
    """The zoo prints 65.7 multiply-adds at 256 pixels."""
    import gpu_forward

    gflop = gpu_forward.view_gflop(gpu_forward.network("slowfast_r50_8x8"), gpu_forward.Input(32, 256, batch=1))
    assert gflop == pytest.approx(131.4, abs=0.1)


def test_forward_ratios_are_of_what_was_timed():
    import gpu_forward

    rows = gpu_forward.beside({"plain fp32": 100.0, "optimised bf16": 450.0})
    assert rows["optimised bf16 / plain fp32"]["ratio"] == 4.5
    assert rows["optimised bf16 / PyTorchVideo fp32"]["ratio"] is None


def test_a_part_without_time_is_skipped_and_one_that_fails_costs_no_other():
    from gpu_run import Budget, Part, run_parts

    now = [0.0]

    def long():
        now[0] += 70
        return {"rate": 1}

    def broken():
        raise RuntimeError("no such kernel")

    results, kept = {}, []
    parts = [Part("long", 50, long), Part("broken", 10, broken), Part("late", 40, long), Part("short", 20, long)]
    run_parts(parts, Budget(100, clock=lambda: now[0]), results, lambda: kept.append(list(results)))
    assert results["long"] == {"rate": 1, "seconds taken": 70.0}
    assert results["broken"]["failed"] == "RuntimeError: no such kernel"
    assert results["late"] == {"skipped": "30 s of the budget were left, and it needs 40"}
    assert results["short"]["rate"] == 1
    assert kept == [[part.name for part in parts[:done]] for done in range(5)]


def test_a_program_that_will_not_end_is_ended():
    import gpu_run

    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(7, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", stubborn], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "7\n"
        process.terminate()
        assert gpu_run.last_words(process, timeout_s=0.2) == ""
    assert process.returncode == -9


def test_the_gpu_benchmark_ends_itself_where_it_hangs():
    paths = {**os.environ, "PYTHONPATH": str(BENCHMARKS.parent)}
    script = "import time, gpu_run\nwith gpu_run.ended_after(0.5):\n    time.sleep(60)"
    ended = subprocess.run([sys.executable, "-c", script], cwd=BENCHMARKS, env=paths, capture_output=True, text=True,
                           timeout=120)  # fmt: skip
    assert ended.returncode == 1
    assert "Timeout" in ended.stderr


def test_a_run_that_ends_in_time_is_left_alone(monkeypatch):
    import faulthandler

    import gpu_run

    messages = []
    monkeypatch.setattr(faulthandler, "dump_traceback_later", lambda *given, **how: messages.append("later"))
    monkeypatch.setattr(faulthandler, "cancel_dump_traceback_later", lambda: messages.append("never mind"))
    with pytest.raises(KeyError), gpu_run.ended_after(1):
        raise KeyError
    assert messages == ["later", "never mind"]


# --- what is compared ------------------------------------------------------------------------------------------------


def test_generated_videos_are_coded_as_real_ones_are(tmp_path):
    import synthetic_videos

    kind = synthetic_videos.Kind(seconds=0.5)
    (path,) = synthetic_videos.make_videos(tmp_path, 1, kind)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        kinds = [int(picture.pict_type) for picture in container.decode(stream)]
        assert (stream.codec.name, stream.width, stream.height, stream.average_rate) == ("h264", 340, 256, 30)
    assert len(kinds) == 15
    assert set(kinds) == {1, 2, 3}  # intra, predicted, and from both sides


def test_views_that_differ_end_the_comparison(tmp_path, monkeypatch):
    import data_path
    import original_way
    import synthetic_videos

    from videohub import registry
    from videohub.data.spec import TestSpec

    record = registry.record("slowfast_motions")
    spec = TestSpec(record.protocol, record.clip)
    (path,) = synthetic_videos.make_videos(tmp_path, 1, synthetic_videos.SMALL)
    assert data_path._check_same_views(path, spec) < 1e-6
    one_too_late = original_way.read_view
    monkeypatch.setattr(original_way, "read_view", lambda *given: one_too_late(*given[:-1], (given[-1] + 3) % 9))
    with pytest.raises(SystemExit, match="no comparison"):
        data_path._check_same_views(path, spec)


def test_every_tensor_has_a_name_of_pytorchvideo_s():
    """Their module was filled so, strictly, and gave the same logits."""
    from pytorchvideo_module import their_name

    ours = list(videohub.build("slowfast_r50_8x8").state_dict())
    assert len({their_name(name) for name in ours}) == len(ours) == 662
    assert their_name("fast.res4.5.norm_b.weight") == (
        "blocks.3.multipathway_blocks.1.res_blocks.5.branch2.norm_b.weight"
    )
    assert their_name("slow.res2.0.conv_shortcut.weight") == (
        "blocks.1.multipathway_blocks.0.res_blocks.0.branch1_conv.weight"
    )
    assert their_name("lateral.stem.conv.weight") == "blocks.0.multipathway_fusion.conv_fast_to_slow.weight"
    assert their_name("head.projection.bias") == "blocks.6.proj.bias"


# --- whole runs ------------------------------------------------------------------------------------------------------


def test_data_path(results):
    result = results("data_path", "--small", "--turns", 1, "--videos", 1, "--motions", 2)
    cost, views, decoders = result["processor time"], result["views"], result["exact against fast"]
    seconds = {name: of["median"] for name, of in cost["seconds a video"].items()}
    alone = seconds["decoding alone, the frames that the test needs"]
    for decoder in ("fast", "exact"):
        ours = next(of for name, of in seconds.items() if name.startswith(f"{decoder}: decoding"))
        assert cost["data path / decoding alone"][decoder]["median"] == pytest.approx(ours / alone, rel=0.02)
        rate, theirs = (views["views a second"][name]["median"] for name in (decoder, "one decode for each view"))
        assert views["ours / one decode for each view"][decoder]["median"] == pytest.approx(rate / theirs, rel=0.02)
        assert seconds[f"colours, normalising and resizing on this CPU, {decoder}"] > 0
    assert cost["bytes a video"]["exact"] == 2 * cost["bytes a video"]["fast"]  # 3 bytes a pixel, and 1.5
    assert views["views"] == 9
    assert decoders["generated"]["of which fast keeps in planes"] == 1
    assert decoders["motions"]["videos"] == 2
    assert decoders["motions"]["share of views with the same first class"] >= 0.995


def test_training_clips(results):
    result = results("training_clips", "--small", "--turns", 1, "--videos", 2, "--clips", 4)
    rates = {who: of["median"] for who, of in result["clips a second of processor time"].items()}
    ours = rates.pop("videohub.ClipDataset")
    assert "PyAV and torchvision" in rates
    for who, rate in rates.items():
        assert result["ours / the other"][who]["median"] == pytest.approx(ours / rate, rel=0.02)
    assert result["the faster of the others"] == max(rates, key=rates.get)
    assert {*rates, *result["left out"]} == {"PyAV and torchvision", "torchcodec and torchvision"}


def test_end_to_end(results):
    result = results("end_to_end", "--small", "--turns", 1, "--videos", 2, "--workers", 0)
    ours, theirs = (result["views a second"][who]["median"] for who in ("ours", "theirs"))
    assert result["views a video"] == 12
    assert result["ours / theirs"]["ratio"]["median"] == pytest.approx(ours / theirs, rel=0.02)
    assert result["ours / the original itself"]["ratio"]["median"] == pytest.approx(ours / 0.5, rel=0.02)
    limit = result["limit, views a second"]["median"]
    assert limit == pytest.approx(result["float32 product, GFLOP/s"]["median"] / result["GFLOP a view"], rel=0.02)
    assert result["share of the limit"]["ours"]["median"] == pytest.approx(ours / limit, rel=0.02)


def test_forward(results):
    result = results("forward", "--names", "slowfast_motions", "--turns", 1, "--size", 32, "--matrix", 256)
    row = result["networks"]["slowfast_motions"]
    seconds, ratios = row["seconds"], row["times as fast as plain"]
    inside, outside = "in an evaluation", "called by a program"
    for name, plain, optimized in [
        (inside, outside, inside),
        (outside, outside, outside),
        ("both " + inside, inside, inside),
    ]:
        ours = seconds[f"plain, {plain}"]["median"] / seconds[f"optimized, {optimized}"]["median"]
        assert ratios[name]["median"] == pytest.approx(ours, rel=0.02)
    assert row["largest difference"]["probabilities"] < 1e-5


def test_forward_beside_transformers_own_network(results):
    pytest.importorskip("transformers")
    result = results("forward", "--names", "videomae_vit_b_16x4", "--turns", 1, "--size", 32, "--matrix", 256)
    row = result["networks"]["videomae_vit_b_16x4"]
    theirs = row["seconds"]["transformers' own, called by a program"]["median"]
    ours = row["seconds"]["optimized, called by a program"]["median"]
    beside = row["times as fast as transformers' own"]["called by a program"]["median"]
    assert beside == pytest.approx(theirs / ours, rel=0.02)


@pytest.mark.parametrize("name", ["videomae_vit_b_16x4", pytest.param("timesformer_b_8x32", marks=pytest.mark.by_hand)])
def test_the_inference_form_is_not_slower_than_transformers_own_network(name):
    """In the same minute, in turns; the best of three looks, as other programs may be at work."""
    pytest.importorskip("transformers")
    import forward
    import measurement

    forward._prepare(name, 112, 256, kept=False)
    of = forward._subject
    (theirs,) = of.published.values()
    contenders = {"ours": lambda: of.optimized(of.clip), "theirs": lambda: theirs(of.contiguous)}

    def looked():
        seconds = measurement.in_turns(contenders, 5)
        return statistics.median(measurement.ratios(seconds["ours"], seconds["theirs"]))

    with torch.inference_mode():
        assert any(looked() <= 1.1 for _ in range(3))


def test_profiling_names_what_takes_the_time(monkeypatch, tmp_path):
    import cpu_profile

    out = tmp_path / "profile.txt"
    cpu_profile.main(["--name", "slowfast_motions", "--small", "--out", str(out)])
    network, form, *_ = (part for part in out.read_text().split("\n\n") if "one view" in part)
    assert "aten::native_batch_norm" in network
    assert "aten::native_batch_norm" not in form
    assert "mkldnn_convolution" in form
    assert "(pictures)" in out.read_text()
    assert str(tmp_path) not in out.read_text()


def test_predict(results):
    result = results("predict", "--turns", 1, "--small", "--all-views")
    assert set(result["seconds"]) == {"videohub predict", "import torch, av"}
    assert (result["network"], result["video"]) == ("slowfast_motions", "2 s of 96 x 72")
    assert result["all views, seconds"] > 0


def test_shards(results):
    result = results("shards", "--small")
    assert set(result["speed"]["videos_per_second"]) == {"files", "tars", "http"}
    assert result["speed"]["share_of_files"]["http"]["median"] > 0
    assert (result["index"]["members"], result["memory"]["videos"]) == (100, 12)
    assert [number for number, _, _ in result["memory"]["MB_here_and_of_the_decoders"]] == list(range(1, 13))


def test_start_up(results):
    result = results("start_up", "--turns", 1)
    libraries = "import yaml, click, rich"
    seconds = {name: of["median"] for name, of in result["seconds"].items()}
    assert set(seconds) == {
        "videohub list", "videohub show slowfast_r50_8x8", "import videohub", libraries, "nothing",
        "videohub list, 400 records", "videohub list, 400 records, for the first time",
    }  # fmt: skip
    ratio = result[f"videohub list / {libraries}"]["ratio"]["median"]
    assert ratio == pytest.approx(seconds["videohub list"] / seconds[libraries], rel=0.02)


def test_gpu_on_a_cpu(results, tmp_path):
    result = results("gpu", "--device", "cpu", "--small", "--budget", 40)
    failed = {name: of["failed"] for name, of in result.items() if isinstance(of, dict) and "failed" in of}
    assert not failed
    for decoder in ("fast", "exact"):
        run = result[f"end to end, fp32, {decoder}"]
        assert run["views a second"] == pytest.approx(9 * run["videos a second"], rel=0.01)
        assert run["batch by the shape of a view"] == {"3 x 16 x 32 x 32": 32}
        assert result[f"data path alone, {decoder}"]["videos a second"] > 0
        assert result[f"decoders alone, {decoder}"]["videos a second"] > 0
    ways = result["forward alone"]["ways"]
    assert ways["optimised fp32"]["difference of a probability"] < 1e-5
    assert ways["optimised tf32"]["skipped"].startswith("precision tf32: only GPUs have TF32")
    assert ways["PyTorchVideo bf16"] == {"skipped": "it has no slowfast_motions"}
    assert "of the budget were left" in result["forward alone, compiled"]["skipped"]
    assert "mkldnn_convolution" in (tmp_path / "gpu_profile.txt").read_text()
    assert result["profile"]["share of the time"]

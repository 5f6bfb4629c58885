"""The main job on systems that lack what Linux has: its modules, calls and signals are taken away here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import videohub
from videohub import devices
from videohub.data.synthetic import motions
from videohub.devices import probes
from videohub.errors import DeviceError, UsageError
from videohub.models.convolutions import NonLocal
from videohub.models.mvit import MultiscaleAttention, RelativePositions
from videohub.models.swin3d import WindowAttention
from videohub.models.video_model import DetectionHead

pytestmark = pytest.mark.slow

# What Python for Windows has no module or name for; of these, macOS lacks memfd_create, O_DIRECT and /proc.
WITHOUT = """
import os, shutil, signal, socket, sys
import torch, torchvision  # Linux's have a use for them when they are imported
usage = shutil.disk_usage(os.curdir)
shutil.disk_usage = lambda path: usage  # Windows has it, by a call of its own
import subprocess
subprocess.Popen.kill = lambda process: process.poll() is None and os.kill(process.pid, 9)  # likewise
for module in ("fcntl", "resource", "pwd", "grp", "termios", "pty"):
    sys.modules[module] = None  # importing it now is an ImportError
# not O_NONBLOCK, which the standard library of Linux needs to remove a folder
for owner, names in {
    os: "memfd_create fork pread pwrite preadv fchown geteuid getuid getgid sched_getaffinity "
        "posix_fadvise posix_fallocate statvfs sendfile killpg setsid sysconf O_ASYNC",
    signal: "SIGIO SIGKILL SIGALRM SIGHUP pthread_sigmask setitimer",
    socket: "send_fds recv_fds AF_UNIX",
}.items():
    for name in names.split():
        vars(owner).pop(name, None)
"""
JOB = """
import videohub
from videohub.cli import main
sys.argv = ["videohub", *{arguments!r}]
main()
"""


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """The list of four of the demo's videos."""
    return motions.generate(tmp_path_factory.mktemp("motions"), clips=4)


def elsewhere(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line where those are missing."""
    environment = {**os.environ, "VIDEOHUB_HOME": str(tmp_path / "home")}
    return subprocess.run(
        [sys.executable, "-c", WITHOUT + JOB.format(arguments=arguments)],
        env=environment, cwd=Path(videohub.__file__).parents[1], capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("verb", [["list"], ["show", "slowfast_motions"], ["fetch", "slowfast_motions"]])
def test_the_zoo_is_there_without_what_only_linux_has(tmp_path, verb):
    done = elsewhere(tmp_path, *verb)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_a_video_is_predicted_without_what_only_linux_has(tmp_path, videos):
    first = videos.parent / videos.read_text().split()[0]
    done = elsewhere(tmp_path, "predict", str(first), "--model", "slowfast_motions", "--json")
    assert done.returncode == 0, done.stderr
    assert '"probability"' in done.stdout


def test_features_are_written_without_what_only_linux_has(tmp_path, videos):
    first = videos.parent / videos.read_text().split()[0]
    options = ("--model", "slowfast_motions", "--stride", "16", "-o", str(tmp_path / "features"))
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / f".{first.stem}.begun").touch()  # tried in a process of its own there, too
    done = elsewhere(tmp_path, "features", str(first), *options)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "features" / f"{first.stem}.npy").exists()


@pytest.mark.parametrize(("workers", "told"), [(["--workers", "0"], 0), (["--workers", "2"], 1), ([], 1)])
def test_verify_goes_on_in_one_process_and_says_so_once(tmp_path, videos, workers, told):
    out = tmp_path / "run"
    done = elsewhere(tmp_path, "verify", "slowfast_motions", "--data", str(videos), "--out", str(out), *workers)
    assert done.returncode == 3, done.stderr  # four videos decide nothing
    assert done.stderr.count("videos are decoded in this one") == told
    assert '"scored": 4' in (out / "report.json").read_text()


def test_a_data_set_is_looked_at_in_processes_of_their_own_there_too(tmp_path, videos):
    with videos.open("a") as listing:
        listing.write("text.mp4 0\n")
    (videos.parent / "text.mp4").write_text("not a video")
    done = elsewhere(tmp_path, "data", "check", "slowfast_motions", "--data", str(videos), "--json")
    assert done.returncode in (0, 3), done.stderr
    assert '"found": 5' in done.stdout
    assert '"unreadable": 1' in done.stdout


def test_a_device_may_be_torchs_own(monkeypatch):
    assert devices.usable(torch.device("cpu")) == devices.usable("cpu") == torch.device("cpu")
    with pytest.raises(UsageError, match="device: found 'gpu', expected a name such as cpu"):
        devices.usable("gpu")
    with pytest.raises(DeviceError, match="videohub runs on cpu, cuda and mps"):
        devices.usable("meta")


def test_apples_gpu_is_refused_where_there_is_none():
    if torch.backends.mps.is_available():
        pytest.skip("there is one")
    with pytest.raises(DeviceError, match="no MPS; use cpu"):
        devices.usable("mps")


@pytest.mark.parametrize(("problem", "allowed"), [(None, True), ("it differs", False)])
def test_apples_gpu_is_used_if_it_agrees_with_the_cpu(monkeypatch, problem, allowed):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(devices, "disagreement", lambda device: problem)
    if allowed:
        assert devices.usable("mps") == torch.device("mps")
    else:
        with pytest.raises(DeviceError, match="device 'mps': it differs; use cpu"):
            devices.usable("mps")


class Scaled(torch.nn.Module):
    """A network on a device that classifies, or `detects`, wrongly."""

    def __init__(self, network: torch.nn.Module, factor: float, *, detects: bool) -> None:
        super().__init__()
        self.network, self.factor, self.detects = network, factor, detects

    def forward(self, clip: torch.Tensor, boxes: torch.Tensor | None) -> torch.Tensor:
        wrong = self.detects == (boxes is not None)
        return self.network(clip, boxes) * (self.factor if wrong else 1)


@pytest.mark.parametrize("detects", [False, True])
@pytest.mark.parametrize(("factor", "problem"), [(1.01, "differ by 1.0% from the CPU's"), (float("nan"), "nan%")])
def test_a_device_that_computes_wrongly_is_told_by_how_much(monkeypatch, factor, problem, detects):
    monkeypatch.setattr(devices, "optimize", lambda network: Scaled(network, factor, detects=detects))
    assert problem in devices.disagreement.__wrapped__(torch.device("cpu"))


def test_a_device_that_lacks_an_operation_is_told_by_its_name(monkeypatch):
    def lacks(network: torch.nn.Module) -> torch.nn.Module:
        raise NotImplementedError("The operator 'aten::pool' is not implemented for this device.\n more")

    monkeypatch.setattr(devices, "optimize", lacks)
    assert "The operator 'aten::pool' is not" in devices.disagreement.__wrapped__(torch.device("cpu"))


@pytest.mark.parametrize("part", [MultiscaleAttention, RelativePositions, WindowAttention, NonLocal, DetectionHead])
def test_a_device_is_tried_with_what_attends_and_what_detects(part):
    assert any(isinstance(module, part) for network, _ in probes() for module in network.modules())


def test_the_small_networks_agree_with_themselves_in_the_form_that_is_evaluated():
    assert devices.disagreement.__wrapped__(torch.device("cpu")) is None

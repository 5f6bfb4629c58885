"""What several tests need: where the golden numbers and the sample videos lie."""

from __future__ import annotations

import os
import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import filelock
import pytest

import videohub
from tests import run_record
from videohub import cli
from videohub.data.synthetic import motions

TESTS = Path(__file__).resolve().parent


def pytest_configure(config: pytest.Config) -> None:
    """Let `make test-all` keep what came of it."""
    run_record.register(config)


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test hear what a process tells once."""
    monkeypatch.setattr("videohub.log._told", set())


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of numbers computed with the original implementation."""
    return TESTS / "golden"


@pytest.fixture(scope="session")
def media() -> Path:
    """The folder of real videos, which are not kept in the repository."""
    folder = Path(os.environ.get("VIDEOHUB_TEST_MEDIA", TESTS.parent.parent / "shared" / "media"))
    if not folder.is_dir():
        pytest.skip(f"no sample videos in {folder}; set VIDEOHUB_TEST_MEDIA to a folder that holds them")
    return folder


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder of one test, which nothing has made yet; no setting of whoever runs the tests counts."""
    for name in [name for name in os.environ if name.startswith("VIDEOHUB_") and name != "VIDEOHUB_TEST_MEDIA"]:
        monkeypatch.delenv(name)
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process and return its exit code, stdout and stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["videohub", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture(scope="session")
def twenty_videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with twenty of the demo's videos, two of each motion, in `videos/`, and their list `test.csv`."""
    folder = tmp_path_factory.mktemp("demo")
    motions.generate(folder, clips=20)
    return folder


@pytest.fixture(scope="session")
def exported_demo(tmp_path_factory: pytest.TempPathFactory) -> videohub.Exported:
    """The demo's network as an ONNX file, made once for all processes of a run: it takes twenty seconds."""
    of_process = tmp_path_factory.getbasetemp()
    folder = (of_process.parent if "PYTEST_XDIST_WORKER" in os.environ else of_process) / "exported-demo"
    kept = folder / "exported.pickle"
    with filelock.FileLock(folder.with_suffix(".lock")), pytest.MonkeyPatch.context() as patch:
        if not kept.exists():
            folder.mkdir(exist_ok=True)  # another process may have failed at it
            patch.setenv("VIDEOHUB_HOME", str(folder / "cache"))
            kept.write_bytes(pickle.dumps(videohub.export("slowfast_motions", folder / "motions.onnx")))
    made: videohub.Exported = pickle.loads(kept.read_bytes())
    return made


@pytest.fixture
def workplace(
    twenty_videos: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A reader's folder: twenty videos, their list, a copy of the first as `clip.mp4`, and this checkout's commands."""
    folder, commands = tmp_path / "work", tmp_path / "bin"
    shutil.copytree(twenty_videos, folder)
    shutil.copy(folder / "videos" / "test_00000.mp4", folder / "clip.mp4")
    commands.mkdir()
    for name, module in (("python", ""), ("videohub", " -m videohub"), ("torchrun", " -m torch.distributed.run")):
        (commands / name).write_text(f'#!/bin/sh\nexec "{sys.executable}"{module} "$@"\n')
        (commands / name).chmod(0o755)
    (folder / "examples").symlink_to(TESTS.parent / "examples")
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(TESTS.parent))
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.delenv("VIDEOHUB_REGISTRY", raising=False)
    monkeypatch.chdir(folder)
    return folder

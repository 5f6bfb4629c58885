"""Processes of a torchrun wait for each other, and for no torchrun that is gone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from torch.distributed import TCPStore

from videohub.errors import DeviceError
from videohub.evaluation import distributed

ROOT = Path(__file__).resolve().parents[2]
RANK = """
import datetime, sys
from videohub.evaluation import distributed
distributed._PIECE = datetime.timedelta(seconds=1)
print("here", flush=True)
try:
    distributed.barrier()
except Exception as error:
    print(type(error).__name__, error, flush=True)
"""


def environment(port: int, rank: int = 1) -> dict[str, str]:
    """Return what torchrun tells a process of two whose store it hosts itself."""
    return {
        "TORCHELASTIC_RUN_ID": "none", "TORCHELASTIC_USE_AGENT_STORE": "True", "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port), "RANK": str(rank), "WORLD_SIZE": "2",
    }  # fmt: skip


@pytest.fixture
def store():
    """Return a store as torchrun hosts one."""
    return TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=20))


def until(file: Path, word: str) -> str:
    """Return what a file says once a word stands in it."""
    for _ in range(600):
        if file.exists() and word in (text := file.read_text()):
            return text
        time.sleep(0.1)
    raise AssertionError(f"{word!r} is not in {file.read_text()!r}")


@pytest.mark.parametrize("is_first", [False, True])
def test_a_process_ends_when_its_torchrun_is_gone(tmp_path, store, is_first):
    """Its store is gone with it (of the second process), or another process never comes (of the first)."""
    text = tmp_path / "said.txt"
    (tmp_path / "rank.py").write_text(RANK)
    port = store.port if is_first else 1  # where nobody listens
    launch = f"""
import subprocess, sys, time
subprocess.Popen([sys.executable, {str(tmp_path / "rank.py")!r}], stdout=open({str(text)!r}, "w"))
sys.stdin.read()
"""
    launcher = subprocess.Popen(
        [sys.executable, "-c", launch],
        stdin=subprocess.PIPE,
        env={**os.environ, **environment(port, 0 if is_first else 1), "PYTHONPATH": str(ROOT)},
    )
    until(text, "here")
    time.sleep(3)
    assert text.read_text() == "here\n"  # as long as it is there, it is waited for
    launcher.communicate()
    assert "DeviceError torchrun ended before all of its processes were done" in until(text, "Error")


def test_a_process_waits_for_the_others_and_no_longer(monkeypatch, store):
    for name, value in environment(store.port, rank=0).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(distributed, "_PIECE", timedelta(seconds=1))
    monkeypatch.setattr(distributed, "_TIMEOUT", timedelta(seconds=2))
    with pytest.raises(DeviceError, match="what was scored is kept, and the same call goes on"):
        distributed.barrier()
    store.set("videohub/2/1", "done")
    distributed.barrier()

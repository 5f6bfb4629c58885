"""Damages checkpoints of every container at random: reading one gives tensors or an error of ours, and runs nothing.

`VIDEOHUB_FUZZ=100000 pytest tests/fuzz` looks longer, `VIDEOHUB_FUZZ_SEED` elsewhere; a failure names its seed.
"""

from __future__ import annotations

import gzip
import os
import pickle
import random
import struct
import sys

import numpy as np
import pytest

from tests.convert.files import CONTAINERS, npz_bytes, tar_bytes, zip_bytes
from tests.convert.python2_pickles import FULL
from videohub.convert import read
from videohub.errors import VideohubError

COUNT = int(os.environ.get("VIDEOHUB_FUZZ", "500"))
SEED = int(os.environ.get("VIDEOHUB_FUZZ_SEED", "0"))

STARTED: list[str] = []
_PROGRAMS = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.startfile", "subprocess.Popen")


def _note_programs(event: str, _: object) -> None:
    if event in _PROGRAMS:
        STARTED.append(event)


class Touch:
    """Pickles as a command that makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def whole_files(canary) -> list[bytes]:
    """Return one file of each container and wrapping, and one that runs a command."""
    plain = [make() for make, _, _ in CONTAINERS.values()]
    caffe2 = plain[0]
    wrapped = [gzip.compress(caffe2), tar_bytes({"a": caffe2}), zip_bytes({"a": caffe2}), npz_bytes(compressed=True)]
    hostile = [pickle.dumps({"blobs": {"conv1_w": Touch(canary)}}, protocol) for protocol in (0, 2, 4)]
    newer = [pickle.dumps({"blobs": {"conv1_w": np.ones(3, np.float32)}}, protocol) for protocol in (4, 5)]
    return [*plain, *wrapped, *FULL.values(), *hostile, *newer]


def damage(data: bytes, dice: random.Random) -> bytes:
    """Change a few places: bytes, numbers, the order or number of pieces, or the end."""
    changed = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 4, 16))):
        at = dice.randrange(len(changed) + 1)
        kind = dice.randrange(7)
        if kind == 0 and at < len(changed):
            changed[at] ^= 1 << dice.randrange(8)
        elif kind == 1 and at < len(changed):
            changed[at] = dice.randrange(256)
        elif kind == 2:
            changed[at:at] = dice.randbytes(dice.randrange(1, 9))
        elif kind == 3:
            del changed[at : at + dice.randrange(1, 9)]
        elif kind == 4:
            changed[at : at + 4] = struct.pack("<I", dice.choice((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)))
        elif kind == 5:
            start = dice.randrange(len(changed) + 1)
            changed[at:at] = changed[start : start + dice.randrange(1, 64)]
        elif dice.randrange(8) == 0:
            del changed[at:]
    return bytes(changed)


@pytest.mark.filterwarnings("ignore")
def test_damaged_files_give_tensors_or_an_error_of_ours_and_run_nothing(tmp_path):
    sys.addaudithook(_note_programs)
    canary, path = tmp_path / "canary", tmp_path / "model"
    files = whole_files(canary)
    outcomes = {"read": 0, "refused": 0}
    for number in range(COUNT):
        seed = SEED + number
        path.write_bytes(damage(files[number % len(files)], random.Random(seed)))
        STARTED.clear()
        try:
            read(path)
            outcomes["read"] += 1
            message = str(path)
        except VideohubError as error:
            outcomes["refused"] += 1
            message = str(error)
        except BaseException as error:
            raise AssertionError(
                f"seed {seed} of file {number % len(files)}: {type(error).__name__}: {error}"
            ) from error
        assert str(path) in message, f"seed {seed}: {message}"
        assert not STARTED, f"seed {seed} started {STARTED}"
        assert not canary.exists(), f"seed {seed} ran a command"
    assert min(outcomes.values()) > COUNT // 50, outcomes

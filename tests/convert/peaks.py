"""Converts one file after the other in a process that is warm and limited, and tells the memory that each took.

Started with a record's name; the first path on the standard input warms up, each is answered with a line of JSON.
"""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path

import torch

from tests.fuzz.watched import forget_peak, limit_memory, peak
from videohub import weights
from videohub.errors import VideohubError

LIBC = ctypes.CDLL(None)


def converted(path: str, record: str) -> dict[str, object]:
    """Return what came of one file, and the most memory that it took above what there was."""
    if hasattr(LIBC, "malloc_trim"):
        LIBC.malloc_trim(0)  # what an earlier file left behind would be taken again, unseen
    before = forget_peak()
    outcome, message = "converted", ""
    try:
        weights.convert_file(path, record, f"{path}.out")
    except (VideohubError, MemoryError) as error:
        outcome, message = type(error).__name__, str(error)
    most = peak()
    Path(f"{path}.out").unlink(missing_ok=True)
    return {"outcome": outcome, "message": message, "peak": most - before}


def main(record: str) -> None:
    """Answer each path."""
    torch.set_num_threads(1)
    for number, line in enumerate(sys.stdin):
        print(json.dumps(converted(line.strip(), record)), flush=True)
        if number == 0:
            limit_memory()


if __name__ == "__main__":
    main(sys.argv[1])

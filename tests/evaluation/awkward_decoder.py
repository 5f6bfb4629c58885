"""A worker process that misbehaves as the name of the file says, and decodes all others; it notes its id in the file.

Started by tests with the command `python awkward_decoder.py` instead of the true one.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

from videohub.evaluation import decoding
from videohub.worker_pool import worker

COMMAND = (sys.executable, str(Path(__file__).resolve()))

_kept = []


def misbehave(path: Path) -> None:
    """Do what the name says; return for any other name."""
    actions = {
        "hangs": lambda: os.open(path.with_suffix(".fifo"), os.O_RDONLY),  # nobody ever opens its other end
        "hangs_in_native_code": lambda: ctypes.PyDLL(None).sleep(600),  # and lets no other thread of Python's run
        "is_killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
        "crashes": lambda: os.kill(os.getpid(), signal.SIGSEGV),
        "raises": lambda: [][0],
        "chatters": lambda: print("line of chatter\n" * 100_000, file=sys.stderr),
        "grows": lambda: _kept.append(bytearray(b"x" * (200 << 20))),
        "is_slow": lambda: time.sleep(1),
    }
    if path.stem in actions:
        path.write_text(str(os.getpid()))
        with path.with_suffix(".tries").open("a") as tries:
            tries.write(".")
        actions[path.stem]()
    if path.stem.startswith("waits_once"):  # a video that decodes when it is tried again
        wait_once(path)


def wait_once(path: Path) -> None:
    """Wait to be ended from outside; the next time note who else is tried again meanwhile, and return."""
    busy, again = path.with_suffix(".busy"), path.with_suffix(".again")
    if not busy.exists():
        busy.write_text(str(os.getpid()))
        time.sleep(600)
    again.touch()
    time.sleep(0.5)
    path.with_suffix(".company").write_text(" ".join(sorted(other.stem for other in path.parent.glob("*.again"))))
    again.unlink()


def main() -> None:
    """Be a worker process that looks at the name first."""
    decode = decoding.decode_shared

    def looking(source, *given, **settings):
        misbehave(source.path)
        return decode(source, *given, **settings)

    decoding.decode_shared = looking
    worker.main()


if __name__ == "__main__":
    main()

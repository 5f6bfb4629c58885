"""Reads files in a process of its own that may do nothing but read: memory has a limit, and all else is noted.

Started by `reading.py` with the folder it may use and the function that reads. It is given one path a line; those
before the first empty line are read to warm up, and each one after it is answered with a line of JSON.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from videohub.errors import FormatError, VideohubError

ROOM = 256 << 20  # address space for one file above what the process has when warm
PROC = Path("/proc/self")
MEASURED = os.access(PROC / "clear_refs", os.W_OK)
LONGEST_MESSAGE = 4000


class Forbidden(BaseException):
    """Raised in the place of what must not happen; no `except Exception` hides it."""


class Guard:
    """An audit hook that lets the interpreter do what reading takes, and nothing else."""

    def __init__(self, folder: str, unpacked: str) -> None:
        self.folder, self.unpacked = folder + os.sep, unpacked + os.sep
        self.awake, self.seen = False, list[str]()

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.awake:
            return
        self.awake = False
        try:
            if not self.allows(event, arguments):
                self.seen.append(f"{event} {arguments!r:.200}")
                raise Forbidden(self.seen[-1])
        finally:
            self.awake = True

    def allows(self, event: str, arguments: tuple[Any, ...]) -> bool:
        """Allow files in the folder and the parser that numpy gives its headers to; no import, program or net."""
        if event == "compile":  # ast.literal_eval; running what was compiled would be another event, "exec"
            return arguments[1] == "<unknown>"
        if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
            return isinstance(arguments[0], int) or self.place(arguments[0]).startswith(self.folder)
        if event in ("open", "os.remove", "os.mkdir", "os.rmdir", "os.scandir", "tempfile.mkdtemp", "shutil.rmtree"):
            return isinstance(arguments[0], int) or self.place(arguments[0]).startswith(self.unpacked)
        return False

    def place(self, path: Any) -> str:
        """Return where a path leads; relative ones are said of an open folder, which is the one unpacked to."""
        return os.path.realpath(os.path.join(self.unpacked, os.fsdecode(path)))


def watch(guard: Guard, read: Callable[[str], Any], path: str, unpacked: Path) -> dict[str, Any]:
    """Read one file; return the outcome, our message, the time and the memory it took, and what was wrong."""
    open_files, before = files_open(), forget_peak()
    start = time.perf_counter()
    guard.awake = True
    outcome, message, wrong = "read", "", []
    try:
        wrong += wrong_with(read(path), path)
    except FormatError as error:
        outcome, message = type(error).__name__, str(error)
        wrong += wrong_with_message(message, path)
    except BaseException as error:
        outcome = type(error).__name__
        wrong.append(f"{'another error than FormatError' if isinstance(error, VideohubError) else 'not our error'}: ")
        wrong[-1] += f"{outcome}: {error!s:.300}"
    finally:
        guard.awake = False
    seconds, memory = time.perf_counter() - start, peak() - before
    wrong += [f"not allowed: {what}" for what in guard.seen]
    guard.seen.clear()
    if files_open() > open_files:
        wrong.append("left a file open")
    if left := sorted(os.listdir(unpacked)):
        wrong.append(f"left {', '.join(left)} in the temporary folder")
    return {"outcome": outcome, "message": message, "seconds": seconds, "memory": memory, "wrong": wrong}


def wrong_with(checkpoint: Any, path: str) -> list[str]:
    """Return what is wrong with a checkpoint that was read."""
    wrong = [] if checkpoint.source.startswith(path) and is_line(checkpoint.source) else ["its source misleads"]
    for name, array in checkpoint.tensors.items():
        sound = isinstance(array, np.ndarray) and array.flags.c_contiguous and array.dtype.kind in "fiubc"
        if not (isinstance(name, str) and sound and array.dtype.newbyteorder("<") == array.dtype):
            wrong.append(f"{name!r:.100} is no contiguous little-endian array of numbers")
    return wrong


def wrong_with_message(message: str, path: str) -> list[str]:
    """Return what is wrong with the message of one of our errors: it is to be printed on a terminal."""
    wrong = []
    if not message.startswith(path):
        wrong.append(f"the message does not name the file: {message:.200}")
    if not all(is_line(line) for line in message.split("\n")):
        wrong.append(f"the message holds control characters: {message!r:.300}")
    if "\n  " not in message:
        wrong.append(f"the message says not what to do: {message:.200}")
    if len(message) > LONGEST_MESSAGE:
        wrong.append(f"the message has {len(message)} characters: {message:.200}")
    return wrong


def is_line(text: str) -> bool:
    return text.isprintable() and re.search("[\ud800-\udfff]", text) is None


def files_open() -> int:
    return len(os.listdir(PROC / "fd")) if MEASURED else 0


def forget_peak() -> int:
    """Let the peak of memory begin anew, and return it; getrusage would tell that of the whole life."""
    if MEASURED:
        (PROC / "clear_refs").write_text("5")
    return peak()


def peak() -> int:
    """Return the most bytes that this process had in memory since the peak was last forgotten."""
    return 1024 * _status("VmHWM") if MEASURED else 0


def limit_memory() -> None:
    """Make anything that asks for much more than the process now has fail."""
    if MEASURED:
        import resource

        most = 1024 * _status("VmSize") + ROOM
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _status(field: str) -> int:
    result = re.search(rf"{field}:\s+(\d+)", (PROC / "status").read_text())
    return int(result[1]) if result else 0


def main(folder: str, function: str) -> None:
    """Answer each path on the standard input, after warming up with those before the first empty line."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    faulthandler.enable()
    warnings.simplefilter("ignore")
    unpacked = Path(folder, "unpacked")
    unpacked.mkdir()
    tempfile.tempdir = str(unpacked)
    module, name = function.split(":")
    read = getattr(importlib.import_module(module), name)
    paths = (line.rstrip("\n") for line in sys.stdin)
    for path in iter(lambda: next(paths), ""):
        try:
            read(path)
        except VideohubError:
            continue
    guard = Guard(os.path.realpath(folder), os.path.realpath(unpacked))
    sys.addaudithook(guard)
    limit_memory()
    print("warm", file=answers, flush=True)
    for path in paths:
        print(json.dumps(watch(guard, read, path, unpacked)), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

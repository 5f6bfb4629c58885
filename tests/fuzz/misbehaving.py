"""Readers that do one thing each that no reader may do, to see that the fuzz test sees it."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from videohub.errors import FormatError, UsageError

kept = []


def imports(path: str) -> None:
    import antigravity  # noqa: F401 - opens a browser


def evaluates(path: str) -> None:
    eval("1")


def opens_a_file_elsewhere(path: str) -> None:
    Path("/etc/hostname").read_bytes()


def writes_over_its_file(path: str) -> None:
    Path(path).write_bytes(b"")


def starts_a_program(path: str) -> None:
    os.system("true")


def calls_out(path: str) -> None:
    socket.socket()


def leaves_a_file_open(path: str) -> None:
    kept.append(open(path, "rb"))  # noqa: SIM115
    raise FormatError(f"{path}: no\n  Never.")


def leaves_a_file_behind(path: str) -> None:
    tempfile.mkdtemp()
    raise FormatError(f"{path}: no\n  Never.")


def raises_what_is_not_ours(path: str) -> None:
    raise KeyError(path)


def raises_another_of_ours(path: str) -> None:
    raise UsageError(f"{path}: no\n  Never.")


def does_not_name_its_file(path: str) -> None:
    raise FormatError("no\n  Never.")


def says_not_what_to_do(path: str) -> None:
    raise FormatError(f"{path}: no")


def clears_the_screen(path: str) -> None:
    raise FormatError(f"{path}: \x1b[2J\n  Never.")


def fills_the_memory(path: str) -> None:
    kept.append(bytes(range(256)) * (1 << 19))
    kept.clear()
    raise FormatError(f"{path}: no\n  Never.")


def asks_for_more_memory_than_there_is(path: str) -> None:
    np.zeros(1 << 40)


def gives_objects(path: str) -> SimpleNamespace:
    return SimpleNamespace(source=path, tensors={"w": np.array([None])})


def breaks_down(path: str) -> None:
    os.abort()


def never_ends(path: str) -> None:
    threading.Event().wait(60)  # a sleep would be an event that is not allowed, from Python 3.13 on


EXPECTED = {
    imports: "not allowed: import ('antigravity'",
    evaluates: "not allowed: ",
    opens_a_file_elsewhere: "not allowed: open ('/etc/hostname'",
    writes_over_its_file: "not allowed: open (",
    starts_a_program: "not allowed: os.system",
    calls_out: "not allowed: socket.__new__",
    leaves_a_file_open: "left a file open",
    leaves_a_file_behind: "in the temporary folder",
    raises_what_is_not_ours: "not our error: KeyError",
    raises_another_of_ours: "another error than FormatError: UsageError",
    does_not_name_its_file: "the message does not name the file",
    says_not_what_to_do: "the message says not what to do",
    clears_the_screen: "the message holds control characters",
    fills_the_memory: "MiB",
    asks_for_more_memory_than_there_is: "not our error: ",
    gives_objects: "is no contiguous little-endian array of numbers",
    breaks_down: "the process died with -6",
    never_ends: "no answer within 0.5 s",
}


def read(path: str) -> object:
    """Misbehave in the way that the name of the file says; whole files are read before."""
    way = Path(path).read_text()
    return globals()[way](path) if way in {known.__name__ for known in EXPECTED} else None

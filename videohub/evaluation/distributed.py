"""Which part of a run belongs to this process, and when all of them are done: as the user says, or torchrun."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from videohub.errors import DeviceError, UsageError

# A shard may end days before another. A process that died is torchrun's to notice, and whether that is there, ours.
_TIMEOUT = timedelta(days=14)
_PIECE = timedelta(seconds=20)
_PARENT = os.getppid()

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Shard:
    """Part `index` of `count`, from 0; sample k of a run belongs to part k % count."""

    index: int = 0
    count: int = 1

    def __str__(self) -> str:
        return f"{self.index + 1}/{self.count}"

    @property
    def is_first(self) -> bool:
        """Whether this is the first part."""
        return self.index == 0

    def has(self, sample: int) -> bool:
        """Return whether a sample, by its number in the run, belongs here: to exactly one shard, without padding."""
        return sample % self.count == self.index


def parse_shard(text: str) -> Shard:
    """Return the shard that `i/n` names, i from 1 to n. Raises: UsageError."""
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", str(text).strip())
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"shard: found {text!r}, expected i/n with i from 1 to n, such as 2/16")
    return Shard(int(match[1]) - 1, int(match[2]))


def under_torchrun() -> bool:
    """Return whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ and "RANK" in os.environ


def is_rank_zero() -> bool:
    """Return whether this process gives the result: the only one, or the first of a torchrun."""
    return not under_torchrun() or shard_of_torchrun().is_first


def shard_here(shard: str | None) -> Shard:
    """Return the part of this process: its place in a torchrun, or what `shard` says. Raises: UsageError."""
    if not under_torchrun():
        return parse_shard(shard) if shard is not None else Shard()
    if shard is not None:
        raise UsageError(f"shard: found {shard!r} under torchrun, which says itself what each process evaluates")
    return shard_of_torchrun()


def shard_of_torchrun() -> Shard:
    """Return the shard that this process of a torchrun evaluates."""
    return Shard(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))


def local_device(device: str) -> str:
    """Return the device of this process: under torchrun, plain `cuda` means the one of its local rank."""
    return f"cuda:{os.environ['LOCAL_RANK']}" if device == "cuda" and under_torchrun() else device


def local_world_size() -> int:
    """Return how many processes of this run share the machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if under_torchrun() else 1


def barrier() -> None:
    """Return once every process of a torchrun has come here.

    A machine whose processes ended early would leave the torchrun five minutes later and could take it along. Where
    the first process has to host the store, because torchrun does not, only that one waits: the store ends with it.

    torch.distributed is used for this and nothing else: scores go to files, and what a dead process has not written is
    done again by the one that replaces it. The store outlives such a restart, which a process group would not; who was
    done before it is still done.
    Raises: DeviceError if torchrun is gone, or 14 days are over.
    """
    if not under_torchrun():
        return
    from torch.distributed import TCPStore  # type: ignore[attr-defined]  # documented, but not in its stubs

    mine = shard_of_torchrun()
    hosted = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"  # by torchrun itself
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    hosts = mine.is_first and not hosted  # a store in the first process opens when that one is done
    done = [f"videohub/{mine.count}/{index}" for index in range(mine.count)]

    def arrive() -> TCPStore:
        store = TCPStore(address, port, is_master=hosts, timeout=_PIECE)
        store.set(done[mine.index], "done")
        return store

    store = arrive() if hosts else _patiently(arrive)
    if mine.is_first or hosted:
        _patiently(lambda: store.wait(done, _PIECE))


def _patiently(ask: Callable[[], _Result]) -> _Result:
    """Return what is asked of a store, again and again for as long as torchrun is there to end this process."""
    from torch.distributed import DistError

    until = time.monotonic() + _TIMEOUT.total_seconds()
    while True:
        try:
            return ask()
        except DistError as error:
            if os.getppid() != _PARENT or time.monotonic() > until:
                gone = "torchrun ended before all of its processes were done" if os.getppid() != _PARENT else error
                raise DeviceError(f"{gone}; what was scored is kept, and the same call goes on") from error
            time.sleep(1)

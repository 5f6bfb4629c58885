"""Frames on their way to a GPU while it computes: brought there and prepared by a thread, one or two samples ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import TypeVar

import torch
from torch import Tensor

from videohub.data.views import Views

_AHEAD = 2  # samples; at Kinetics' size one takes 320 MB of the GPU's memory

_Key = TypeVar("_Key")
_From = TypeVar("_From")
_To = TypeVar("_To")


def prepared(
    given: Iterable[tuple[_Key, _From]], prepare: Callable[[_From], _To], device: torch.device
) -> Generator[tuple[_Key, _To], None, None]:
    """Yield what `prepare` makes of each item, in order; on a GPU made ahead, in a stream beside the model's.

    On a CPU each is made when it is asked for: the model wants the cores itself. What `prepare` raises comes out in its
    item's turn. Closing this waits for the item that is being made.
    """
    if device.type != "cuda":
        for key, item in given:
            yield key, prepare(item)
        return
    beside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def make(item: _From) -> tuple[_To, torch.cuda.Event]:
        with torch.cuda.device(device), torch.cuda.stream(beside):
            return prepare(item), beside.record_event()

    with ExitStack() as stack:
        thread = ThreadPoolExecutor(1, thread_name_prefix="videohub-preparing")
        stack.callback(thread.shutdown, wait=True, cancel_futures=True)
        ahead: deque[tuple[_Key, Future[tuple[_To, torch.cuda.Event]]]] = deque()
        for key, item in given:
            ahead.append((key, thread.submit(make, item)))
            if len(ahead) > _AHEAD:
                yield _taken_over(*ahead.popleft(), device)
        while ahead:
            yield _taken_over(*ahead.popleft(), device)


def _taken_over(key: _Key, made: Future[tuple[_To, torch.cuda.Event]], device: torch.device) -> tuple[_Key, _To]:
    """Let the model's stream wait for what was made beside it, and keep that until the model has used it."""
    value, ready = made.result()
    stream = torch.cuda.current_stream(device)
    stream.wait_event(ready)
    for tensor in _tensors(value):
        tensor.record_stream(stream)
    return key, value


def _tensors(value: object) -> list[Tensor]:
    """Return the tensors on a GPU that views, or lists of them, are made of."""
    if isinstance(value, Views):
        return [each for each in (value.frames, value.positions, value.boxes) if each is not None]
    if isinstance(value, list | tuple):
        return [tensor for each in value for tensor in _tensors(each)]
    return []

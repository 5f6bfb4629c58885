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
from videohub.errors import DeviceError
from videohub.evaluation.batches import ran_out

_AHEAD = 2  # samples; at Kinetics' size one takes 320 MB of the GPU's memory

_Key = TypeVar("_Key")
_From = TypeVar("_From")
_To = TypeVar("_To")


def prepared(
    given: Iterable[tuple[_Key, _From]], prepare: Callable[[_From], _To], device: torch.device
) -> Generator[tuple[_Key, _To], None, None]:
    """Yield what `prepare` makes of each item, in order; on a GPU made ahead, in a stream beside the model's.

    On a CPU each is made when it is asked for: the model wants the cores itself. What `prepare` raises comes out in its
    item's turn; where a GPU's memory ran out, beside what the model needs, the item is first tried again in its turn.
    Closing this waits for the item that is being made.

    Raises: DeviceError if an item alone does not fit into what memory is left.
    """
    if device.type != "cuda":
        for key, item in given:
            yield key, prepare(item)
        return
    # its many small kernels go before what the model has waiting, else they would hardly get through
    beside = torch.cuda.Stream(device, priority=-1)  # type: ignore[no-untyped-call]

    def make(item: _From) -> tuple[_To, torch.cuda.Event] | None:
        with torch.cuda.device(device), torch.cuda.stream(beside):
            try:
                return prepare(item), beside.record_event()
            except RuntimeError as error:
                if not ran_out(error):
                    raise
        return None  # and not the error, which would keep in use what memory was had

    def taken(key: _Key, item: _From, made: Future[tuple[_To, torch.cuda.Event] | None]) -> tuple[_Key, _To]:
        ahead_of_time = made.result()
        if ahead_of_time is None:
            return key, _made_alone(item, prepare, device)
        return key, _taken_over(*ahead_of_time, device)

    with ExitStack() as stack:
        thread = ThreadPoolExecutor(1, thread_name_prefix="videohub-preparing")
        stack.callback(thread.shutdown, wait=True, cancel_futures=True)
        ahead: deque[tuple[_Key, _From, Future[tuple[_To, torch.cuda.Event] | None]]] = deque()
        for key, item in given:
            ahead.append((key, item, thread.submit(make, item)))
            if len(ahead) > _AHEAD:
                yield taken(*ahead.popleft())
        while ahead:
            yield taken(*ahead.popleft())


def _taken_over(value: _To, ready: torch.cuda.Event, device: torch.device) -> _To:
    """Let the model's stream wait for what was made beside it, and keep that until the model has used it."""
    stream = torch.cuda.current_stream(device)
    stream.wait_event(ready)
    for tensor in _tensors(value):
        tensor.record_stream(stream)
    return value


def _made_alone(item: _From, prepare: Callable[[_From], _To], device: torch.device) -> _To:
    """Prepare an item in the model's stream, with all the memory that nobody uses."""
    torch.cuda.empty_cache()
    try:
        return prepare(item)
    except RuntimeError as error:
        if not ran_out(error):
            raise
        raise DeviceError(
            f"{device}: the frames of one sample do not fit into the memory that is free; end what else runs there, "
            "take smaller batches, or use the CPU"
        ) from error


def _tensors(value: object) -> list[Tensor]:
    """Return the tensors on a GPU that views, or lists of them, are made of."""
    if isinstance(value, Views):
        return [each for each in (value.frames, value.positions, value.boxes) if each is not None]
    if isinstance(value, list | tuple):
        return [tensor for each in value for tensor in _tensors(each)]
    return []

"""How fast a record's network is on this machine, and how near that is to the fastest it could be."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import msgspec
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from videohub import building, registry
from videohub.benchmark.arithmetic import AUTO, Precision, arithmetic, possible
from videohub.benchmark.batches import Batches
from videohub.benchmark.kept_memory import kept_memory
from videohub.data.views import Views
from videohub.errors import UsageError
from videohub.loading import usable
from videohub.models.inference_form import optimize
from videohub.registry.schema import Record

_FEWEST_TURNS = 3
_TURN_S = 0.2  # at least, so that what else happens in a turn weighs little
_SIDE = {"cpu": 2048, "cuda": 8192}  # of the matrices: large enough that a larger product is no faster
_UNDER = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Spread(msgspec.Struct, frozen=True):
    """What several turns came to."""

    median: float
    least: float
    most: float


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """What a network takes for a view, beside a product of two matrices in the same precision, which is the limit.

    Multiply-adds are counted as the zoo's table counts them: each is two operations.
    """

    record: str
    device: str
    threads: int | None  # of the CPU, where that computes
    precision: Precision
    view: tuple[int, ...]  # (3, T, H, W)
    boxes: int  # in each view; AVA alone
    batch: int  # views at once
    parameters: int
    multiply_adds: int  # of a view
    seconds: Spread  # a view
    views_per_second: Spread
    views_per_video: int
    seconds_per_video: float
    product: Spread  # the limit, in 10^9 multiply-adds a second
    share_of_product: Spread
    memory: int | None  # that the network and a batch need of a GPU at most, in bytes
    turns: int


def speed(
    name: str | Record,
    *,
    device: str = "cpu",
    precision: str = AUTO,
    batch: int | None = None,
    seconds: float = 10,
) -> Speed:
    """Time a record's network as an evaluation runs it, on frames of noise and with random weights: nothing is fetched.

    The network is in its inference form, views are cut out of frames and go through it in batches; decoding stands
    apart, in processes of its own. A first batch does not count.

    Args:
        name: A record, its id or its upstream name.
        device: Where it runs.
        precision: "fp32", "tf32", "bf16", "fp16", or "auto": what an evaluation would try first, fp16 on a GPU.
        batch: Views at once; None: as many as an evaluation takes.
        seconds: How long to go on; three turns are taken in any case.
    Raises: UnknownNameError; UsageError if an argument is out of its range; DeviceError if the device cannot do it.
    """
    record = registry.record(name)
    if seconds <= 0:
        raise UsageError(f"seconds: found {seconds}, expected more than 0")
    where = torch.device(usable(device))
    chosen = possible(("fp16" if where.type == "cuda" else "fp32") if precision == AUTO else precision, where)
    model = optimize(building.build(record).to(where))
    batches = Batches(model, record.protocol, chosen, size=batch)
    with kept_memory(where):
        at_once = _settled(batches, _noise(record, 1, where))
        views = _noise(record, at_once, where)
        score = _Timed(lambda: _exhaust(batches.scored([(None, views)])), where)
        memory = _peak_memory(score, where)
        multiply = _Timed(_product(chosen, where), where)
        took, products = _in_turns(score, multiply, seconds)
    shape = views.shape[1:]
    each = [one / at_once for one in took]
    work = multiply_adds(record, shape)
    limit = [_SIDE[where.type] ** 3 / one for one in products]
    return Speed(
        record=record.name,
        device=_told(where),
        threads=torch.get_num_threads() if where.type == "cpu" else None,
        precision=chosen,
        view=shape,
        boxes=0 if views.boxes is None else len(views.boxes),
        batch=at_once,
        parameters=sum(parameter.numel() for parameter in building.build_empty(record).parameters()),
        multiply_adds=work,
        seconds=_spread(each),
        views_per_second=_spread([1 / one for one in each]),
        views_per_video=record.protocol.clips * record.protocol.crops,
        seconds_per_video=statistics.median(each) * record.protocol.clips * record.protocol.crops,
        product=_spread([one / 1e9 for one in limit]),
        share_of_product=_spread([work / one / most for one, most in zip(each, limit, strict=True)]),
        memory=memory,
        turns=len(took),
    )


def multiply_adds(record: Record, view: Sequence[int]) -> int:
    """Return how many multiplications, each with an addition, a record's network does for a view (3, T, H, W).

    Convolutions and matrix products are counted, as published tables do. Nothing is computed.
    """
    model = building.build_empty(record)
    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.inference_mode():
        clip = torch.empty(1, *view)
        if record.protocol.metric == "ava_map":
            model(clip, torch.empty(1, 5))
        else:
            model(clip)
    return int(counter.get_total_flops()) // 2


class _Timed:
    """An action on a device, and how long it takes until the device has done it."""

    def __init__(self, action: Callable[[], object], device: torch.device) -> None:
        self._action, self._device = action, device

    def __call__(self, times: int = 1) -> float:
        """Return the seconds of one time out of several."""
        self._wait()
        start = time.perf_counter()
        for _ in range(times):
            self._action()
        self._wait()
        return (time.perf_counter() - start) / times

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def _in_turns(score: _Timed, multiply: _Timed, seconds: float) -> tuple[list[float], list[float]]:
    """Return what a batch and a product took in each turn, until the time is up."""
    times = [max(1, math.ceil(_TURN_S / each())) for each in (score, multiply)]  # a first time, which does not count
    took: list[float] = []
    products: list[float] = []
    end = time.perf_counter() + seconds
    while len(took) < _FEWEST_TURNS or time.perf_counter() < end:
        took.append(score(times[0]))
        products.append(multiply(times[1]))
    return took, products


def _peak_memory(score: _Timed, device: torch.device) -> int | None:
    """Return how much of a GPU's memory is in use at most while a batch is scored."""
    if device.type != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats(device)
    score()
    return torch.cuda.max_memory_allocated(device)


def _settled(batches: Batches, view: Views) -> int:
    """Score a view, whereupon a GPU's batch size is known, and return the batch size."""
    _exhaust(batches.scored([(None, view)]))
    return batches.sizes[view.shape[1:]]


def _exhaust(scored: Iterator[object]) -> None:
    for _ in scored:
        pass


def _noise(record: Record, count: int, device: torch.device) -> Views:
    """Return so many views of a protocol's size, all of the same clip; people stand in the middle of it."""
    protocol, clip = record.protocol, record.clip
    size = (protocol.crop or protocol.short_side, protocol.crop or round(protocol.short_side * 4 / 3))
    frames = torch.randn(clip.frames, 3, *size, generator=torch.Generator().manual_seed(0)).to(device)
    rows = torch.arange(clip.frames).expand(count, -1)
    boxes = None
    if protocol.metric == "ava_map":
        boxes = torch.tensor([[0.25, 0.25, 0.75, 0.75]]) * torch.tensor([size[1], size[0]]).repeat(2)
        boxes = boxes.to(device)
    return Views(frames, rows.to(device), [(0, 0)], size, pts=rows, decode_positions=rows, boxes=boxes)


def _product(precision: Precision, device: torch.device) -> Callable[[], Tensor]:
    """Return what multiplies two square matrices in a precision."""
    side = _SIDE[device.type]
    matrix = torch.randn(side, side, device=device, dtype=_UNDER.get(precision, torch.float32))
    out = torch.empty_like(matrix)

    def multiply() -> Tensor:
        with torch.inference_mode(), arithmetic("tf32" if precision == "tf32" else "fp32", device):
            return torch.mm(matrix, matrix, out=out)

    return multiply


def _told(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def _spread(values: Sequence[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values))

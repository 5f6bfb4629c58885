"""How fast a record's network is on this machine, beside a product of two matrices there."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from videohub import building, metrics, registry
from videohub.data.geometry import Square, resized_size, squares
from videohub.data.views import Views
from videohub.devices import AUTO, NumericPrecision, arithmetic, supported, usable
from videohub.errors import UsageError
from videohub.evaluation.batches import Batches
from videohub.evaluation.kept_memory import kept_memory
from videohub.formatting import Spread
from videohub.models.inference_form import optimize
from videohub.registry.schema import Record

_FEWEST_TURNS = 3
_TURN_S = 0.2  # at least, so that what else happens in a turn weighs little
_SIDE = {"cpu": 2048, "cuda": 8192, "mps": 4096}  # of the matrices: large enough that a larger product is no faster
_UNDER = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """What a network takes for a view, beside a product of two matrices in the same precision.

    That is a yardstick and no bound: some convolutions of 3 x 3 come to 1.4 times its speed on processors with AVX-512.
    Multiply-adds are counted as the zoo's table counts them: each is two operations.
    """

    record: str
    device: str
    threads: int | None  # of the CPU, where that computes
    precision: NumericPrecision
    view: tuple[int, ...]  # (3, T, H, W)
    boxes: int  # in each view; AVA alone
    batch: int  # views at once
    parameters: int
    multiply_adds: int  # of a view
    seconds: Spread  # a view
    views_per_second: Spread
    sample: Literal["video", "picture", "key frame"]  # what is scored at once
    views_per_sample: int
    seconds_per_sample: float
    product: Spread  # in 10^9 multiply-adds a second
    share_of_product: Spread
    memory: int | None  # that the network and a batch need of a GPU at most, in bytes
    turns: int


def speed(
    name: str | Record,
    *,
    device: str | torch.device = "cpu",
    precision: str = AUTO,
    batch: int | None = None,
    seconds: float = 10,
) -> Speed:
    """Time a record's network as an evaluation runs it, on frames of noise and with random weights: nothing is fetched.

    The network is in its inference form, views are cut out of frames and go through it in batches. Decoding and
    preparing frames are not part of it. First batches do not count.

    Args:
        name: A record, its id or its upstream name.
        device: Where it runs.
        precision: "fp32", "tf32", "bf16", "fp16", or "auto": what an evaluation would try first, fp16 on a GPU.
        batch: Views at once; None: as many as an evaluation takes.
        seconds: How long to go on; three turns are taken in any case.
    Raises: UnknownNameError; UsageError if an argument is out of its range; DeviceError if the device cannot do it.
    """
    record = registry.record(name)
    if not 0 < seconds < math.inf:
        raise UsageError(f"seconds: found {seconds}, expected a number above 0")
    where = usable(device)
    chosen = supported(("fp16" if where.type == "cuda" else "fp32") if precision == AUTO else precision, where)
    model = optimize(building.build(record).to(where))
    batches = Batches(model, record.protocol, chosen, size=batch)
    with kept_memory(where):
        views = _views_of_a_batch(batches, record, where)
        at_once = len(views)
        score = _Timed(lambda times: list(batches.scored([(None, views)] * times)), where)
        memory = _peak_memory(score, where)
        multiply = _Timed(_product(chosen, where), where)
        with tqdm(desc=record.name, unit="turn", leave=False, disable=None) as bar:
            took, products = _in_turns(score, multiply, seconds, bar)
    shape = views.shape[1:]
    each = [one / at_once for one in took]
    work = multiply_adds(record, shape)
    limit = [_SIDE[where.type] ** 3 / one for one in products]
    return Speed(
        record=record.name,
        device=torch.cuda.get_device_name(where) if where.type == "cuda" else where.type,
        threads=torch.get_num_threads() if where.type == "cpu" else None,
        precision=chosen,
        view=shape,
        boxes=0 if views.boxes is None else len(views.boxes),
        batch=at_once,
        parameters=sum(parameter.numel() for parameter in building.build_empty(record).parameters()),
        multiply_adds=work,
        seconds=Spread.of(each),
        views_per_second=Spread.of([1 / one for one in each]),
        sample="picture" if record.protocol.scored == "image" else record.protocol.scored,
        views_per_sample=record.protocol.num_views,
        seconds_per_sample=statistics.median(each) * record.protocol.num_views,
        product=Spread.of([one / 1e9 for one in limit]),
        share_of_product=Spread.of([work / one / most for one, most in zip(each, limit, strict=True)]),
        memory=memory,
        turns=len(took),
    )


def multiply_adds(record: Record, view: Sequence[int]) -> int:
    """Return how many multiplications, each with an addition, a record's network does for a view (3, T, H, W).

    Convolutions and matrix products are counted, as published tables do. Nothing is computed.
    """
    model = building.build_empty(record)
    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.inference_mode():
        clip = torch.empty(1, *view, dtype=torch.float32)
        if metrics.of(record.protocol.metric).by_box:
            model(clip, torch.empty(1, 5, dtype=torch.float32))
        else:
            model(clip)
    return int(counter.get_total_flops()) // 2


class _Timed:
    """An action that can be asked for several times over, and how long it takes until its device has done it."""

    def __init__(self, action: Callable[[int], object], device: torch.device) -> None:
        self._action, self._device = action, device

    def __call__(self, times: int = 1) -> float:
        """Return the seconds of one time out of several."""
        self._wait()
        start = time.perf_counter()
        self._action(times)
        self._wait()
        return (time.perf_counter() - start) / times

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        elif self._device.type == "mps":
            torch.mps.synchronize()


def _in_turns(score: _Timed, multiply: _Timed, seconds: float, bar: tqdm[Any]) -> tuple[list[float], list[float]]:
    """Return what a batch and a product took in each turn, until the time is up."""
    multiply()  # a first time is slower
    times = [max(1, math.ceil(_TURN_S / each())) for each in (score, multiply)]
    took: list[float] = []
    products: list[float] = []
    end = time.perf_counter() + seconds
    while len(took) < _FEWEST_TURNS or time.perf_counter() < end:
        took.append(score(times[0]))
        products.append(multiply(times[1]))
        bar.update()
    return took, products


def _peak_memory(score: _Timed, device: torch.device) -> int | None:
    """Return how much of a GPU's memory is in use at most while a batch is scored."""
    if device.type != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats(device)
    score()
    return torch.cuda.max_memory_allocated(device)


def _views_of_a_batch(batches: Batches, record: Record, device: torch.device) -> Views:
    """Return a batch of views of the size that an evaluation comes to, after they were scored once."""
    views = _noise(record, 1, device)
    while True:
        list(batches.scored([(None, views)]))
        size = batches.sizes[views.shape[1:]]
        if size == len(views):
            return views
        views = _noise(record, size, device)


def _noise(record: Record, count: int, device: torch.device) -> Views:
    """Return so many views of a protocol's size, all of the same clip; people stand in the middle of it."""
    protocol, clip = record.protocol, record.clip
    _, size = squares(*resized_size(480, 640, protocol.whole_frame_steps), protocol)
    frames = torch.randn(clip.frames, 3, *size, dtype=torch.float32, generator=torch.Generator().manual_seed(0))
    if device.type == "cuda":  # as they are prepared there
        frames = frames.to(device, memory_format=torch.channels_last)
    rows = torch.arange(clip.frames).expand(count, -1)
    boxes = None
    if metrics.of(protocol.metric).by_box:
        height, width = size
        middle = [width / 4, height / 4, width * 3 / 4, height * 3 / 4]
        boxes = torch.tensor([middle], dtype=torch.float32, device=frames.device)
    return Views(frames, rows.to(frames.device), [Square(0, 0)], size, pts=rows, decode_positions=rows, boxes=boxes)


def _product(precision: NumericPrecision, device: torch.device) -> Callable[[int], None]:
    """Return what multiplies two square matrices in a precision, or in float32 where a CPU only imitates that."""
    dtype = _UNDER.get(precision, torch.float32)
    if device.type == "cpu" and dtype != torch.float32 and _imitated(dtype):
        dtype = torch.float32
    product = MatrixProduct(_SIDE[device.type], dtype=dtype, device=device)

    def multiply(times: int) -> None:
        with arithmetic("tf32" if precision == "tf32" else "fp32", device):
            product(times)

    return multiply


def _imitated(dtype: torch.dtype) -> bool:
    """Return whether this CPU takes longer for products in a type than in float32: a small one tells."""
    return MatrixProduct(256, dtype=dtype).seconds > MatrixProduct(256).seconds


class MatrixProduct:
    """The product of two square matrices, as quick as torch does it on a device: what networks are measured by.

    On a CPU BLAS takes `torch.mm` and oneDNN takes convolutions. Which of the two makes use of all of a processor
    differs from one to the next, so the quicker one here is taken. On an AMD processor with AVX-512 that is oneDNN, by
    a factor of 1.5 to 1.7, and Slow 8x8 ran at 197 % of `torch.mm`.
    """

    def __init__(self, side: int, *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> None:
        """Make matrices of `side` rows and columns, and on a CPU try both ways."""
        self.multiply_adds = side**3
        matrix = torch.randn(side, side, device=device, dtype=dtype)
        out = torch.empty_like(matrix)
        ways: dict[str, Callable[[], object]] = {"torch.mm": lambda: torch.mm(matrix, matrix, out=out)}
        if matrix.device.type == "cpu":
            columns, kernel = (
                each.contiguous(memory_format=torch.channels_last)
                for each in (matrix.t().reshape(1, side, side, 1), matrix.reshape(side, side, 1, 1))
            )
            ways["oneDNN"] = lambda: functional.conv2d(columns, kernel)
        with torch.inference_mode():
            took = {way: min(_seconds(multiply) for _ in range(3)) for way, multiply in ways.items()}
        self.way = min(took, key=took.__getitem__)
        self.seconds = took[self.way]  # on a CPU, which has done it when a call returns
        self._multiply = ways[self.way]

    def __call__(self, times: int = 1) -> None:
        """Multiply, so many times."""
        with torch.inference_mode():
            for _ in range(times):
                self._multiply()


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start

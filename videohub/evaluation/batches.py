"""Views of consecutive videos in batches of a fixed number: on a CPU the same bits, whoever shares a batch."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar, cast
from typing import Protocol as Interface

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from videohub.building import refused_clips
from videohub.devices import NumericPrecision, arithmetic
from videohub.errors import DeviceError, UsageError, VideohubError
from videohub.models.video_model import VideoModel
from videohub.protocols import Protocol

Scores = npt.NDArray[np.float32]


class Cuts(Interface):
    """What views are cut from on request: `Views` of a whole video, or a `Window` of it."""

    @property
    def boxes(self) -> Tensor | None:
        """Return (K, 4), the boxes of the people in its view, if it has any."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of all views together, (V, 3, T, H, W)."""

    @property
    def device(self) -> torch.device:
        """Return where the frames lie."""

    def __len__(self) -> int:
        """Return V."""

    def write(self, view: int, out: Tensor, /) -> None:
        """Write one view, (3, T, H, W)."""


# Input values that go through the model together on a CPU: one view of 8 frames or more at 256 pixels. More are no
# faster, and take more memory.
_VALUES_AT_ONCE = 2**21
_VALUES_AT_ONCE_ELSEWHERE = 2**28
_MOST_ON_A_CPU = 32
_TRIAL = 2  # views whose memory is measured on a GPU
_MOST_ON_A_GPU = 64  # more are no faster, and the last batch is padded
_SHARE = 0.8  # of the free memory; views that wait for their batch lie there too

_Key = TypeVar("_Key")


def at_once(shape: Sequence[int], device: torch.device) -> int:
    """Return how many views of a shape (3, T, H, W) go through a model together, by their number of values."""
    if device.type != "cuda":
        return min(_MOST_ON_A_CPU, max(1, _VALUES_AT_ONCE // math.prod(shape)))
    return max(1, _VALUES_AT_ONCE_ELSEWHERE // math.prod(shape))


def fitting(free: int, for_trial: int) -> int:
    """Return how many views fit into `free` bytes of a GPU, where a trial batch needed `for_trial` bytes."""
    return max(1, min(_MOST_ON_A_GPU, int(free * _SHARE) * _TRIAL // max(1, for_trial)))


def ran_out(error: RuntimeError) -> bool:
    """Return whether a GPU lacked memory, for which cuDNN and cuBLAS have words of their own."""
    lacks = ("CUDA error: out of memory", "ALLOC_FAILED", "CUBLAS_STATUS_NOT_INITIALIZED", "unable to find an engine")
    return isinstance(error, torch.OutOfMemoryError) or any(each in str(error) for each in lacks)


def probabilities(
    model: nn.Module, batch: Tensor, boxes: Tensor | None, protocol: Protocol, precision: NumericPrecision
) -> Tensor:
    """Return float32 probabilities, on the model's device, of a batch (B, 3, T, H, W), with boxes (K, 5) where given.

    Where a protocol joins logits, these are returned.

    Whatever the network computes in, the activation computes in float32.
    """
    with torch.inference_mode():
        logits = _computed(model, next(model.parameters()), batch, boxes, precision)
        if protocol.scores.join == "mean_of_logits":
            return logits
        return logits.softmax(dim=1) if protocol.scores.activation == "softmax" else logits.sigmoid()


def pooled_features(
    model: nn.Module, batch: Tensor, boxes: Tensor | None, protocol: Protocol, precision: NumericPrecision
) -> Tensor:
    """Return what a classifier would be given, (B, D) or a row for each box, as `probabilities` does with scores."""
    with torch.inference_mode():
        return _computed(cast(VideoModel, model).features, next(model.parameters()), batch, boxes, precision)


def _computed(
    network: Callable[..., Tensor], weights: Tensor, batch: Tensor, boxes: Tensor | None, precision: NumericPrecision
) -> Tensor:
    """Return in float32 what a network makes of a batch, where its weights are and of their type."""
    batch = batch.to(weights.device, weights.dtype, memory_format=torch.channels_last_3d)
    with arithmetic(precision, weights.device):
        output = network(batch) if boxes is None else network(batch, boxes.to(weights.device))
    return output.float()


Compute: TypeAlias = Callable[[nn.Module, Tensor, "Tensor | None", Protocol, NumericPrecision], Tensor]


def check_finite(scores: Scores, name: str, precision: NumericPrecision) -> None:
    """Refuse scores that are not numbers. Raises: VideohubError that names the video."""
    if not np.isfinite(scores).all():
        raise VideohubError(
            f"{name}: the network gives values that are not numbers, computing in {precision}; "
            "look at its weights, or choose precision fp32 if that is another one"
        )


def device_of(model: nn.Module) -> torch.device:
    """Return where a model's weights are."""
    return next(model.parameters()).device


def prepares_on(device: torch.device) -> torch.device:
    """Return where frames are prepared for a model on `device`: GPUs of NVIDIA do it as a CPU does, to the last bit."""
    return device if device.type == "cuda" else torch.device("cpu")


class Batches:
    """Fills views of consecutive videos into batches and hands the probabilities back video by video.

    Kernels are chosen by the shape of a batch, so a view's probabilities depend on the number N of views in it, in
    their last bits; on its row and on the other rows they do not (CPU, tested for every family of networks). Hence N
    is fixed for a shape of views, and a last batch is filled up: interrupted, sharded and plain runs agree bit for bit.

    On a CPU N follows from the shape alone. Boxes go one view a batch there: the classifier's kernel sees their number.
    On a GPU a batch of 2 shows how much memory a view needs and N follows from what is free; where that runs out
    nevertheless, N is halved and the same views go again.
    """

    def __init__(
        self,
        model: nn.Module,
        protocol: Protocol,
        precision: NumericPrecision,
        *,
        size: int | None = None,
        progress: Callable[[int], object] = lambda count: None,
        compute: Compute = probabilities,
    ) -> None:
        """Set up for a model; `size` is N for views of any shape, None: as above.

        `progress` is called with the number of views of each batch that is done; `compute` says what is made of one:
        `probabilities`, or `pooled_features`. Raises: UsageError if N is below 1.
        """
        if size is not None and size < 1:
            raise UsageError(f"batch: found {size}, expected at least 1 view")
        self._model, self._protocol, self._size, self._progress = model, protocol, size, progress
        self._device, self._compute = device_of(model), compute
        self.precision = precision
        self._to_measure: set[tuple[int, ...]] = set()
        self._videos: deque[_Video[Any]] = deque()  # that are not yet handed back
        self._rows: list[_Row] = []  # that wait for their batch
        self._begun: _Begun | None = None  # the batch whose results are still on the device
        self.sizes: dict[tuple[int, ...], int] = {}  # N by the shape of a view, (3, T, H, W), as last used

    def scored(self, videos: Iterable[tuple[_Key, Cuts | None]]) -> Iterator[tuple[_Key, Scores | None]]:
        """Yield the probabilities of each video in turn, one row a view or, where it has boxes, one row a box.

        A video without views passes through. Raises: DeviceError if one view alone does not fit into the memory.
        """
        for key, views in videos:
            yield from self.take(key, views)
        yield from self.rest()

    def take(self, key: _Key, views: Cuts | None) -> Iterator[tuple[_Key, Scores | None]]:
        """Take in one more video, and yield those that are done, in their order."""
        video = _Video(key, None if views is None else [None] * len(views))
        self._videos.append(video)
        if views is not None and video.parts is not None:
            if self._rows and self._rows[0].shape != views.shape[1:]:
                self._run(to_the_last=True)
            self._rows += [_Row(views, number, video.parts) for number in range(len(views))]
            self._run(to_the_last=False)
        yield from self._done()

    def rest(self) -> Iterator[tuple[_Key, Scores | None]]:
        """Score what is left, and yield the videos that were not yet done."""
        self._run(to_the_last=True)
        self._fetch()
        yield from self._done()

    def _done(self) -> Iterator[tuple[Any, Scores | None]]:
        while self._videos and self._videos[0].complete:
            yield self._videos.popleft().result()

    def _run(self, *, to_the_last: bool) -> None:
        """Score full batches, and also the rest if it goes `to_the_last`.

        On a GPU the results of a batch are fetched when the next one has been given to it, so that it never waits.
        """
        while self._rows:
            size = self._batch_size(self._rows[0])
            if len(self._rows) < size and not to_the_last:
                return
            begun = self._attempt(self._rows[:size], size)
            if isinstance(begun, str):
                self._fetch()
                self._halve(self._rows[0].shape, size, begun)
                continue
            del self._rows[:size]
            self._fetch()
            self._begun = begun
            if self._device.type != "cuda":
                self._fetch()

    def _fetch(self) -> None:
        """Wait for the batch that was given to the device last, and hand its probabilities to their videos."""
        if self._begun is not None:
            self._begun.hand_out()
            self._progress(len(self._begun.rows))
            self._begun = None

    def _batch_size(self, row: _Row) -> int:
        if row.shape not in self.sizes:
            if self._size is not None:
                size = self._size
            elif self._device.type != "cuda":
                size = 1 if row.views.boxes is not None else at_once(row.shape, self._device)
            else:
                size = _TRIAL
                self._to_measure.add(row.shape)
            self.sizes[row.shape] = size
        return self.sizes[row.shape]

    def _attempt(self, rows: list[_Row], size: int) -> _Begun | str:
        """Begin to score some rows in a batch of `size`; if they do not fit into the memory, return what torch said."""
        try:
            if rows[0].shape in self._to_measure:
                return self._measured(rows)
            return self._begin(rows, size)
        except UsageError:  # an exported file's, which says all itself
            raise
        except ValueError as error:  # as our networks refuse a clip
            raise refused_clips("the network", rows[0].shape[1:], error) from error
        except RuntimeError as error:
            if ran_out(error):
                return str(error)  # the error itself would keep memory in use
            if "can't allocate memory" in str(error):  # on a CPU, where the number of views decides the bits
                raise DeviceError(
                    f"{self._device}: {size} views at once do not fit into the memory; take fewer"
                ) from error
            if "not implemented for" in str(error):
                kind = str(next(self._model.parameters()).dtype).removeprefix("torch.")
                raise DeviceError(
                    f"{self._device}: torch {torch.__version__} does not compute this network in {kind} here "
                    f"({error}); call model.float(), or use another device"
                ) from error
            raise

    def _begin(self, rows: list[_Row], size: int) -> _Begun:
        batch = torch.empty(
            (size, *rows[0].shape),
            dtype=torch.float32,
            device=rows[0].views.device,
            memory_format=torch.channels_last_3d,
        )
        for place in range(size):
            row = rows[min(place, len(rows) - 1)]  # the last one also fills what is left of a batch
            row.views.write(row.number, batch[place])
        boxes = [_in_batch(row.views.boxes, place) for place, row in enumerate(rows)]
        given = [each for each in boxes if each is not None]
        scores = self._compute(
            self._model, batch, torch.cat(given) if given else None, self._protocol, self.precision
        ).to("cpu", non_blocking=True)
        return _Begun(rows, [1 if each is None else len(each) for each in boxes], scores, _moment(self._device))

    def _measured(self, rows: list[_Row]) -> _Begun:
        """Score the first rows of a shape on a GPU, and let what they needed say how many go together from now on."""
        torch.cuda.reset_peak_memory_stats(self._device)
        before = torch.cuda.memory_allocated(self._device)
        begun = self._begin(rows, _TRIAL)
        needed = torch.cuda.max_memory_allocated(self._device) - before
        unused = torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(self._device)
        free = torch.cuda.mem_get_info(self._device)[0] + unused
        self.sizes[rows[0].shape] = fitting(free, needed)
        self._to_measure.remove(rows[0].shape)
        return begun

    def _halve(self, shape: tuple[int, ...], size: int, reason: str) -> None:
        """Let half as many views go together as the memory did not suffice for, and free what can be."""
        if size == 1:
            raise DeviceError(
                f"{self._device}: one view of {' x '.join(map(str, shape))} values does not fit into the memory that "
                f"is free ({reason.splitlines()[0]}); end what else runs there, or use the CPU"
            )
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        self.sizes[shape] = size // 2
        self._to_measure.discard(shape)


@dataclass(frozen=True, eq=False)
class _Video(Generic[_Key]):
    """A video on its way; `parts` are the probabilities of its views as far as they are known."""

    key: _Key
    parts: list[Scores | None] | None

    @property
    def complete(self) -> bool:
        return self.parts is None or all(part is not None for part in self.parts)

    def result(self) -> tuple[_Key, Scores | None]:
        known = [part for part in self.parts or [] if part is not None]
        return self.key, np.concatenate(known) if known else None


@dataclass(frozen=True, eq=False)
class _Row:
    """A view of a video, and where its probabilities go."""

    views: Cuts
    number: int
    parts: list[Scores | None]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.views.shape[1:]


@dataclass(frozen=True, eq=False)
class _Begun:
    """A batch that a device is at: its probabilities are on the CPU once the device has come to `moment`."""

    rows: list[_Row]
    lengths: list[int]  # rows of probabilities of each row
    scores: Tensor
    moment: torch.cuda.Event | None

    def hand_out(self) -> None:
        """Wait, and give each video its part."""
        if self.moment is not None:
            self.moment.synchronize()
        scores: Scores = self.scores.numpy()
        begin = 0
        for row, length in zip(self.rows, self.lengths, strict=True):
            row.parts[row.number] = scores[begin : begin + length]
            begin += length


def _moment(device: torch.device) -> torch.cuda.Event | None:
    """Return the moment at which a device will have done what it was given so far; a CPU has done it."""
    if device.type != "cuda":
        return None
    # whoever waits for it leaves the core to the decoders
    moment = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
    return torch.cuda.current_stream(device).record_event(moment)


def _in_batch(boxes: Tensor | None, position: int) -> Tensor | None:
    """Return boxes (K, 4) with the row that their view has in the batch in front, (K, 5)."""
    return None if boxes is None else torch.cat([boxes.new_full((len(boxes), 1), position), boxes], dim=1)

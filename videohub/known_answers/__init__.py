"""What is publicly known of a file's outputs, computed again in seconds and without a data set.

videohub.check("videomae_vit_b_16x4").status    # "holds", "fails" or "nothing known"

Everything is computed on the CPU in float32, whatever a program's own settings are.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
import torch
from torch import Tensor

from videohub import registry
from videohub.building import classes_of, with_weights
from videohub.certificate import middle_box
from videohub.convert import kept_weights
from videohub.devices import arithmetic
from videohub.errors import FormatError, KnownAnswerError, UsageError
from videohub.known_answers.clips import clip_of
from videohub.known_answers.slips import SLIPS, Kind, biases_are_zero
from videohub.models import VideoModel
from videohub.protocols import Divide, Normalise, Protocol, ReverseChannels
from videohub.registry.known_answers import KnownAnswer, SyntheticClip, Values
from videohub.registry.lookup import view_size
from videohub.registry.schema import Record
from videohub.version import __version__
from videohub.weights import fetch, weights_file

Status: TypeAlias = Literal["holds", "fails", "nothing known"]
Progress: TypeAlias = Callable[[str, int, int], None]  # what is being done, how many steps are done, of how many

_CPU = torch.device("cpu")
_FIRST = 8  # outputs that a fingerprint states
_CLOSE = 5e-5  # of the largest output: what a fingerprint may be off; other machines and versions make some 1e-6
_CLOSER = 0.1  # of the difference without it: what a slip has to bring it down to, to be named as the nearest


@dataclass(frozen=True)
class Compared:
    """One known answer, beside what came out."""

    clip: str
    pixels: str
    expected: Values
    found: Values
    difference: float  # the largest of a value
    tolerance: float
    holds: bool
    source: str


@dataclass(frozen=True)
class Tried:
    """A known slip, and how far the values are from the known ones with it."""

    kind: Kind
    what: str
    difference: float


@dataclass(frozen=True)
class Cause:
    """Which of three is the likelier cause, and why."""

    kind: Kind
    why: str


@dataclass(frozen=True)
class Checked:
    """What is known of a file's outputs, and whether it came out."""

    record: str
    file: str
    sha256: str | None  # None: nothing is known, and no file was asked for
    status: Status
    answers: Sequence[Compared] = ()
    cause: Cause | None = None  # where it fails
    tried: Sequence[Tried] = ()


def check(
    name: str | Record, *, checkpoint: str | Path | None = None, progress: Progress = lambda what, done, of: None
) -> Checked:
    """Compute again what is publicly known of a record's file, and say whether it comes out.

    Of a record with several checkpoints the first is taken of which anything is known; a page to download from by hand
    is passed over.

    Args:
        name: A record, its id or its upstream name.
        checkpoint: A file of one's own instead of the record's URL, such as a copy of the published one.
        progress: Told what is being done.
    Raises: what `load` raises; DownloadError, OfflineError, FormatError if the file of a clip cannot be had or read.
    """
    record = registry.record(name)
    if checkpoint is None:
        record = _of_known_form(record)
    if not (record.known_answers if checkpoint else _of_layout(record, record.checkpoint.layout)):
        return Checked(record.name, str(checkpoint or record.checkpoint.url or ""), None, "nothing known")
    weights = fetch(record, checkpoint=checkpoint)
    return check_weights(record, weights, checkpoint=checkpoint, progress=progress)


def check_weights(
    record: Record,
    weights: Path,
    *,
    checkpoint: str | Path | None = None,
    progress: Progress = lambda what, done, of: None,
) -> Checked:
    """Compute again what is known of a record's file, given what `fetch` returned for it; see `check`.

    Raises: as `check`; UsageError if the file has other classes than the record.
    """
    layout = record.checkpoint.layout if checkpoint is None else kept_weights.origin(weights).get("layout", "")
    answers, known = _of_layout(record, layout), weights_file(weights, record, checkpoint=checkpoint)
    if not answers:
        return Checked(record.name, known.name, known.sha256, "nothing known")
    model = _network(record, weights)
    compared: list[Compared] = []
    for number, answer in enumerate(answers):
        progress(answer.input.in_words(), number, len(answers))
        compared.append(_compared(model, record, answer))
    wrong = next((answer for answer, each in zip(answers, compared, strict=True) if not each.holds), None)
    if wrong is None:
        return Checked(record.name, known.name, known.sha256, "holds", compared)
    off = next(each.difference for each in compared if not each.holds)
    tried = _tried(model, record, wrong, progress)
    cause = _likelier(model, wrong, off, tried)
    return Checked(record.name, known.name, known.sha256, "fails", compared, cause, tried)


def refuse_wrong(checked: Checked) -> None:
    """Raise KnownAnswerError where what is known of a file did not come out."""
    if checked.cause is None:
        return
    wrong = next(each for each in checked.answers if not each.holds)
    raise KnownAnswerError(
        f"{checked.record}: {checked.file} does not give what is known of its outputs.\n"
        f"  Of {wrong.clip}: found {in_words(wrong.found)}, expected {in_words(wrong.expected)} within "
        f"{wrong.tolerance:g} ({wrong.source}).\n"
        f"  The likelier cause is {checked.cause.kind}: {checked.cause.why}."
    )


def in_words(values: Values) -> str:
    """Return values as people read them, such as `first outputs 0.3669 -0.0688 -0.2421`."""
    words = [f"first outputs {' '.join(f'{value:.5g}' for value in values.first)}"] if values.first else []
    words += [f"{name} {value:.5g}" for name in ("mean", "rms") if (value := getattr(values, name)) is not None]
    if values.top1 is not None and values.probability is not None:
        words.append(f"class {values.top1} with {values.probability:.5f}")
    return ", ".join(words)


def lacks_fingerprint(record: Record) -> bool:
    """Return whether a record's first checkpoint could have a fingerprint and has none."""
    stated = any(answer.is_fingerprint for answer in _of_layout(record, record.checkpoint.layout))
    return not stated and view_size(record) is not None


def fingerprint(record: Record, weights: Path, *, checkpoint: str | Path | None = None) -> KnownAnswer:
    """Return what a record's published file makes of the synthetic clip, for its registry file.

    Args:
        weights: What `fetch` returned, for the file that was given by hand, if one was.
    Raises: UsageError if nobody vouches that these are the published file's bytes, if the size of a view is not stated,
        or if a fingerprint is there; FormatError, too if the outputs are no numbers, or all 0.
    """
    known, size = weights_file(weights, record, checkpoint=checkpoint), view_size(record)
    if known.vouched_by is None:
        raise UsageError(
            f"{record.name}: {known.name} has sha256 {known.sha256}, and nobody vouches that this is the published "
            "file; a fingerprint is of that alone.\n  Fetch it by its name, or state this sha256 in the record first."
        )
    if size is None:
        raise UsageError(f"{record.name}: its protocol states no size of a view, so that no synthetic clip fits")
    if not lacks_fingerprint(record):
        raise UsageError(f"{record.name}: has a fingerprint; remove that from its record, to make another one")
    frames, height, width = size
    answer = KnownAnswer(
        layouts=(record.checkpoint.layout,),
        input=SyntheticClip(frames=frames, height=height, width=width),
        pixels=tuple(step for step in record.protocol.pixels if isinstance(step, Divide | Normalise | ReverseChannels)),
        values=Values(),
        tolerance=1.0,
        source=f"videohub {__version__}, torch {torch.__version__.partition('+')[0]}, on "
        f"{time.strftime('%Y-%m-%d', time.gmtime())}, of the file with sha256 {known.sha256}",
    )
    outputs = _outputs(_network(record, weights), record, clip_of(answer, record))
    largest = outputs.abs().max().item()
    if not 0 < largest < math.inf:  # nor nan
        kind = "outputs that are all 0" if largest == 0 else f"{largest} among its outputs"
        raise FormatError(
            f"{record.name}: {known.name} gives {kind} for the synthetic clip, expected numbers of which one at least "
            "is not 0.\n  There is nothing to know the file by: it is damaged, or not of a trained network."
        )
    asked = Values(first=(0.0,) * min(_FIRST, len(outputs)), mean=0.0, rms=0.0)
    tolerance = float(f"{_CLOSE * largest:.1g}")
    values = _rounded(_values(outputs, asked, record.protocol), tolerance)
    return msgspec.structs.replace(answer, values=values, tolerance=tolerance)


# --- which file, and what is known of it -----------------------------------------------------------------------------


def _of_known_form(record: Record) -> Record:
    """Return a record whose checkpoint is the first to be had of which anything is known, else as it is."""
    files = [file for file in (record.checkpoint, *record.other_checkpoints) if not file.manual]
    file = next((file for file in files if any(file.layout in each.layouts for each in record.known_answers)), None)
    if file is None or file == record.checkpoint:
        return record
    return msgspec.structs.replace(record, checkpoint=file, other_checkpoints=())


def _of_layout(record: Record, layout: str) -> list[KnownAnswer]:
    """Return what is known of a record's checkpoint that is spelt so; of a file spelt as none of them, all."""
    files = (record.checkpoint, *record.other_checkpoints)
    is_one = any(file.layout == layout for file in files)
    return [answer for answer in record.known_answers if layout in answer.layouts or not is_one]


def _network(record: Record, weights: Path) -> VideoModel:
    """Return the network of weights. Raises: UsageError if they have other classes than the record."""
    classes = classes_of(weights, record)
    if classes != record.model.num_classes:
        raise UsageError(
            f"{record.name}: {classes or 'no'} classes in the file, and what is known of the published one's outputs "
            f"is of {record.model.num_classes or 'none'}; give a copy of that"
        )
    return with_weights(record, weights)


# --- what comes out --------------------------------------------------------------------------------------------------


def _compared(model: VideoModel, record: Record, answer: KnownAnswer) -> Compared:
    outputs = _outputs(model, record, clip_of(answer, record))
    difference = _difference(outputs, answer.values, record.protocol)
    return Compared(
        clip=answer.input.in_words(),
        pixels="; ".join(step.in_words() for step in answer.pixels) or "as they are",
        expected=answer.values,
        found=_values(outputs, answer.values, record.protocol),
        difference=difference,
        tolerance=answer.tolerance,
        holds=difference <= answer.tolerance,  # not so for nan
        source=answer.source,
    )


@torch.inference_mode()
def _outputs(model: VideoModel, record: Record, clip: Tensor) -> Tensor:
    """Return all outputs for one clip, (N,) float64."""
    with arithmetic("fp32", _CPU):
        given = (clip,) if record.protocol.detection is None else (clip, middle_box(*clip.shape[-2:]))
        return model(*given).flatten().double()


def _values(outputs: Tensor, like: Values, protocol: Protocol) -> Values:
    """Return of outputs what is known of them."""
    scores = _scores(outputs, protocol)
    return Values(
        first=tuple(outputs[: len(like.first)].tolist()),
        mean=None if like.mean is None else outputs.mean().item(),
        rms=None if like.rms is None else _rms(outputs),
        top1=None if like.top1 is None else int(scores.argmax()),
        probability=None if like.probability is None else scores.max().item(),
    )


def _difference(outputs: Tensor, known: Values, protocol: Protocol) -> float:
    """Return how far outputs are from what is known of them; none of these is further off than the furthest output."""
    scores, far = _scores(outputs, protocol), [0.0]
    if known.first:
        first = torch.tensor(known.first, dtype=torch.float64)
        far.append((outputs[: len(first)] - first).abs().max().item())
    if known.mean is not None:
        far.append(abs(outputs.mean().item() - known.mean))
    if known.rms is not None:
        far.append(abs(_rms(outputs) - known.rms))
    if known.top1 is not None and known.probability is not None:
        of_class = scores[known.top1].item()
        far += [abs(of_class - known.probability), scores.max().item() - of_class]
    return max(far, key=lambda each: (math.isnan(each), each))


def _rms(outputs: Tensor) -> float:
    return outputs.square().mean().sqrt().item()


def _scores(outputs: Tensor, protocol: Protocol) -> Tensor:
    return outputs.sigmoid() if protocol.scores.activation == "sigmoid" else outputs.softmax(dim=0)


def _rounded(values: Values, tolerance: float) -> Values:
    """Return values with as many digits as a tolerance asks for."""
    digits = max(0, 2 - math.floor(math.log10(tolerance)))
    first = tuple(round(value, digits) for value in values.first)
    mean, rms = (None if value is None else round(value, digits) for value in (values.mean, values.rms))
    return msgspec.structs.replace(values, first=first, mean=mean, rms=rms)


# --- why it did not --------------------------------------------------------------------------------------------------


def _tried(model: VideoModel, record: Record, answer: KnownAnswer, progress: Progress) -> list[Tried]:
    """Return how far the values are with each known slip that would change anything, the nearest first."""
    slips = [slip for slip in SLIPS if slip.concerns(model, answer.pixels)]
    tried: list[Tried] = []
    for number, slip in enumerate(slips):
        progress(slip.what, number, len(slips))
        clip = clip_of(msgspec.structs.replace(answer, pixels=slip.steps(answer.pixels)), record)
        with slip.made_in(model):
            outputs = _outputs(model, record, clip.flip(2) if slip.reverses else clip)
        tried.append(Tried(slip.kind, slip.what, _difference(outputs, answer.values, record.protocol)))
    return sorted(tried, key=lambda each: (math.isnan(each.difference), each.difference))


def _likelier(model: VideoModel, answer: KnownAnswer, off: float, tried: Sequence[Tried]) -> Cause:
    """Return the likelier cause of values that are `off` by so much."""
    if biases_are_zero(model):
        return Cause(
            "weights", "the biases of all queries and values are zero in this file; whatever wrote it lost them"
        )
    nearest = tried[0] if tried else None
    if nearest is not None and nearest.difference <= answer.tolerance:
        return Cause(nearest.kind, f"with {nearest.what} the known values come out, to {nearest.difference:.2g}")
    if nearest is not None and nearest.difference <= _CLOSER * off:
        nearer = f"with {nearest.what} the difference is {nearest.difference:.2g} instead of {off:.2g}"
        return Cause(nearest.kind, f"{nearer}; no known slip makes the known values come out")
    return Cause("weights", "with no known slip the known values come out, nor nearly; the file may hold other weights")

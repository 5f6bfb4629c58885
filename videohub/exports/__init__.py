"""A network as a file that runs without videohub, read back and compared before anybody gets it."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, cast

import msgspec
import torch
from torch import Tensor, nn
from tqdm import tqdm

from videohub.building import build_empty, refused_clips
from videohub.certificate import noise, training_side
from videohub.convert.kept_weights import weights_digest
from videohub.errors import ConversionError, UsageError
from videohub.evaluation.kept_memory import kept_memory
from videohub.exports.formats import Format, Inputs, Logits, format_of
from videohub.files import as_json, check_parent_exists, fsync_and_replace, temp_path_beside
from videohub.hub.cache import sha256_of
from videohub.loading import chosen_model
from videohub.models.inference_form import optimize
from videohub.onnx_model import OnnxModel
from videohub.onnx_model.metadata import LARGEST_CLIP, ClipShape, metadata_of
from videohub.registry.labels import Given
from videohub.registry.schema import Record
from videohub.version import __version__
from videohub.weights import to_portable_json

TOLERANCE = {"fp32": 1e-4, "fp16": 2e-2}  # of the largest logit
_CLIPS = 3  # that are compared, at least


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """One call of the file, beside what the network gives for the same clips."""

    batch: int
    boxes: int  # in all of the batch; 0 where whole clips are classified
    largest_logit: float
    relative_difference: float  # the largest of a clip, as a share of the clip's largest logit


class ExportCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """What a file is, and how far what its own runtime made of it was from the network. The guide tells each field."""

    model: str
    format: str
    file: str  # its name, without folders
    sha256: str
    size: int
    precision: Literal["fp32", "fp16"]  # of weights and clips
    clip: ClipShape
    weights_sha256: str  # of the network's tensors, as runs have it
    largest_relative_difference: float
    tolerance: float
    comparisons: tuple[Comparison, ...]
    versions: dict[str, str]
    record: dict[str, Any]


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was exported, and its certificate."""

    out: str
    certificate_file: str
    certificate: ExportCertificate


def export(
    name_or_model: str | Record | nn.Module,
    path: str | Path,
    *,
    format: Literal["pt2", "onnx", "ts"] | None = None,
    checkpoint: str | Path | None = None,
    labels: Given | None = None,
    batch: int | Literal["dynamic"] = "dynamic",
    size: int | tuple[int, int] | None = None,
    frames: int | None = None,
    half: bool = False,
    certificate: str | Path | None = None,
) -> Exported:
    """Write a network as a file that runs without videohub, in its inference form, and prove that it is the same.

    The file is read by its own runtime (onnxruntime, `torch.export.load`, `torch.jit.load`) and compared with the
    network on three clips of noise, in batches of 1 and 3. If it gives other logits, nothing is left of it. Files take
    clips (B, 3, T, H, W), normalised as the record says, and give logits (B, classes); of a network that detects they
    take boxes (K, 5), too, of any number, and give (K, classes). They hold record, names of the classes, and
    normalisation.

    Args:
        name_or_model: A record, its id or upstream name, or a float32 model in evaluation mode that has a `record`.
        path: The file to write, whole or not at all; an existing one is replaced.
        format: "pt2" for torch.export, "onnx", or "ts" for TorchScript; None: by the suffix of `path`.
        checkpoint: A file of one's own instead of the record's URL; see `load`. Not beside a model.
        labels: What the outputs are called; None: as the file or the record says.
        batch: How many clips a call takes: "dynamic" for any number, or one number.
        size: Height and width of clips in pixels, one number for both; None: those of the record's test, or of
            training where that shows whole frames.
        frames: Length of clips; None: the record's.
        half: Weights, clips and logits in float16.
        certificate: Where to write the certificate; None: beside the file, as `.json`.
    Raises: UsageError if a size does not fit the network; DeviceError if a library is missing; ConversionError if
        torch cannot export it, or the file differs by more than 1e-4 of a clip's largest logit, 2e-2 in float16; and
        what `load` raises, where there is no file to be had.
    """
    out = Path(path)
    chosen = format_of(out, format)
    proof = out.with_suffix(".json") if certificate is None else Path(certificate)
    _check_places(out, proof, checkpoint)
    model = chosen_model(name_or_model, verb="export", checkpoint=checkpoint, labels=labels)
    record, network = model.record, model.network
    clip = _clip(record, batch, size, frames)
    if network is None:
        _check_before(build_empty(record), record, clip, chosen, half)  # before a download
        network = model.loaded()
        record = cast(Record, network.record)
    else:
        network = _on_cpu(network)
        _check_before(network, record, clip, chosen, half)
    dtype = torch.float16 if half else torch.float32
    precision: Literal["fp32", "fp16"] = "fp16" if half else "fp32"
    with (
        tqdm(total=3, desc=record.name, unit="step", leave=False, disable=None) as bar,
        temp_path_beside(out) as part,
        temp_path_beside(proof) as proof_part,
    ):
        metadata = metadata_of(record, clip, weights_digest(network.state_dict()))
        form = optimize(network).to(dtype)
        bar.update()
        chosen.write(form, _inputs(record, clip, dtype), metadata, part)
        del form
        bar.update()
        with kept_memory():
            comparisons = tuple(_compared(network, chosen.open(part), clip, dtype, detects=record.task == "detection"))
        bar.update()
        made = ExportCertificate(
            model=record.name,
            format=chosen.title,
            file=out.name.encode(errors="replace").decode(),
            sha256=sha256_of(part),
            size=part.stat().st_size,
            precision=precision,
            clip=clip,
            weights_sha256=metadata.weights_sha256,
            largest_relative_difference=max(each.relative_difference for each in comparisons),
            tolerance=TOLERANCE[precision],
            comparisons=comparisons,
            versions={"videohub": __version__, **{name: version(name) for name in chosen.libraries}},
            record=msgspec.json.decode(to_portable_json(metadata.record)),
        )
        _check_is_same(made, out)
        proof_part.write_bytes(as_json(made))
        fsync_and_replace(part, out)
        fsync_and_replace(proof_part, proof)
    return Exported(out=str(out), certificate_file=str(proof), certificate=made)


def _check_is_same(made: ExportCertificate, out: Path) -> None:
    """Refuse a file that gives other logits, or what are no numbers. Raises: ConversionError."""
    if all(each.relative_difference <= made.tolerance for each in made.comparisons):
        return
    differences = ", ".join(f"{each.relative_difference:.3g} in a batch of {each.batch}" for each in made.comparisons)
    versions = ", ".join(f"{name} {number}" for name, number in made.versions.items())
    advice = "Export it without half." if made.precision == "fp16" else "Try another format, and report this."
    raise ConversionError(
        f"{made.model}: {out.name} gives other logits than the network: they differ by {differences} of the largest "
        f"logit, allowed is {made.tolerance:g}.\n  Nothing was written ({versions}). {advice}"
    )


def _inputs(record: Record, clip: ClipShape, dtype: torch.dtype) -> Inputs:
    """Return what the network is given while its graph is taken: two clips, where their number shall be any."""
    count = clip.batch or 2
    clips = noise(clip.of(count)).to(dtype)
    if record.task != "detection":
        return (clips,)
    return clips, torch.cat([_boxes_of(clip, 2), _in_batch(_boxes_of(clip, 1), count - 1)])


# --- the file beside its network -------------------------------------------------------------------------------------


def _compared(
    network: nn.Module, exported: Logits, clip: ClipShape, dtype: torch.dtype, *, detects: bool
) -> Iterator[Comparison]:
    """Yield each call of the file: one clip and three, or as many as it takes until three were seen."""
    expected: dict[int, Tensor] = {}
    for numbers in _batches(clip.batch):
        clips = [noise(clip.of(1), number=number).to(dtype) for number in numbers]
        people = [_boxes_of(clip, number) if detects else None for number in numbers]
        for number, one, boxes in zip(numbers, clips, people, strict=True):
            if number not in expected:
                with torch.inference_mode():
                    expected[number] = network(one.float()) if boxes is None else network(one.float(), boxes)
        rows = [_in_batch(boxes, place) for place, boxes in enumerate(people) if boxes is not None]
        logits = exported(torch.cat(clips), torch.cat(rows) if rows else None).float()
        beside = torch.cat([expected[number] for number in numbers])
        if logits.shape != beside.shape:
            raise ConversionError(
                f"the file gives logits {tuple(logits.shape)} for {len(clips)} clips, expected {tuple(beside.shape)}.\n"
                "  Nothing was written. Report this: it is a mistake of videohub's."
            )
        if not beside.isfinite().all():
            raise ConversionError(
                "the network itself gives logits that are no numbers for noise; look at its weights.\n"
                "  Nothing was written."
            )
        if not beside.any():
            raise ConversionError(
                "the network itself gives logits that are all 0 for noise, beside which no difference shows; look at "
                "its weights.\n  Nothing was written."
            )
        lengths = [len(expected[number]) for number in numbers]
        pairs = zip(torch.split(logits, lengths), torch.split(beside, lengths), strict=True)  # of each clip
        shares = torch.stack([(output - right).abs().max() / right.abs().max() for output, right in pairs])
        yield Comparison(
            batch=len(clips),
            boxes=sum(map(len, rows)),
            largest_logit=float(beside.abs().max()),
            relative_difference=float(shares.max()),  # which is no number where one of them is none
        )


def _batches(batch: int | None) -> list[list[int]]:
    """Return the numbers of the clips in each call."""
    if batch is None:
        return [[0], list(range(_CLIPS))]
    count = max(_CLIPS, batch)
    return [[(call * batch + place) % count for place in range(batch)] for call in range(math.ceil(_CLIPS / batch))]


def _boxes_of(clip: ClipShape, number: int) -> Tensor:
    """Return boxes of a clip, (K, 5), none of which is a square or lies in the middle: 1, 2, 3, 1, … of them."""
    parts = [(1 + box, 2 + box, 6 + box, 9 - box) for box in range(1 + number % _CLIPS)]  # tenths of width and height
    tenths = torch.tensor([[0, *part] for part in parts], dtype=torch.float32) / 10
    return tenths * torch.tensor([1, clip.width, clip.height, clip.width, clip.height])


def _in_batch(boxes: Tensor, place: int) -> Tensor:
    """Return boxes of a clip alone as those of the clip at a place of a batch."""
    return boxes + boxes.new_tensor([place, 0, 0, 0, 0])


# --- what is refused before any work ---------------------------------------------------------------------------------


def _check_places(out: Path, proof: Path, checkpoint: str | Path | None) -> None:
    """Refuse to write where something else lies. Raises: UsageError."""
    for path in (out, proof):
        check_parent_exists(path)
        if path.exists() and not path.is_file():
            raise UsageError(f"{path}: found a folder or a device, expected a file to write")
        if checkpoint is not None and path.exists() and Path(checkpoint).exists() and path.samefile(checkpoint):
            raise UsageError(f"{path}: this is the file to read; give the result another name")
    if proof.absolute() == out.absolute():
        raise UsageError(f"{out}: this is the file to write; give its certificate another name")
    if proof.exists():
        try:
            about = msgspec.json.decode(proof.read_bytes(), type=_About).file
        except (msgspec.MsgspecError, UnicodeDecodeError):
            about = None
        if about != out.name:
            raise UsageError(
                f"{proof}: found {'no certificate' if about is None else f'the certificate of {about}'}, expected a "
                f"place for that of {out.name}; name another one with certificate= (--certificate)"
            )


class _About(msgspec.Struct):
    """Of a certificate, which file it is about."""

    file: str
    sha256: str


def _on_cpu(model: nn.Module) -> nn.Module:
    """Return a model on the CPU, a copy if it is elsewhere. Raises: UsageError if it is not in float32, or a file."""
    if isinstance(model, OnnxModel):
        raise UsageError(f"export: found {model.source}, which was exported already; expected a network")
    if odd := {tensor.dtype for tensor in model.parameters()} - {torch.float32}:
        raise UsageError(f"export: found weights of {odd.pop()}, expected float32; half=True writes float16")
    elsewhere = any(tensor.device.type != "cpu" for tensor in model.parameters())
    return copy.deepcopy(model).cpu() if elsewhere else model


def _clip(
    record: Record, batch: int | Literal["dynamic"], size: int | tuple[int, int] | None, frames: int | None
) -> ClipShape:
    """Return the clips that a file is to take. Raises: UsageError if one of these is no number that counts."""
    side = record.protocol.crop_size or training_side(record)
    sides = (side, side) if size is None else size if isinstance(size, tuple | list) else (size, size)
    if len(sides) != 2:
        raise UsageError(f"size: found {sides!r}, expected one number, or height and width")
    height, width = sides
    count = None if batch == "dynamic" else batch
    for name, number in (("batch", count), ("size", height), ("size", width), ("frames", frames)):
        if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 1):
            raise UsageError(f"{name}: found {number!r}, expected a whole number from 1 on")
    length = frames or record.clip.frames
    if 3 * length * height * width * (count or 1) > LARGEST_CLIP:
        shape = f"{count or 1} clip(s) of {length} frames of {height} x {width} pixels (height x width)"
        raise UsageError(f"size: found {shape}, expected at most {LARGEST_CLIP} values")
    return ClipShape(
        batch=count,
        frames=length,
        height=height,
        width=width,
        sampling_rate=record.clip.sampling_rate,
        fps=record.protocol.fps,
    )


def _check_before(network: nn.Module, record: Record, clip: ClipShape, chosen: Format, half: bool) -> None:
    """Let a network without values see clips without values. Raises: UsageError if it does not take them."""
    state = {name: tensor.to("meta") for name, tensor in network.state_dict().items()}
    chosen.check(sum(tensor.nbytes for tensor in state.values()) // (2 if half else 1), record.name)
    given = [torch.empty(clip.of(1), dtype=torch.float32, device="meta")]
    if record.task == "detection":
        given.append(torch.empty(1, 5, dtype=torch.float32, device="meta"))
    try:
        with torch.device("meta"), torch.inference_mode():
            torch.func.functional_call(network, state, tuple(given))
    except (ValueError, RuntimeError) as error:
        size = (clip.frames, clip.height, clip.width)
        raise refused_clips(f"{record.name}: its network", size, error) from error

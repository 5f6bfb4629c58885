"""What is shown of two files of one network: what they are, and that they give the same logits for the same clip."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from videohub import architectures
from videohub.architectures.parts import AverageWindow
from videohub.building import build_empty
from videohub.convert import tables
from videohub.convert.tables import Table, arguments_of
from videohub.errors import ConversionError, RegistryError
from videohub.registry.schema import Labels, Record
from videohub.version import __version__

if TYPE_CHECKING:
    from torch import Tensor

CLOSE = 1e-5  # of the largest logit: what the golden networks are held to, too
_SEED = b"videohub certificate"
_CROP = 224  # where a protocol shows whole frames


class CertifiedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file as its bytes, its container and its keys tell it."""

    file: str  # its name, without folders
    sha256: str
    container: str  # innermost first, such as `caffe2 in tar in gzip`
    layout: str
    table_sha256: str | None  # of what the layout's key table says; null: our own names


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was read, one that was written from it, and how far the logits of their networks differ.

    The written file was read back, into a network as its publisher has it. The README tells what each field is.
    """

    videohub: str
    torch: str
    model: str
    read: CertifiedFile
    written: CertifiedFile
    network_of_written: dict[str, Any]  # arguments in which its network is another than the model's
    tensors: int  # that both networks have and outputs depend on
    equal_tensors: int  # of these, to the last bit
    clip: tuple[int, ...]  # (B, 3, T, H, W)
    boxes: tuple[tuple[float, ...], ...]  # (K, 5), of a network that detects
    largest_logit: float
    largest_difference: float


@dataclass(frozen=True)
class NetworkFile:
    """A file whose tensors were proved to be those of a record's network."""

    about: CertifiedFile
    record: Record  # with the classes of the file
    table: Table  # that names its tensors
    labels: Labels  # as the file, or who gave it, names its classes; None: nobody did, and the record's are supposed
    header: Mapping[str, str]  # of converted weights; else empty
    taken: Mapping[str, str]  # of which of several state dicts they are, as a converted file says; else empty
    state: dict[str, Tensor]  # under our names


def network_of(record: Record, layout: str) -> Record:
    """Return a record with its network as a library has it which reads files of a layout.

    Raises: ConversionError if there is no table of this layout; RegistryError if its `network` is none of the family.
    """
    table = tables.find(record.family, layout).of(arguments_of(record))
    try:
        model = architectures.read({**msgspec.to_builtins(record.model), **table.file.network})
    except msgspec.ValidationError as error:
        raise RegistryError(f"{table.name}: network: {error}") from error
    return msgspec.structs.replace(record, model=model)


def certify(read: NetworkFile, written: NetworkFile) -> Certificate:
    """Compare the networks of two files: their tensors, and their logits for a clip that is always the same.

    Raises: ConversionError if a logit differs by more than `CLOSE`.
    """
    import torch

    record = read.record
    clip = synthetic_clip(record)
    boxes = middle_box(*clip.shape[-2:]) if record.task == "detection" else None
    expected, logits = (_logits(file, clip, boxes) for file in (read, written))
    largest, difference = float(expected.abs().max()), float((logits - expected).abs().max())
    if not difference <= CLOSE * largest:
        raise ConversionError(
            f"{record.name}: the network of {written.about.file} gives other logits than that of {read.about.file}: "
            f"they differ by {difference:.3g}, and the largest is {largest:.3g}.\n"
            "  The file was written and is not certified. Report this: it is a mistake of videohub's."
        )
    unused = {name for file in (read, written) for name in file.state
              if (fill := file.table.fill_of(name)) and fill.unused}  # fmt: skip
    compared = (read.state.keys() & written.state.keys()) - unused
    before, after = (msgspec.to_builtins(file.record.model) for file in (read, written))
    return Certificate(
        videohub=__version__,
        torch=str(torch.__version__),
        model=record.name,
        read=read.about,
        written=written.about,
        network_of_written={name: value for name, value in after.items() if value != before[name]},
        tensors=len(compared),
        equal_tensors=sum(torch.equal(read.state[name], written.state[name]) for name in compared),
        clip=tuple(clip.shape),
        boxes=() if boxes is None else tuple(map(tuple, boxes.tolist())),
        largest_logit=largest,
        largest_difference=difference,
    )


def synthetic_clip(record: Record) -> Tensor:
    """Return a clip of noise (1, 3, T, H, W), the same on every machine: as long as the record's, and a square.

    Its pixels are the bytes that SHAKE-256 makes of a fixed text, in this order, from 0 to 255; mean 0.45 and deviation
    0.225. It is as large as the clips of training, for which every head has one position: libraries average larger
    inputs in different ways, and no file says in which.
    """
    side = training_side(record)
    return noise((1, 3, record.clip.frames, side, side))


def noise(shape: Sequence[int], *, number: int = 0) -> Tensor:
    """Return noise of a shape, float32, as normalised pixels are; of each number another one, everywhere the same."""
    import torch

    seed = _SEED if number == 0 else b"%s %d" % (_SEED, number)
    made = np.frombuffer(hashlib.shake_256(seed).digest(int(np.prod(shape))), np.uint8).reshape(shape)
    return torch.from_numpy((made.astype(np.float32) / np.float32(255) - np.float32(0.45)) / np.float32(0.225))


def middle_box(height: int, width: int) -> Tensor:
    """Return one box in the middle of a clip of so many pixels, (1, 5), half as high and as wide."""
    import torch

    return torch.tensor([[0.0, width / 4, height / 4, 3 * width / 4, 3 * height / 4]])


def training_side(record: Record) -> int:
    """Return height and width of a network's clips in training, in pixels."""
    if isinstance(head := getattr(record.model, "head", None), AverageWindow):
        return 32 * head.window
    return getattr(record.model, "crop", None) or record.protocol.crop_size or _CROP


def _logits(file: NetworkFile, clip: Tensor, boxes: Tensor | None) -> Tensor:
    import torch

    network = build_empty(file.record)
    network.load_state_dict(file.state, strict=True, assign=True)
    with torch.inference_mode():
        return network(clip, boxes) if boxes is not None else network(clip)

"""An exported ONNX file as a model: its graph runs in onnxruntime, and its metadata say what it is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor, nn

from videohub.errors import DeviceError, FormatError, UnsafeFileError, UsageError
from videohub.files import existing_file, read_file
from videohub.onnx_model import metadata as file_metadata
from videohub.onnx_model.graph import LARGEST, check_graph, check_signature
from videohub.onnx_model.metadata import ExportMetadata
from videohub.registry.schema import Record

SUFFIX = ".onnx"


class OnnxModel(nn.Module):
    """A network that onnxruntime computes on the CPU; `record` and `metadata` are what its file says.

    It takes clips of the one size that it was exported for. One for a fixed number of clips is given as many at a time,
    the last ones repeated where fewer are left.
    """

    def __init__(self, content: bytes, metadata: ExportMetadata, dtype: torch.dtype, source: str) -> None:
        """Set up what `load` has checked."""
        super().__init__()
        self.record: Record = metadata.record
        self.metadata = metadata
        self.source = source
        self.dtype = dtype
        self.placeholder = nn.Parameter(
            torch.empty(0, dtype=dtype), requires_grad=False
        )  # who asks for a type finds it
        self._session = _session(content, source)
        self.eval()

    def __deepcopy__(self, memo: dict[int, object]) -> OnnxModel:
        """Return the model itself: nothing in it can be changed."""
        return self

    def forward(self, clip: Tensor, boxes: Tensor | None = None) -> Tensor:
        """Return logits (B, classes) for clips (B, 3, T, H, W); (K, classes) with boxes (K, 5) where it detects.

        Raises: UsageError for clips of another size than the file takes, or boxes where they do not belong.
        """
        self._check(clip, boxes)
        whole, at_once = len(clip), self.metadata.clip.batch
        if at_once is None or at_once == whole:
            return self._run(clip, boxes)
        if boxes is not None:
            raise UsageError(f"{self.source}: found {whole} clips with boxes, expected {at_once}, as it was exported")
        places = torch.arange(-(-whole // at_once) * at_once).clamp(max=whole - 1)
        return torch.cat([self._run(clip[part], None) for part in places.reshape(-1, at_once)])[:whole]

    @property
    def num_features(self) -> int:
        """Is not known: the graph ends in logits. Raises: UsageError."""
        raise UsageError(
            f"{self.source}: an ONNX file gives {'features' if self.metadata.labels is None else 'logits'} alone; "
            f"features need the network itself: name {self.record.name} and its checkpoint"
        )

    def features(self, clip: Tensor, boxes: Tensor | None = None) -> Tensor:
        """Raise UsageError, as `num_features`."""
        return clip.new_empty(len(clip), self.num_features)

    def _check(self, clip: Tensor, boxes: Tensor | None) -> None:
        if torch.is_autocast_enabled("cpu"):
            raise UsageError(f"{self.source}: an ONNX file computes as it was exported; choose precision fp32")
        expected = self.metadata.clip
        if tuple(clip.shape[1:]) != expected.of(1)[1:] or clip.dtype != self.dtype or not len(clip):
            raise UsageError(
                f"{self.source}: found a clip {tuple(clip.shape)} of {clip.dtype}, expected {expected} of "
                f"{self.dtype}, which it was exported for; export it with another size, or frames"
            )
        if (boxes is not None) != (self.record.task == "detection"):
            found, does = ("no boxes", "detects") if boxes is None else ("boxes", "classifies whole clips")
            raise UsageError(f"{self.source}: found {found}, and {self.record.name} {does}")
        if boxes is not None and not bool(((boxes[:, 0] >= 0) & (boxes[:, 0] < len(clip))).all()):
            raise UsageError(f"{self.source}: found boxes of other clips than the {len(clip)} of the batch")

    def _run(self, clip: Tensor, boxes: Tensor | None) -> Tensor:
        given = {"clip": np.ascontiguousarray(clip.detach().numpy())}
        if boxes is not None:
            given["boxes"] = np.ascontiguousarray(boxes.detach().float().numpy())
        try:
            (made,) = self._session.run(None, given)
        except _runtime_errors() as error:
            raise FormatError(f"{self.source}: its graph cannot be run: {error!s:.500}") from error
        rows = len(clip if boxes is None else boxes)
        columns = self.record.model.num_classes or made.shape[-1]  # where features are given, of any number
        if made.shape != (rows, columns):  # whatever the graph promised
            raise FormatError(f"{self.source}: its graph gave outputs {made.shape}, expected {(rows, columns)}")
        return torch.from_numpy(made)


def is_file(name: object) -> TypeGuard[str | Path]:
    """Tell an ONNX file, by its suffix, from the name of a record, which has none."""
    return isinstance(name, str | Path) and Path(name).suffix == SUFFIX


def load(path: str | Path, *, device: str | torch.device = "cpu") -> OnnxModel:
    """Return the network in a file that `videohub export` wrote; it may be a stranger's.

    Nothing runs but the graph: files that name other files, operators beyond ONNX's own, or functions are refused.

    Raises: UsageError if there is no such file; DeviceError for another device than the CPU, or where onnx or
        onnxruntime are missing; FormatError if it is no file of ours; UnsafeFileError if it holds what ours never do.
    """
    file = existing_file(path, "ONNX")
    if torch.device(device).type != "cpu":
        raise DeviceError(f"{file}: ONNX files run on the CPU here, and {device} was asked for; use cpu")
    onnx, _ = libraries()
    from google.protobuf.message import DecodeError  # onnx brings it

    if (size := file.stat().st_size) > LARGEST:
        raise UnsafeFileError(f"{file}: {size} bytes, and an ONNX file has at most {LARGEST}")
    content = read_file(file)
    try:
        model = onnx.load_model_from_string(content)
    except DecodeError as error:
        raise FormatError(f"{file}: it is no ONNX file, or a damaged one ({error!s:.200})") from error
    source = str(file)
    check_graph(model, source)
    metadata = file_metadata.read({entry.key: entry.value for entry in model.metadata_props}, source)
    record = metadata.record
    dtype = check_signature(
        model, metadata.clip, record.model.num_classes, detects=record.task == "detection", source=source
    )
    del model  # as large as the file
    return OnnxModel(content, metadata, getattr(torch, dtype), source)


def libraries() -> tuple[Any, Any]:
    """Return onnx and onnxruntime. Raises: DeviceError that says how to get what is missing."""
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise DeviceError(
            f"ONNX files need onnx and onnxruntime, and {error.name} is not installed here; "
            "`pip install onnx onnxruntime onnxscript`"
        ) from error
    return onnx, onnxruntime


def _session(content: bytes, source: str) -> Any:
    """Return a session of onnxruntime on a file's content: read from nowhere else, with as many threads as torch."""
    _, onnxruntime = libraries()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # errors are raised, and printed as they are, with a stranger's words
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except _runtime_errors() as error:
        raise FormatError(f"{source}: onnxruntime refuses it: {error!s:.500}") from error


def _runtime_errors() -> tuple[type[Exception], ...]:
    """Return what onnxruntime raises: its errors share no class."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoSuchFile", "NotImplemented",
             "RuntimeException")  # fmt: skip
    return tuple(getattr(state, name) for name in names)

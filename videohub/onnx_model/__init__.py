"""An exported ONNX file as a model: its graph runs in onnxruntime, and its metadata say what it is given.

In a file that is run here stand operators of the standard alone, on tensors that it holds itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
import torch
from torch import Tensor, nn

from videohub.errors import DeviceError, FormatError, UnsafeFileError, UsageError
from videohub.escaping import brief
from videohub.files import existing_file, read_file
from videohub.onnx_model import metadata as file_metadata
from videohub.onnx_model.metadata import ExportMetadata
from videohub.registry.schema import Record

if TYPE_CHECKING:
    import onnx

SUFFIX = ".onnx"
LARGEST = 2**31 - 1  # bytes: an ONNX file is one message of protobuf
_STANDARD = ("", "ai.onnx")  # two names of one domain
_PLACES = {"clip": 5, "boxes": 2}  # of the inputs, and their axes
_FLOATS = {1: torch.float32, 10: torch.float16}  # in ONNX's numbers


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
        # who asks for a type finds it
        self.placeholder = nn.Parameter(torch.empty(0, dtype=dtype), requires_grad=False)
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
            given, does = ("no boxes", "detects") if boxes is None else ("boxes", "classifies whole clips")
            raise UsageError(f"{self.source}: found {given}, and {self.record.name} {does}")
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
    _check_graph(model, source)
    metadata = file_metadata.read({entry.key: entry.value for entry in model.metadata_props}, source)
    dtype = _checked_type(model, metadata, source)
    del model  # as large as the file
    return OnnxModel(content, metadata, dtype, source)


# --- what a stranger's file may hold ---------------------------------------------------------------------------------


def _check_graph(model: onnx.ModelProto, source: str) -> None:
    """Refuse what `videohub export` never writes: other files' tensors, functions, graphs in graphs, other domains.

    Raises: UnsafeFileError that says what was found.
    """
    import onnx

    graph = model.graph
    others = [each.domain for each in model.opset_import if each.domain not in _STANDARD]
    others += [node.domain for node in graph.node if node.domain not in _STANDARD]
    if others:
        raise _refused(source, f"operators of {brief(others[0])}")
    if model.functions or model.training_info or graph.sparse_initializer:
        raise _refused(source, "functions, training or sparse tensors")
    _check_are_inside(graph.initializer, source)
    kinds = onnx.AttributeProto
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type in (kinds.GRAPH, kinds.GRAPHS, kinds.SPARSE_TENSOR, kinds.SPARSE_TENSORS):
                raise _refused(source, f"a graph within its operator {brief(node.op_type)}")
            _check_are_inside((attribute.t, *attribute.tensors), source)


def _checked_type(model: onnx.ModelProto, metadata: ExportMetadata, source: str) -> torch.dtype:
    """Check that a graph takes and gives what its metadata says, and return the type of its clips.

    Raises: FormatError that says what was found and expected.
    """
    clip, outputs = metadata.clip, metadata.record.model.num_classes  # None: features, of any number
    detects = metadata.record.task == "detection"
    inputs = {value.name: value.type.tensor_type for value in model.graph.input}
    expected = {name: axes for name, axes in _PLACES.items() if name == "clip" or detects}
    axes = {name: len(value.shape.dim) for name, value in inputs.items()}
    if axes != expected:
        raise FormatError(f"{source}: its inputs are {brief(str(axes))} (axes of each), expected {expected}")
    sizes = [dim.dim_value or None for dim in inputs["clip"].shape.dim]  # None: any
    if sizes != [clip.batch, *clip.of(1)[1:]]:
        raise FormatError(f"{source}: its graph takes clips {sizes}, its metadata says {clip}")
    dtype = _FLOATS.get(inputs["clip"].elem_type)
    if dtype is None:
        raise FormatError(f"{source}: its clips are of ONNX's type {inputs['clip'].elem_type}, expected a float")
    made = [[dim.dim_value or None for dim in value.type.tensor_type.shape.dim] for value in model.graph.output]
    if len(made) != 1 or len(made[0]) != 2 or outputs not in (None, made[0][1]):
        raise FormatError(f"{source}: its outputs are {brief(str(made))}, expected rows of {outputs or 'features'}")
    if (kind := model.graph.output[0].type.tensor_type.elem_type) != inputs["clip"].elem_type:
        as_clips = str(dtype).removeprefix("torch.")
        raise FormatError(f"{source}: its outputs are of ONNX's type {kind}, expected {as_clips} as its clips are")
    return dtype


def _check_are_inside(tensors: Iterable[onnx.TensorProto], source: str) -> None:
    """Refuse tensors that lie in a file beside this one, or anywhere else."""
    import onnx

    for tensor in tensors:
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            where = next((entry.value for entry in tensor.external_data if entry.key == "location"), "nowhere")
            raise _refused(source, f"a tensor that lies in another file, {brief(where)}")


def _refused(source: str, what: str) -> UnsafeFileError:
    return UnsafeFileError(f"{source}: it has {what}, which no file of `videohub export` has.\n  It was not run.")


# --- the runtime -----------------------------------------------------------------------------------------------------


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

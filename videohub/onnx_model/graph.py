"""What may stand in an ONNX file that is run here: operators of the standard alone, on tensors that it holds itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from videohub.errors import FormatError, UnsafeFileError
from videohub.escaping import brief
from videohub.onnx_model.metadata import ClipShape

if TYPE_CHECKING:
    import onnx

STANDARD = ("", "ai.onnx")  # two names of one domain
LARGEST = 2**31 - 1  # bytes: an ONNX file is one message of protobuf
_PLACES = {"clip": 5, "boxes": 2}  # of the inputs, and their axes
_FLOATS = {1: "float32", 10: "float16"}  # in ONNX's numbers


def check_graph(model: onnx.ModelProto, source: str) -> None:
    """Refuse what `videohub export` never writes: other files' tensors, functions, graphs in graphs, other domains.

    Raises: UnsafeFileError that says what was found.
    """
    import onnx

    graph = model.graph
    others = [each.domain for each in model.opset_import if each.domain not in STANDARD]
    others += [node.domain for node in graph.node if node.domain not in STANDARD]
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


def check_signature(
    model: onnx.ModelProto, clip: ClipShape, outputs: int | None, *, detects: bool, source: str
) -> Literal["float32", "float16"]:
    """Check that a graph takes and gives what its metadata says, and return the type of its clips.

    Args:
        model: The file.
        clip: The clips that it takes, as its metadata says.
        outputs: How many logits a row has; None: features, of any number.
        detects: Whether it takes boxes, too.
        source: The file, for messages.
    Raises: FormatError that says what was found and expected.
    """
    inputs = {value.name: value.type.tensor_type for value in model.graph.input}
    expected = {name: axes for name, axes in _PLACES.items() if name == "clip" or detects}
    axes = {name: len(value.shape.dim) for name, value in inputs.items()}
    if axes != expected:
        raise FormatError(f"{source}: its inputs are {brief(str(axes))} (axes of each), expected {expected}")
    sizes = [dim.dim_value or None for dim in inputs["clip"].shape.dim]  # None: any
    if sizes != [clip.batch, *clip.of(1)[1:]]:
        raise FormatError(f"{source}: its graph takes clips {sizes}, its metadata says {clip}")
    dtype = _FLOATS.get(inputs["clip"].elem_type)
    if dtype not in ("float32", "float16"):
        raise FormatError(f"{source}: its clips are of ONNX's type {inputs['clip'].elem_type}, expected a float")
    made = [[dim.dim_value or None for dim in value.type.tensor_type.shape.dim] for value in model.graph.output]
    if len(made) != 1 or len(made[0]) != 2 or outputs not in (None, made[0][1]):
        raise FormatError(f"{source}: its outputs are {brief(str(made))}, expected rows of {outputs or 'features'}")
    if (kind := model.graph.output[0].type.tensor_type.elem_type) != inputs["clip"].elem_type:
        raise FormatError(f"{source}: its outputs are of ONNX's type {kind}, expected {dtype} as its clips are")
    return "float32" if dtype == "float32" else "float16"


def _check_are_inside(tensors: Iterable[onnx.TensorProto], source: str) -> None:
    """Refuse tensors that lie in a file beside this one, or anywhere else."""
    import onnx

    for tensor in tensors:
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            where = next((entry.value for entry in tensor.external_data if entry.key == "location"), "nowhere")
            raise _refused(source, f"a tensor that lies in another file, {brief(where)}")


def _refused(source: str, what: str) -> UnsafeFileError:
    return UnsafeFileError(f"{source}: it has {what}, which no file of `videohub export` has.\n  It was not run.")

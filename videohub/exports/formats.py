"""The kinds of files that networks are exported to: how each is written, and read by its own runtime."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import msgspec
import torch
from torch import Tensor, nn

from videohub import onnx_model
from videohub.errors import ConversionError, DeviceError, UsageError
from videohub.formatting import with_unit
from videohub.onnx_model import metadata as file_metadata
from videohub.onnx_model.metadata import ExportMetadata

Inputs: TypeAlias = tuple[Tensor, ...]  # what a graph is taken with: clips (B, 3, T, H, W), perhaps boxes (K, 5)
Logits: TypeAlias = Callable[[Tensor, Tensor | None], Tensor]  # of clips, with boxes where the network detects
METADATA = "videohub.json"  # the file within .pt2 and .ts files that holds what ONNX files have as metadata

_GRAPH = 32 << 20  # bytes that an ONNX file may need beside the weights; graphs of published networks take 2 MB
_jit: Any = torch.jit  # which has no types
# What torch raises for a network that it cannot export; its own classes derive from these.
_FAILURES = (RuntimeError, ValueError, TypeError, AssertionError)


class Format(ABC):
    """A kind of file, by its suffix."""

    suffix: ClassVar[str]
    title: ClassVar[str]
    libraries: ClassVar[tuple[str, ...]] = ("torch",)  # whose versions a certificate names

    def check(self, size: int, name: str) -> None:  # noqa: B027  # most need nothing but torch, and hold any size
        """Refuse, before any work, what cannot come of it here: `size` is that of the weights of `name`, in bytes.

        Raises: DeviceError if a library is missing; UsageError if such files are never so large.
        """

    @abstractmethod
    def write(self, network: nn.Module, inputs: Inputs, metadata: ExportMetadata, path: Path) -> None:
        """Write a network as a file that computes the same without it. Raises: ConversionError if torch cannot."""

    @abstractmethod
    def open(self, path: Path) -> Logits:
        """Return what the file computes, read by its runtime."""


class ExportedProgram(Format):
    """A graph of torch's own operators, with weights, as `torch.export` takes it."""

    suffix = ".pt2"
    title = "torch.export"

    def write(self, network: nn.Module, inputs: Inputs, metadata: ExportMetadata, path: Path) -> None:
        program = _program(network, inputs, metadata)
        with suppress(ValueError):  # torch 2.6 wants to keep them
            program.example_inputs = None  # megabytes of noise
        with path.open("wb") as file, _quietly():
            torch.export.save(program, file, extra_files=_extra(metadata))

    def open(self, path: Path) -> Logits:
        with path.open("rb") as file:
            program = torch.export.load(file)
        return _called(program.module())


class Onnx(Format):
    """A graph of ONNX's standard operators, by torch's newer exporter; weights, too, are in the one file."""

    suffix = ".onnx"
    title = "ONNX"
    libraries = ("torch", "onnx", "onnxscript", "onnxruntime")

    def check(self, size: int, name: str) -> None:
        onnx_model.libraries()
        try:
            import onnxscript  # noqa: F401
        except ImportError as error:
            raise DeviceError(f"ONNX files are written by onnxscript; `pip install {error.name}`") from error
        if size + _GRAPH > onnx_model.LARGEST:
            raise UsageError(
                f"{name}: its weights take {with_unit(size)}, and an ONNX file holds "
                f"{with_unit(onnx_model.LARGEST)} at most; write a .pt2 file, or half as much with half=True (--half)"
            )

    def write(self, network: nn.Module, inputs: Inputs, metadata: ExportMetadata, path: Path) -> None:
        from onnxscript import ir

        names, outputs = ["clip", "boxes"][: len(inputs)], ["features" if metadata.labels is None else "logits"]
        program = _program(network, inputs, metadata)
        with _told("as ONNX"):
            written: Any = torch.onnx.export(
                program, (), dynamo=True, input_names=names, output_names=outputs, verbose=False, external_data=False
            )
        model = written.model
        for node in model.graph:
            node.metadata_props.clear()  # lines of code, with the paths that they have on this machine
        for domain in set(model.opset_imports) - {""}:
            del model.opset_imports[domain]  # of functions that are inlined by now
        model.metadata_props.clear()
        model.metadata_props.update(file_metadata.written(metadata))
        ir.save(model, path)  # torch's own `save` puts more than 1.5 GiB into another file

    def open(self, path: Path) -> Logits:
        return onnx_model.load(path)


class TorchScript(Format):
    """A trace: which operators of torch's ran on which weights, for runtimes that know TorchScript."""

    suffix = ".ts"
    title = "TorchScript"

    def write(self, network: nn.Module, inputs: Inputs, metadata: ExportMetadata, path: Path) -> None:
        with _quietly(), _told("as TorchScript"), torch.no_grad():
            traced = _jit.trace(network, inputs, check_trace=False)
            with path.open("wb") as file:  # by its path, the archive would be called as that is
                _jit.save(traced, file, _extra_files=_extra(metadata))

    def open(self, path: Path) -> Logits:
        with _quietly():
            return _called(_jit.load(str(path), map_location="cpu"))


FORMATS: dict[str, Format] = {each.suffix: each for each in (ExportedProgram(), Onnx(), TorchScript())}


def format_of(path: Path, suffix: str | None) -> Format:
    """Return the format of a file to write: the one that is named, or by its suffix. Raises: UsageError."""
    chosen = path.suffix if suffix is None else f".{suffix.removeprefix('.')}"
    if chosen not in FORMATS:
        known = ", ".join(f"{each.suffix} ({each.title})" for each in FORMATS.values())
        raise UsageError(f"{path}: found {chosen or 'no suffix'}, expected a file to export to: {known}")
    return FORMATS[chosen]


def _program(network: nn.Module, inputs: Inputs, metadata: ExportMetadata) -> torch.export.ExportedProgram:
    """Return a network's graph, which holds for any number of clips and boxes where they may be another."""
    # with a limit, for slices of all of them make torch 2.6 ask whether they are as many as there are numbers
    some, people = (torch.export.Dim(name, min=1, max=1 << 30) for name in ("batch", "people"))
    shapes = ({0: some} if metadata.clip.batch is None else {}, {0: people})[: len(inputs)]
    with _told("as one graph"), torch.no_grad():
        # strict is about Python's bytecode, which torch 2.6 would trace by itself; newer ones run the code, as here
        program = torch.export.export(network, inputs, dynamic_shapes=shapes, strict=False)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine
    return program


@contextmanager
def _quietly() -> Iterator[None]:
    """Leave out what torch warns of: sizes that a trace takes for fixed, weights in another order, its own plans.

    Whether any of it matters shows when the file is run.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", _jit.TracerWarning)
        warnings.filterwarnings("ignore", message="No complete tensor found")  # channels-last ones
        for category in (DeprecationWarning, FutureWarning):
            warnings.filterwarnings("ignore", message="`torch.jit", category=category)
        yield


def _extra(metadata: ExportMetadata) -> dict[str, str]:
    """Return metadata as the file within an archive that `METADATA` names."""
    return {METADATA: msgspec.json.encode(metadata).decode()}


def _called(module: Any) -> Logits:
    """Return what calls a module that torch has read back."""

    def logits(clip: Tensor, boxes: Tensor | None) -> Tensor:
        with _told("so that it runs"), torch.no_grad():
            return module(clip) if boxes is None else module(clip, boxes)

    return logits


@contextmanager
def _told(how: str) -> Iterator[None]:
    """Tell in our words what torch cannot do. Raises: ConversionError."""
    try:
        yield
    except _FAILURES as error:
        reason = (str(error).strip() or type(error).__name__).partition("\n\n")[0]
        raise ConversionError(
            f"torch {torch.__version__} cannot export this network {how}: {reason:.600}\n"
            "  Nothing was written. Try another format, or another version of torch."
        ) from error

"""Networks as code, one family a file. They know nothing of files, records or videos."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import cast

from videohub.architectures import Architecture
from videohub.errors import UsageError
from videohub.models.video_model import VideoModel
from videohub.value_types import Activation

__all__ = ["VideoModel", "build", "builder"]


def build(arch: Architecture, *, frames: int, activation: Activation = "softmax") -> VideoModel:
    """Return the network of an architecture, with random weights, in evaluation mode.

    The function of the family's name in the file of the family's name builds it.

    Args:
        arch: What it is.
        frames: Length of the clips that it is for.
        activation: What makes scores of its logits.
    Raises: UsageError if there is no such file, or no such function in it, or that makes no network of ours.
    """
    model = builder(arch.family)(arch, frames=frames, activation=activation)
    if not isinstance(model, VideoModel):
        raise UsageError(f"{arch.family}: its function returned a {type(model).__name__}, expected a VideoModel")
    return model.eval()


def builder(family: str) -> Callable[..., VideoModel]:
    """Return the function that builds the networks of a family. Raises: UsageError if there is none."""
    name = f"{__name__}.{family}"
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:  # one that it imports
            raise
        raise UsageError(
            f"{family}: found no {family}.py in {' or '.join(__path__)}, expected one with the function {family}(arch, "
            "*, frames, activation); a folder of your own is added to `videohub.models.__path__`"
        ) from None
    function = getattr(module, family, None)
    if not callable(function):
        raise UsageError(
            f"{family}: found no function {family} in {module.__file__}, expected one that builds its networks: "
            f"{family}(arch, *, frames, activation)"
        )
    try:
        inspect.signature(function).bind(None, frames=1, activation="softmax")
    except TypeError as error:
        raise UsageError(
            f"{family}: its function in {module.__file__} is not called as {family}(arch, *, frames, activation): "
            f"{error}"
        ) from None
    return cast("Callable[..., VideoModel]", function)

"""Networks as code, one family a file. They know nothing of files, records or videos."""

from __future__ import annotations

import importlib

from videohub.architectures import Architecture
from videohub.models.video_model import VideoModel
from videohub.value_types import Activation

__all__ = ["VideoModel", "build"]


def build(arch: Architecture, *, frames: int, activation: Activation = "softmax") -> VideoModel:
    """Return the network of an architecture, with random weights, in evaluation mode.

    The function of the family's name in the file of the family's name builds it.

    Args:
        arch: What it is.
        frames: Length of the clips that it is for.
        activation: What makes scores of its logits.
    """
    family = importlib.import_module(f"{__name__}.{arch.family}")
    model: VideoModel = getattr(family, arch.family)(arch, frames=frames, activation=activation)
    return model.eval()

"""Networks as code, one family a file. They know nothing of files, records or videos."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from videohub.models.resnet import ResNet3d, c2d, i3d, resnet2d, slow
from videohub.models.slowfast import SlowFast, slowfast
from videohub.models.video_model import VideoModel

__all__ = ["FACTORIES", "ResNet3d", "SlowFast", "VideoModel", "build", "c2d", "i3d", "resnet2d", "slow", "slowfast"]

FACTORIES: Mapping[str, Callable[..., VideoModel]] = {
    "c2d": c2d,
    "i3d": i3d,
    "slow": slow,
    "resnet2d": resnet2d,
    "slowfast": slowfast,
}


def build(factory: str, **arguments: Any) -> VideoModel:
    """Return the network of a factory, with random weights, in evaluation mode."""
    if factory not in FACTORIES:
        raise ValueError(f"factory: found {factory!r}, expected one of {', '.join(FACTORIES)}")
    return FACTORIES[factory](**arguments).eval()

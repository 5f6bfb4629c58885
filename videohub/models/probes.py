"""Small networks that have every kind of layer of ours, to try a device with."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import torch
from torch import Tensor

from videohub import models
from videohub.architectures.mvit import MViT
from videohub.architectures.parts import AverageWindow, NonLocal, RoiMax
from videohub.architectures.slowfast import SlowFast
from videohub.architectures.swin3d import Swin3D
from videohub.architectures.x3d import X3D


def probes() -> Iterator[tuple[models.VideoModel, Tensor | None]]:
    """Yield four networks that classify and one that detects, for clips (1, 3, 8, 96, 96), each with its boxes.

    None of their blocks is the identity, as they are when training begins. Two attend: one over tokens that it pools,
    with tables of distances, and one within windows that it pads and shifts.
    """
    box = torch.tensor([[0, 10, 20, 70, 90]], dtype=torch.float32)
    non_local = NonLocal(after={"res3": [0]}, affinity="softmax", pool=(1, 2, 2))
    slowfast = SlowFast(depth=(1, 1, 1, 1), width=16, num_classes=7, non_local=non_local, head=AverageWindow(window=2))
    x3d = X3D(size="XS", depth_factor=0.4, num_classes=7, head=AverageWindow(window=2))
    mvit = MViT(version=2, blocks=(1, 1, 1, 1), width=16, crop=96, num_classes=7)
    swin = Swin3D(depth=(1, 2, 1, 1), window=(2, 7, 7), num_classes=7)
    detector = msgspec.structs.replace(slowfast, head=RoiMax(aligned=True))
    for arch, boxes in ((slowfast, None), (x3d, None), (mvit, None), (swin, None), (detector, box)):
        network = models.build(arch, frames=8).float()
        for name, parameter in network.named_parameters():
            if "norm" in name:
                torch.nn.init.uniform_(parameter, 0.2, 1.0)
        yield network, boxes

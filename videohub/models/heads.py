"""From feature maps to logits: averages over positions to classify, regions of interest to detect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import roi_align

Activation = Literal["softmax", "sigmoid"]


class AverageWindow(TypedDict):
    """Average over a `window` squared (training crop / 32) that slides by one, as a fully convolutional test does."""

    kind: Literal["average_window"]
    window: int


class AverageAll(TypedDict):
    """Average over the whole map."""

    kind: Literal["average_all"]


class RoiMax(TypedDict):
    """RoIAlign to `resolution` squared, then the maximum over each box; `aligned` shifts by half a pixel."""

    kind: Literal["roi_max"]
    resolution: int
    aligned: bool


Head = AverageWindow | AverageAll | RoiMax

WINDOW_7: Head = {"kind": "average_window", "window": 7}  # a training crop of 224


def build_head(
    head: Head,
    widths: Sequence[int],
    *,
    frames: int | None,
    stride: int,
    num_classes: int,
    activation: Activation,
) -> ClassificationHead | DetectionHead:
    """Return the head that `head` describes, on pathways of `widths` channels and a map of 1/`stride` of the input."""
    if head["kind"] == "roi_max":
        return DetectionHead(
            widths,
            resolution=head["resolution"],
            aligned=head["aligned"],
            stride=stride,
            num_classes=num_classes,
            activation=activation,
        )
    window = head["window"] if head["kind"] == "average_window" else None
    return ClassificationHead(widths, frames=frames, window=window, num_classes=num_classes, activation=activation)


class ClassificationHead(nn.Module):
    """Average-pool each pathway at every position, join them, project; positions are averaged after the activation."""

    def __init__(
        self,
        widths: Sequence[int],
        *,
        frames: int | None,
        window: int | None,
        num_classes: int,
        activation: Activation,
    ) -> None:
        super().__init__()
        self.frames = frames
        self.window = window
        self.activation = activation
        self.dropout = nn.Dropout(0.5)
        self.projection = nn.Linear(sum(widths), num_classes)

    def forward(self, maps: Sequence[Tensor], boxes: Tensor | None = None) -> Tensor:
        """Return logits (B, classes) for feature maps (B, C, T, H, W), one per pathway."""
        _no_boxes(boxes)
        logits = self.projection(self.dropout(self.positions(maps)))
        return average_activations(logits.flatten(1, 3), self.activation)

    def features(self, maps: Sequence[Tensor], boxes: Tensor | None = None) -> Tensor:
        """Return what the projection sees, averaged over positions, (B, D)."""
        _no_boxes(boxes)
        return self.positions(maps).mean(dim=(1, 2, 3))

    def positions(self, maps: Sequence[Tensor]) -> Tensor:
        """Return pooled features at each position, (B, T', H', W', D); one position for the training crop."""
        pooled = []
        for features in maps:
            size = features.shape[2:]
            wanted = (self.frames or size[0], self.window or size[1], self.window or size[2])
            kernel = [min(want, have) for want, have in zip(wanted, size, strict=True)]
            pooled.append(F.avg_pool3d(features, kernel, stride=1))
        return torch.cat(pooled, dim=1).permute(0, 2, 3, 4, 1)


class DetectionHead(nn.Module):
    """Average each pathway over time, cut out each box, take the maximum in it, join the pathways, project."""

    def __init__(
        self,
        widths: Sequence[int],
        *,
        resolution: int,
        aligned: bool,
        stride: int,
        num_classes: int,
        activation: Activation,
    ) -> None:
        super().__init__()
        self.resolution = resolution
        self.aligned = aligned
        self.stride = stride
        self.activation = activation
        self.dropout = nn.Dropout(0.5)
        self.projection = nn.Linear(sum(widths), num_classes)

    def forward(self, maps: Sequence[Tensor], boxes: Tensor | None = None) -> Tensor:
        """Return logits (K, classes) for boxes (K, 5): index in the batch, x1, y1, x2, y2 in input pixels."""
        return self.projection(self.dropout(self.features(maps, boxes)))

    def features(self, maps: Sequence[Tensor], boxes: Tensor | None = None) -> Tensor:
        """Return the features of each box before the projection, (K, D)."""
        if boxes is None or boxes.ndim != 2 or boxes.shape[1] != 5:
            found = "none" if boxes is None else f"a tensor of shape {tuple(boxes.shape)}"
            raise ValueError(f"boxes: found {found}, expected (K, 5): batch index, x1, y1, x2, y2 in input pixels")
        regions = [
            roi_align(
                features.mean(dim=2).float(),  # under autocast too: half precision would round boxes to 2 pixels
                boxes.float(),
                self.resolution,
                spatial_scale=1 / self.stride,
                sampling_ratio=0,  # as many samples as a bin is wide
                aligned=self.aligned,
            ).amax(dim=(2, 3))
            for features in maps
        ]
        return torch.cat(regions, dim=1)


def average_activations(logits: Tensor, activation: Activation) -> Tensor:
    """Return logits (B, classes) whose activation is the mean activation over the positions of (B, P, classes).

    The original activates at each position and averages probabilities. One vector can carry that: with softmax the
    logarithm of the mean probability, with sigmoid its logit. A single position is handed on as it is.
    """
    positions = logits.shape[1]
    if positions == 1:
        return logits[:, 0]
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))  # under autocast it is half precision
    if activation == "softmax":
        return torch.logsumexp(F.log_softmax(logits, dim=2), dim=1) - math.log(positions)
    return torch.logsumexp(F.logsigmoid(logits), dim=1) - torch.logsumexp(F.logsigmoid(-logits), dim=1)


def _no_boxes(boxes: Tensor | None) -> None:
    if boxes is not None:
        raise ValueError("boxes: found a tensor, expected none: this network classifies whole clips")

"""What every network of ours takes and gives: a clip, perhaps with boxes, and logits, or the features behind them.

Networks of feature maps have their heads here, too: averages over positions to classify, regions of interest to detect.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videohub.architectures.parts import Average, AverageAll, AverageWindow, Head, RoiMax
from videohub.value_types import Activation

if TYPE_CHECKING:
    from videohub.registry.schema import Record

MeanOf: TypeAlias = Activation | Literal["logits"]
Boxes: TypeAlias = Tensor | Sequence[Tensor]

_AVERAGE_ALL = AverageAll()


class VideoModel(nn.Module):
    """A network over clips. `videohub.load` returns one; `record` is what it was loaded from.

    `smallest` is the clip that leaves something to its head: frames, height and width. A network that is `tiled`
    divides clips into such pieces, and refuses those that leave something over, which would be cut off; but for clips
    of its own size.
    """

    smallest: tuple[int, int, int] = (1, 1, 1)
    tiled: bool = False
    own_size: tuple[int, int, int] = (0, 0, 0)  # of the clips that it is for, where it is tiled
    head: Any  # what makes logits of feature maps or tokens; its `projection` comes last

    if TYPE_CHECKING:
        record: Record

        def __call__(self, clip: Tensor | Sequence[Tensor], boxes: Boxes | None = None) -> Tensor:
            """Return logits; see `forward`."""

    @abstractmethod
    def forward(self, clip: Tensor | Sequence[Tensor], boxes: Boxes | None = None) -> Tensor:
        """Return logits: (B, classes) for a clip (B, 3, T, H, W); (K, classes) with boxes where it detects.

        Boxes are (K, 5), rows of batch index, x1, y1, x2, y2 in input pixels, or, as torchvision has them, a list with
        (L, 4) of x1, y1, x2, y2 for each clip of the batch, which may be empty.
        Raises: ValueError if the clip or the boxes are of another shape, or of another type than the weights.
        """

    @property
    def num_features(self) -> int:
        """How many features there are before the projection: D. Raises: ValueError if another layer took its place."""
        projection = getattr(self.head, "projection", None)
        if not isinstance(features := getattr(projection, "in_features", None), int):
            what = "none" if projection is None else f"a {type(projection).__name__}"
            raise ValueError(f"num_features: found {what} as head.projection, expected a layer with in_features")
        return features

    @abstractmethod
    def features(self, clip: Tensor | Sequence[Tensor], boxes: Boxes | None = None) -> Tensor:
        """Return pooled features before the projection, (B, D), or (K, D) per box where it detects."""

    def get_classifier(self) -> nn.Module:
        """Return the layer that makes logits of features, as timm's models do: what is new with `num_classes=`."""
        return self.get_submodule(self.record.model.classifier)

    def checked(self, clip: Tensor | Sequence[Tensor]) -> Tensor:
        """Return a clip, where there is one pathway.

        Raises: ValueError if it is a list, too short or too small for the network, or not to be divided into its
            tiles; as `check_clip`.
        """
        if not isinstance(clip, Tensor):
            raise ValueError(f"clip: found a {type(clip).__name__}, expected one tensor (B, 3, T, H, W)")
        self.check_clip(clip)
        frames, height, width = clip.shape[2:]
        if frames < self.smallest[0]:
            raise ValueError(f"clip: found {frames} frames, expected at least {self.smallest[0]}")
        if height < self.smallest[1] or width < self.smallest[2]:
            least = " x ".join(map(str, self.smallest[1:]))
            raise ValueError(f"clip: found {height} x {width} pixels, expected at least {least} (height x width)")
        sizes = zip(clip.shape[2:], self.smallest, self.own_size, strict=True)
        if self.tiled and any(length % piece and length != usual for length, piece, usual in sizes):
            given, pieces = (" x ".join(map(str, size)) for size in (clip.shape[2:], self.smallest))
            raise ValueError(
                f"clip: found {given} (frames x height x width), expected multiples of {pieces}: "
                "what is left over would be cut off"
            )
        return clip

    def check_clip(self, clip: Tensor) -> None:
        """Refuse what is no clip (B, 3, T, H, W) of the type that the weights have.

        Raises: ValueError that says what to do.
        """
        if clip.ndim != 5 or clip.shape[1] != 3:
            raise ValueError(f"clip: found shape {tuple(clip.shape)}, expected (B, 3, T, H, W)")
        if not clip.is_floating_point():
            raise ValueError(
                f"clip: found {clip.dtype}, expected normalised pixels as floating-point numbers; "
                "`videohub.views` makes them as the record's test does"
            )
        for weight in self.parameters():  # the first; torch 2.6 exports no `next` with a default
            if weight.dtype != clip.dtype and not under_autocast(clip.device):
                raise ValueError(
                    f"clip: found {clip.dtype}, expected {weight.dtype} as the weights are; "
                    f"call the model with clip.to({weight.dtype}), or bring the model to {clip.dtype}"
                )
            break


class MapModel(VideoModel):
    """A network that makes feature maps of a clip, one for each pathway, and classifies or detects by them."""

    head: ClassificationHead | DetectionHead

    def forward(self, clip: Tensor | Sequence[Tensor], boxes: Boxes | None = None) -> Tensor:
        """Return logits: (B, classes) for a clip (B, 3, T, H, W); (K, classes) with boxes where it detects."""
        return self.head(self.feature_maps(clip), boxes)

    def features(self, clip: Tensor | Sequence[Tensor], boxes: Boxes | None = None) -> Tensor:
        """Return pooled features before the projection, (B, D), or (K, D) per box where it detects."""
        return self.head.features(self.feature_maps(clip), boxes)

    @abstractmethod
    def feature_maps(self, clip: Tensor | Sequence[Tensor]) -> list[Tensor]:
        """Return what the head sees of a clip, (B, D, T', H', W') of each pathway."""


class OnePathway(MapModel):
    """A network with one `feature_map` of a clip."""

    def feature_maps(self, clip: Tensor | Sequence[Tensor]) -> list[Tensor]:
        return [self.feature_map(self.checked(clip))]

    @abstractmethod
    def feature_map(self, clip: Tensor) -> Tensor:
        """Return what the head sees of a clip (B, 3, T, H, W): (B, D, T', H', W')."""


def under_autocast(device: torch.device) -> bool:
    """Say whether autocast chooses types on a device; `meta` has none, and torch refuses to be asked."""
    return device.type != "meta" and torch.is_autocast_enabled(device.type)


# --- heads on feature maps -------------------------------------------------------------------------------------------


def build_head(
    head: Head,
    widths: Sequence[int],
    *,
    frames: int | None,
    stride: int,
    num_classes: int | None,
    activation: Activation,
) -> ClassificationHead | DetectionHead:
    """Return the head that `head` describes, on pathways of `widths` channels and a map of 1/`stride` of the input."""
    if isinstance(head, RoiMax):
        return DetectionHead(widths, head, stride=stride, num_classes=num_classes)
    return ClassificationHead(widths, head, frames=frames, num_classes=num_classes, activation=activation)


def classifier(in_features: int, num_classes: int | None) -> nn.Linear | NoClassifier:
    """Return what turns features (…, D) into logits (…, classes), or hands them on where there are no classes."""
    return NoClassifier(in_features) if num_classes is None else nn.Linear(in_features, num_classes)


class NoClassifier(nn.Module):
    """Stands where a network that was trained without classes has no classifier: features come out as they are."""

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.in_features = in_features

    def forward(self, features: Tensor) -> Tensor:
        return features


class ClassificationHead(nn.Module):
    """Average-pool each pathway at every position, join them, project; average the positions."""

    def __init__(
        self,
        widths: Sequence[int],
        average: Average = _AVERAGE_ALL,
        *,
        frames: int | None = None,
        num_classes: int | None,
        activation: Activation,
    ) -> None:
        """Take `frames` for how many a window averages over; None: all."""
        super().__init__()
        sliding = average if isinstance(average, AverageWindow) else None
        plainly = num_classes is None or (sliding is not None and sliding.mean_of == "logits")  # features, too
        self.frames = frames if sliding else None
        self.window = sliding.window if sliding else None
        self.mean_of: MeanOf = "logits" if plainly else activation
        self.dropout = nn.Dropout(0.5)
        self.projection = classifier(sum(widths), num_classes)

    def forward(self, maps: Sequence[Tensor], boxes: Boxes | None = None) -> Tensor:
        """Return logits (B, classes) for feature maps (B, C, T, H, W), one per pathway."""
        refuse_boxes(boxes)
        logits = self.projection(self.dropout(self.positions(maps)))
        return average_positions(logits.flatten(1, 3), self.mean_of)

    def features(self, maps: Sequence[Tensor], boxes: Boxes | None = None) -> Tensor:
        """Return what the projection sees, averaged over positions, (B, D)."""
        refuse_boxes(boxes)
        return self.positions(maps).mean(dim=(1, 2, 3))

    def positions(self, maps: Sequence[Tensor]) -> Tensor:
        """Return pooled features at each position, (B, T', H', W', D); one position for the training crop."""
        return torch.cat([self.pooled(features) for features in maps], dim=1).permute(0, 2, 3, 4, 1)

    def pooled(self, features: Tensor) -> Tensor:
        """Return the averages over the window wherever it fits in a map (B, C, T, H, W): (B, C, T', H', W')."""
        size = features.shape[2:]
        window = (self.frames or size[0], self.window or size[1], self.window or size[2])
        kernel = [min(length, there) for length, there in zip(window, size, strict=True)]
        average = F.avg_pool3d(_at_least_float32(features), kernel, stride=1)  # a CPU has it for no narrower type
        return average.to(features.dtype)


class DetectionHead(nn.Module):
    """Make one map of each pathway's frames, cut out each box, take the maximum in it, join the pathways, project."""

    def __init__(self, widths: Sequence[int], how: RoiMax, *, stride: int, num_classes: int | None) -> None:
        from torchvision.ops import roi_align  # whose import takes a second, torch's compiler with it

        super().__init__()
        self._roi_align = roi_align
        self.resolution = how.resolution
        self.aligned = how.aligned
        self.over_time = how.over_time
        self.context = how.context
        self.stride = stride
        width = sum(widths) * (2 if how.context else 1)
        self.dropout = nn.Dropout(0.5)
        self.hidden: nn.Module = nn.Linear(width, width) if how.mlp else nn.Identity()
        self.relu: nn.Module = nn.ReLU(inplace=True) if how.mlp else nn.Identity()
        self.projection = classifier(width, num_classes)

    def forward(self, maps: Sequence[Tensor], boxes: Boxes | None = None) -> Tensor:
        """Return logits (K, classes) for the boxes of feature maps (B, C, T, H, W), one per pathway."""
        return self.projection(self._read(self.dropout(self.pooled(maps, boxes))))

    def features(self, maps: Sequence[Tensor], boxes: Boxes | None = None) -> Tensor:
        """Return the features of each box before the projection, (K, D), of the type that the maps have."""
        return self._read(self.pooled(maps, boxes))

    def pooled(self, maps: Sequence[Tensor], boxes: Boxes | None = None) -> Tensor:
        """Return what is in each box, and behind it, with context, what is in the whole picture: (K, D)."""
        rows = _rows_of_boxes(boxes, maps[0].shape[0])  # not len, which an export takes for fixed
        regions, wholes = [], []
        for features in maps:
            of_time = features.amax(dim=2) if self.over_time == "max" else features.mean(dim=2)
            flat = _at_least_float32(of_time)  # half precision would round boxes to 2 pixels
            region = self._roi_align(
                flat,
                rows.to(flat.dtype),
                self.resolution,
                spatial_scale=1 / self.stride,
                sampling_ratio=0,  # as many samples as a bin is wide
                aligned=self.aligned,
            )
            regions.append(region.amax(dim=(2, 3)).to(features.dtype))
            if self.context:
                places = F.adaptive_avg_pool2d(flat, self.resolution).amax(dim=(2, 3))
                wholes.append(places.to(features.dtype).index_select(0, rows[:, 0].to(torch.int64)))
        return torch.cat(regions + wholes, dim=1)

    def _read(self, pooled: Tensor) -> Tensor:
        """Return what the projection is given."""
        return self.relu(self.hidden(pooled))


def average_positions(logits: Tensor, mean_of: MeanOf) -> Tensor:
    """Return logits (B, classes) for those of several positions, (B, P, classes).

    Most originals activate at each position and average probabilities. One vector can carry that: with softmax the
    logarithm of the mean probability, with sigmoid its logit. Others average logits.
    One position is handed on as it is.
    """
    positions = logits.shape[1]
    if positions == 1:
        return logits[:, 0]
    wide = _at_least_float32(logits)
    if mean_of == "logits":
        averaged = wide.mean(dim=1)
    elif mean_of == "softmax":
        averaged = torch.logsumexp(F.log_softmax(wide, dim=2), dim=1) - math.log(positions)
    else:
        averaged = torch.logsumexp(F.logsigmoid(wide), dim=1) - torch.logsumexp(F.logsigmoid(-wide), dim=1)
    # autocast leaves logarithms in float32, and so does this; a network that is narrow itself gives its own type
    return averaged if under_autocast(logits.device) else averaged.to(logits.dtype)


def _at_least_float32(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()


def _rows_of_boxes(boxes: Boxes | None, clips: int) -> Tensor:
    """Return boxes as (K, 5), whichever of the two forms they come in. Raises: ValueError if it is neither."""
    if isinstance(boxes, Tensor) and boxes.ndim == 2 and boxes.shape[1] == 5:
        return _checked(boxes, clips)
    if isinstance(boxes, Sequence) and len(boxes) == clips and all(each.shape[1:] == (4,) for each in boxes):
        return _checked(torch.cat([F.pad(each, (1, 0), value=float(clip)) for clip, each in enumerate(boxes)]), clips)
    if boxes is None:
        given = "none"
    elif isinstance(boxes, Tensor):
        given = f"a tensor of shape {tuple(boxes.shape)}"
    else:
        given = f"{len(boxes)} of shapes {[tuple(each.shape) for each in boxes]} for {clips} clips"
    raise ValueError(
        f"boxes: found {given}, expected (K, 5): batch index, x1, y1, x2, y2 in input pixels; "
        "or a list with (L, 4) for each clip: x1, y1, x2, y2"
    )


def _checked(rows: Tensor, clips: int) -> Tensor:
    """Return boxes (K, 5). Raises: ValueError for a clip that is not there: torchvision would read foreign memory.

    While a network is exported, compiled or only counted (on the meta device), rows have no values.
    """
    if torch.compiler.is_compiling() or rows.is_meta:
        return rows
    clip = rows[:, 0]
    sound = (clip >= 0) & (clip < clips) & (clip == clip.floor()) & rows.isfinite().all(dim=1)
    sound &= (rows[:, 1] <= rows[:, 3]) & (rows[:, 2] <= rows[:, 4])
    if not sound.all():
        row = int(sound.int().argmin())
        raise ValueError(
            f"boxes: found row {row} with {rows[row].tolist()}, expected finite numbers: a batch index from 0 to "
            f"{clips - 1}, and x1, y1, x2, y2 of which the last two are not the smaller ones"
        )
    return rows


def refuse_boxes(boxes: Boxes | None) -> None:
    """Refuse boxes, where whole clips are classified. Raises: ValueError."""
    if boxes is not None:
        raise ValueError("boxes: found a tensor, expected none: this network classifies whole clips")

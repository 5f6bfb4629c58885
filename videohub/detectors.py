"""Where people are in a picture: torchvision's Faster R-CNN with its published weights, or a network called like it."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from videohub.convert import checkpoint
from videohub.data.geometry import Box
from videohub.devices import usable
from videohub.errors import ConversionError, OfflineError, UsageError
from videohub.hub import download, sources

# As torchvision's detection networks are: pictures (3, H, W), 0 to 1, each -> its boxes (N, 4), labels and scores (N,).
Detector: TypeAlias = Callable[[list[Tensor]], Sequence[Mapping[str, Tensor]]]

NAMES = ("torchvision",)
URL = (
    "https://download.pytorch.org/models/fasterrcnn_resnet50_fpn_coco-258fb6c6.pth"  # COCO_V1, as torchvision names it
)

_NAME = "fasterrcnn_resnet50_fpn"
_CLASSES, _PERSON = 91, 1  # of COCO, as torchvision counts them


def load_detector(name: str = "torchvision", *, device: str | torch.device = "cpu") -> nn.Module:
    """Return torchvision's Faster R-CNN (ResNet-50, FPN) with the weights that it publishes for COCO.

    They come from torchvision's own address into the cache. Its name ends in eight digits of their sha256, which are
    checked; the whole digest is remembered at first use and binds. Nothing in the file is run.

    Raises: UsageError for another name; DownloadError, FormatError, ConversionError, DeviceError.
    """
    check_name(name)
    where = usable(device)
    prefix = re.search(r"-([0-9a-f]{8,64})\.pth$", URL)
    keep = f"keep it as {sources.path_in_mirror(URL)} in a folder that VIDEOHUB_MIRRORS names"
    purpose = sources.Purpose("detector", keep, f"Bring the file here by hand and {keep}.")
    try:
        fetched = download.fetch(URL, name=_NAME, purpose=purpose)
    except OfflineError as error:
        raise OfflineError(
            f"{_NAME}: {URL} is not in the cache, and no connection is allowed.\n"
            f"  Bring the file here by hand and {keep}; or give boxes of your own."
        ) from error
    download.check_prefix(fetched, URL, prefix[1] if prefix else None, name=_NAME)
    network = _network()
    tensors = checkpoint.read(fetched.path).tensors
    try:
        # it knows its older names by itself, and refuses whatever lacks a tensor or has one too many
        network.load_state_dict({key: torch.from_numpy(np.asarray(array)) for key, array in tensors.items()})
    except RuntimeError as error:
        raise ConversionError(f"{_NAME}: {fetched.path} does not hold this network: {error}") from error
    return network.to(where)


def check_name(name: str) -> None:
    """Refuse a name that no detector has. Raises: UsageError."""
    if name not in NAMES:
        raise UsageError(f"detector: found {name!r}, expected {', '.join(NAMES)}, or a network that is called like it")


def people_in(
    picture: npt.NDArray[np.uint8], detector: Detector, *, threshold: float, device: torch.device
) -> list[Box]:
    """Return where a detector sees people in a picture: x1, y1, x2, y2 in its pixels, as the detector orders them.

    The picture is (H, W, 3) RGB, and class 1 of the detector are people, from a score of `threshold` on.
    Raises: UsageError if it is called or answers otherwise.
    """
    if isinstance(detector, nn.Module) and detector.training:
        raise UsageError("detector: found a network in training mode, expected evaluation mode; call detector.eval()")
    clip = torch.from_numpy(np.ascontiguousarray(picture)).to(device).permute(2, 0, 1).float().div(255)
    with torch.inference_mode():
        (detections,) = _checked(detector([clip]))
    seen = (detections["labels"] == _PERSON) & (detections["scores"] >= threshold)
    return [(x1, y1, x2, y2) for x1, y1, x2, y2 in detections["boxes"][seen].float().cpu().tolist()]


def _network() -> nn.Module:
    """Return the network that torchvision builds for these weights, without them."""
    from torchvision.models.detection import FasterRCNN
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
    from torchvision.ops import FrozenBatchNorm2d

    norm = functools.partial(FrozenBatchNorm2d, eps=0.0)  # as torchvision sets it for this file alone
    backbone = resnet_fpn_backbone(backbone_name="resnet50", weights=None, norm_layer=norm)
    network: nn.Module = FasterRCNN(backbone, num_classes=_CLASSES)
    return network.float().eval()


def _checked(detections: object) -> Sequence[Mapping[str, Tensor]]:
    """Refuse what is not the answer of a detection network to one picture. Raises: UsageError."""
    sound = isinstance(detections, Sequence) and len(detections) == 1 and isinstance(detections[0], Mapping)
    if isinstance(detections, Sequence) and sound:
        parts = [detections[0].get(name) for name in ("boxes", "labels", "scores")]
        if all(isinstance(part, Tensor) for part in parts):
            boxes, labels, scores = parts
            if boxes.shape == (len(labels), 4) and labels.shape == scores.shape == (len(labels),):
                return detections
    raise UsageError(
        f"detector: it returned a {type(detections).__name__}, expected what torchvision's detection networks return "
        "for a list of one picture: [{'boxes': (N, 4), 'labels': (N,), 'scores': (N,)}]"
    )

"""Small networks of every family with golden weights, and views to show them."""

import torch

from tests.golden import synth
from videohub import models
from videohub.data.views import Views

SMALL = {"blocks": (1, 1, 1, 1), "width": 16, "num_classes": 7, "head": {"kind": "average_window", "window": 2}}
FAMILIES = {
    "slowfast": {"frames": 8, "lateral_kernel": 5},
    "slow": {"frames": 4},
    "i3d": {"frames": 4},
    "i3d_nln": {
        "frames": 4,
        "non_local": {"after": {"res3": [0], "res4": [0]}, "affinity": "softmax", "pool": (1, 2, 2)},
    },
    "c2d": {"frames": 4},
    "resnet2d": {"frames": 1},
}
DETECTION = {"head": {"kind": "roi_max", "resolution": 7, "aligned": False}, "res5": {"stride": 1, "dilation": 2}}


def network(family, **changes):
    """Return a small network whose weights are made from their names, as the golden ones are."""
    arguments = {**SMALL, **FAMILIES[family], **changes}
    built = models.build(family.partition("_")[0], **arguments)
    state = {name: torch.from_numpy(synth.synth(name, tuple(tensor.shape))) for name, tensor in
             built.state_dict().items()}  # fmt: skip
    built.load_state_dict(state)
    return built.to(memory_format=torch.channels_last_3d)


def video(name, *, frames, clips=2, crops=3, side=48, width=68, boxes=None):
    """Return views of made-up frames, `side` pixels high: a square a crop, or the whole frame where there are boxes."""
    clip = torch.from_numpy(synth.synth_clip(name, (3, frames + clips - 1, side, width)))
    positions = torch.stack([torch.arange(frames) + number for number in range(clips)])
    offsets = [(0, 10 * number) for number in range(crops)] if boxes is None else [(0, 0)]
    size = (side, side) if boxes is None else (side, width)
    return Views(clip.transpose(0, 1), positions, offsets, size, positions, positions, boxes)

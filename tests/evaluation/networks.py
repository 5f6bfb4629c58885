"""Small networks of every family with golden weights, and views to show them."""

import torch

from tests.golden import synth
from videohub import architectures, models
from videohub.architectures.parts import AverageWindow, LastStage, NonLocal, RoiMax
from videohub.architectures.resnet import ResNet
from videohub.data.geometry import Square
from videohub.data.views import Views
from videohub.evaluation.batches import Batches
from videohub.runs import join_views

SMALL = {"num_classes": 7}
WINDOWED = {"head": AverageWindow(window=2)}  # a training crop of 64
RESIDUAL = {**WINDOWED, "depth": (1, 1, 1, 1), "width": 16}
EXPANDED = {**WINDOWED, "size": "XS", "depth_factor": 0.4, "width_factor": 1.0}  # 1, 1, 2, 2 blocks
SHIFTING = {"depth": (1, 2, 1, 1), "width": 16, "every": 2}
PAIRED = {"depth": (1, 2, 1, 1), "widths": (16, 16, 32, 32), "weighing": (0, 1, 0, 1), "share": 8, "segment": 2}
BASIC = {"depth": (1, 1, 2, 1), "width": 16}
NEAR_AND_FAR = {"depth": (1, 1, 1, 1), "widths": (8, 8, 16, 16), "head_width": 8}
SHIFTED = {"depth": (2, 2, 1, 1), "width": 32, "window": (2, 3, 3)}  # no map of theirs is a multiple of it
# Attention has at least 32 queries everywhere, as in all published networks: with fewer, torch's kernel gives threads
# buffers of other alignments, and the last bits of a view depend on which of them it meets.
MULTISCALE = {"blocks": (1, 1, 1, 1), "width": 8, "crop": 48}
PLAIN = {"width": 16, "heads": 2, "crop": 48}  # tokens of patches of 16
SOFTMAX = NonLocal(after={"res3": [0], "res4": [0]}, affinity="softmax", pool=(1, 2, 2))
FAMILIES = {
    "slowfast": {**RESIDUAL, "frames": 8, "lateral_kernel": 5},
    "slow": {**RESIDUAL, "frames": 4},
    "i3d": {**RESIDUAL, "frames": 4},
    "i3d_nln": {**RESIDUAL, "frames": 4, "non_local": SOFTMAX},
    "c2d": {**RESIDUAL, "frames": 4},
    "image": {**RESIDUAL, "frames": 1},
    "x3d": {**EXPANDED, "frames": 4},
    "csn": {**RESIDUAL, "frames": 4},
    "csn_ip": {**RESIDUAL, "frames": 4, "variant": "ip"},
    "tsm": {**SHIFTING, "frames": 4},
    "tsm_mobilenet": {"width": 16, "frames": 4},
    "mobileone": {**PAIRED, "frames": 4},
    "densenet": {"depth": (2, 2, 2, 2), "width": 32, "growth": 16, "frames": 1},
    "r2plus1d": {**RESIDUAL, "frames": 4},
    "r3d": {**BASIC, "frames": 4, "variant": "r3d"},
    "r3d_mc3": {**BASIC, "frames": 4, "variant": "mc3"},
    "r3d_r2plus1d": {**BASIC, "frames": 4, "variant": "r2plus1d"},
    "r3d_bottleneck": {**BASIC, "frames": 4, "variant": "r2plus1d", "bottleneck": True, "middle": "convolution"},
    "s3d": {**WINDOWED, "frames": 8},
    "swin3d": {**SHIFTED, "frames": 8},
    "uniformer": {**NEAR_AND_FAR, "frames": 16},
    "mvit": {**MULTISCALE, "frames": 16, "version": 1},
    "mvit_v2": {**MULTISCALE, "frames": 16, "version": 2},
    "reversible_mvit": {**PLAIN, "frames": 8, "blocks": (2,), "patch": 16},
    "vit": {**PLAIN, "frames": 8, "depth": 2},
    "timesformer": {**PLAIN, "frames": 8, "depth": 2},
    "uniformerv2": {**PLAIN, "frames": 8, "depth": 2, "gathers": 1},
    "hiera": {"blocks": (1, 1, 1, 1), "width": 8, "heads": 2, "crop": 64, "frames": 16},
}
SIDES = {"hiera": 64, "uniformer": 64}  # of those that take one size alone, and not 48, or have too few queries there
DETECTION = {"head": RoiMax(), "res5": LastStage(stride=1, dilation=2)}


def family_of(name):
    """Return the family, or the variant of residual networks, that a small network is of."""
    return name if name in architectures.families() else name.partition("_")[0]


def architecture(name, **arguments):
    """Return what a network is, by the name of its variant, or of its family where that has one alone."""
    families = architectures.families()
    return families[name](**arguments) if name in families else ResNet(variant=name, **arguments)


def build(name, *, frames, activation="softmax", **arguments):
    """Return a network of an `architecture`."""
    return models.build(architecture(name, **arguments), frames=frames, activation=activation)


def network(family, **changes):
    """Return a small network whose weights are made from their names, as the golden ones are."""
    arguments = {**SMALL, **FAMILIES[family], **changes}
    built = build(family_of(family), **arguments)
    state = {name: torch.from_numpy(synth.synth(name, tuple(tensor.shape))) for name, tensor in
             built.state_dict().items()}  # fmt: skip
    built.load_state_dict(state)
    return built.to(memory_format=torch.channels_last_3d)


def video(name, *, frames, clips=2, crops=3, side=48, width=None, boxes=None):
    """Return views of made-up frames, `side` pixels high: a square a crop, or the whole frame where there are boxes."""
    width = width or side + 20
    clip = torch.from_numpy(synth.synth_clip(name, (3, frames + clips - 1, side, width)))
    positions = torch.stack([torch.arange(frames) + number for number in range(clips)])
    offsets = [Square(0, 10 * number) for number in range(crops)] if boxes is None else [Square(0, 0)]
    size = (side, side) if boxes is None else (side, width)
    return Views(clip.transpose(0, 1), positions, offsets, size, positions, positions, boxes)


def score_video(model, views, protocol):
    """Return the score of one video, (classes,): its views' probabilities, joined."""
    ((_, scores),) = Batches(model, protocol, "fp32").scored([(None, views)])
    return torch.from_numpy(join_views(scores, protocol.scores))

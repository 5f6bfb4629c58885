"""Small networks of every kind that transformers of ours have: each is quick, and none of its parts starts at zero."""

from __future__ import annotations

import torch

from tests.golden import synth
from videohub import models
from videohub.architectures.hiera import Hiera
from videohub.architectures.mvit import MViT
from videohub.architectures.reversible_mvit import ReversibleMViT
from videohub.architectures.timesformer import TimeSformer
from videohub.architectures.uniformerv2 import UniFormerV2
from videohub.architectures.vit import AttentionPool, Probe, ViT

SMALL = {"num_classes": 7, "crop": 64}
MULTISCALE = {"blocks": (1, 1, 2, 1), "width": 8, **SMALL}
PLAIN = {"depth": 2, "width": 16, "heads": 2, **SMALL}
FAMILIES = {
    "mvit": MViT(version=1, **MULTISCALE),
    "mvit kernels of strides": MViT(version=1, kernel_by_stride=True, **MULTISCALE),
    "mvit image": MViT(version=1, image=True, joint_positions=True, **MULTISCALE),
    "mvitv2": MViT(version=2, heads=2, **MULTISCALE),
    "mvitv2 image": MViT(version=2, image=True, class_token=False, **MULTISCALE),
    "mvitv2 masked": MViT(version=2, widened_in="mlp", readout="mean_then_norm", **MULTISCALE),
    "mvitv2 pre-training": MViT(version=2, widened_in="mlp", readout="mean_alone", last_stride=1, **MULTISCALE),
    "reversible mvit": ReversibleMViT(qkv_bias=False, **{**MULTISCALE, "blocks": (1, 2, 2, 2)}),
    "reversible mvit image": ReversibleMViT(
        image=True, fusion="mlp", joint_positions=True, **{**MULTISCALE, "blocks": (1, 2, 2, 2)}
    ),
    "reversible vit": ReversibleMViT(
        blocks=(2,), width=16, heads=2, image=True, patch=16, joint_positions=True, **SMALL
    ),
    "hiera": Hiera(heads=2, **MULTISCALE),
    "timesformer": TimeSformer(**PLAIN),
    "timesformer joint": TimeSformer(attention="joint", norm_eps=1e-5, **PLAIN),
    "timesformer space": TimeSformer(attention="space", **PLAIN),
    "uniformerv2": UniFormerV2(gathers=1, **PLAIN),
    "uniformerv2 local": UniFormerV2(gathers=2, local=True, **PLAIN),
    "vit": ViT(**PLAIN),
    "vit class token": ViT(readout="class_token", **PLAIN),
    "vit pre-training": ViT(readout="mean_alone", **PLAIN),
    "vit videomae": ViT(class_token=False, positions="sinusoid", key_bias=False, **PLAIN),
    "vit videomae giant": ViT(
        class_token=False, positions="sinusoid", key_bias=False, hidden=24, patch=14, readout="mean", **PLAIN
    ),
    "vivit": ViT(positions="joint", gelu="tanh", readout="class_token", **PLAIN),
    "vit internvideo2": ViT(
        block="internvit",
        tubelet=1,
        positions="joint",
        gelu="tanh",
        readout=AttentionPool(heads=4, out=24),
        readout_eps=1e-5,
        **PLAIN,
    ),
    "vit epsilons": ViT(norm_eps=1e-12, readout_eps=1e-5, **PLAIN),
    "vjepa2": ViT(
        class_token=False,
        positions="rotary",
        readout=Probe(blocks=1, heads=4),
        readout_eps=1e-5,
        segments=2,
        levels=(0, 1),
        **PLAIN,
    ),
    "vjepa": ViT(class_token=False, positions="joint", readout=Probe(blocks=0, heads=4), **PLAIN),
    "vit image": ViT(image=True, positions="joint", readout="mean", **PLAIN),
}


def frames(family: str) -> int:
    """Return how many frames a network of the family is given."""
    return 1 if getattr(FAMILIES[family], "image", False) else 8


def network(family: str, **changes: object) -> models.VideoModel:
    """Return a small network whose weights are made from their names, as the golden ones are."""
    arch = type(FAMILIES[family])(**{**arguments(family), **changes})
    built = models.build(arch, frames=frames(family))
    built.load_state_dict(
        {name: torch.from_numpy(synth.synth(name, tuple(tensor.shape))) for name, tensor in built.state_dict().items()}
    )
    return built


def clip_for(family: str, *, batch: int = 2, size: int = 64, length: int | None = None) -> torch.Tensor:
    """Return clips that a network of the family takes."""
    return torch.from_numpy(synth.synth_clip("tokens", (batch, 3, length or frames(family), size, size)))


def arguments(family: str) -> dict[str, object]:
    return {name: getattr(FAMILIES[family], name) for name in FAMILIES[family].__struct_fields__}

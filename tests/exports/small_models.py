"""Small networks of every family as models to export: with records, as `videohub.load` returns them."""

from __future__ import annotations

import msgspec

from tests.models.test_families import NETWORKS, network
from videohub import models, registry
from videohub.architectures.parts import AverageWindow
from videohub.registry.schema import Record


def record_of(name: str) -> Record:
    """Return a record of a small network; its protocol is that of a published one."""
    arch, frames = NETWORKS[name]
    base = registry.record("slowfast_r101_8x8_ava22" if arch.task == "detection" else "slow_r50_8x8")
    clip = msgspec.structs.replace(base.clip, frames=frames)
    return msgspec.structs.replace(base, name="small", model=arch, clip=clip, labels=None)


def model_of(name: str) -> models.VideoModel:
    """Return a small network with weights that are made from their names, and its record."""
    model = network(name)
    model.record = record_of(name)
    return model


def size_for(name: str) -> int:
    """Return a side of clips that the network takes: where its head has positions, it gets several of them."""
    return 96 if isinstance(getattr(NETWORKS[name][0], "head", None), AverageWindow) else 64

"""Small runs with scores that one can work out by hand, kept as real runs are, and the records that they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from videohub import registry, runs
from videohub.protocols import Protocol, ViewGrid
from videohub.registry.schema import Published, Record

WEIGHTS, DATA = "ab" * 32, "cd" * 32
PUBLISHED = runs.WeightsFile(name="SMALL.pkl", sha256="99" * 32, vouched_by="first use", first_seen="2026-01-01")
SOURCE = "the table of a test"
Sample = tuple[str, list[int], Any]  # name, right classes; scores of its views, a failure's words, or None: pending


def record(
    metric: str = "topk", *, clips: int = 2, crops: int = 1, classes: int = 4, published: dict[str, Any] | None = None,
    **changes: Any,
) -> Record:  # fmt: skip
    """A record whose run is small enough for a test; `published` are its numbers."""
    like = {"topk": "slowfast_r50_8x8", "multilabel_map": "slowfast_r50_16x8_charades",
            "ava_map": "slowfast_r101_8x8_ava22"}[metric]  # fmt: skip
    base = registry.record(like)
    numbers = published or ({"top1": 50.0, "top5": 100.0} if metric == "topk" else {"map": 50.0})
    return msgspec.structs.replace(
        base,
        **{
            "name": "small",
            "upstream_name": "SMALL",
            "labels": "of nobody",
            "model": msgspec.structs.replace(base.model, num_classes=classes),
            "protocol": grid(base.protocol, clips, crops),
            "published": (Published(source=SOURCE, **numbers),),
            **changes,
        },
    )


def grid(protocol: Protocol, clips: int, crops: int) -> Protocol:
    """Return a protocol with so many views; more crops than three are those of mmaction2's TenCrop."""
    places = (
        protocol.views.crops if protocol.crop_size is None else {1: ("centre",), 3: ("start", "centre", "end")}[crops]
    )
    return msgspec.structs.replace(protocol, views=ViewGrid(clips=clips, crops=places, order="clip_major"))


def views(*orders: Sequence[int]) -> np.ndarray:
    """Scores of one view for each order: the classes from the likeliest to the least likely one."""
    scores = np.zeros((len(orders), len(orders[0])), dtype=np.float32)
    for row, order in zip(scores, orders, strict=True):
        row[list(order)] = np.arange(len(order), 0, -1) / 10
    return scores


def kept(
    folder: Path,
    of: Record,
    samples: Sequence[Sample],
    *,
    boxes: list[list[runs.Box]] | None = None,
    ava: dict[str, Any] | None = None,
    made_by: runs.MadeBy | None = None,
    **identity: Any,
) -> runs.Joined:
    """Keep a run in a folder and join it; `identity` changes what it is."""
    names, classes = [name for name, _, _ in samples], [right for _, right, _ in samples]
    truth = runs.Truth(names=names, classes=classes, boxes=boxes, ava=ava)
    run = runs.open_run(folder, identity_of(of, listed=len(samples), **identity), truth)
    with run.writer(made_by or process()) as writer:
        for index, (name, _, scores) in enumerate(samples):
            if isinstance(scores, str):
                writer.fail(index, name, scores)
            elif scores is not None:
                writer.append(index, name, "ef" * 32, np.asarray(scores, dtype=np.float32))
    return runs.join([folder])


def identity_of(of: Record, **changes: Any) -> runs.Identity:
    """What a run of a record is."""
    messages: dict[str, Any] = {
        "record": of.name,
        "upstream_name": of.upstream_name,
        "dataset": of.protocol.dataset,
        "split": of.protocol.split,
        "num_classes": of.model.num_classes,
        "labels": of.labels,
        "weights_sha256": WEIGHTS,
        "protocol": msgspec.json.decode(msgspec.json.encode(of.protocol)),
        "clip": msgspec.json.decode(msgspec.json.encode(of.clip)),
        "data_sha256": DATA,
        "sample": None,
        "seed": 0,
        "until_decided": None,
        "precision": "fp32",
        "decoder": "fast",
        "weights_identity": "tensors",
    }
    return runs.Identity(**{**messages, **changes})


def process(**changes: Any) -> runs.MadeBy:
    """A process that makes scores."""
    messages: dict[str, Any] = {
        "software": {"videohub": "1.2.3", "torch": "2.6.0"},
        "decoder": {"av": "14.0.0"},
        "device": "cuda:0 (A GPU)",
        "precision": {},
        "shard": "1/1",
        "batch": None,
        "started": "2026-01-02T03:04:05+00:00",
        "weights": PUBLISHED,
    }
    return runs.MadeBy(**{**messages, **changes})


def ten(right: int, *, failed: int = 0, pending: int = 0, of: int = 10) -> list[Sample]:
    """Videos of class 0 with two views each: so many right ones, then wrong ones, then failed and pending ones."""
    wrong = of - right - failed - pending
    good, bad = views((0, 1, 2, 3), (0, 1, 2, 3)), views((1, 0, 2, 3), (1, 0, 2, 3))
    each = [good] * right + [bad] * wrong + ["no such file"] * failed + [None] * pending
    return [(f"v{number}", [0], scores) for number, scores in enumerate(each)]

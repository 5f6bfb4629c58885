"""Runs to test with: an identity, a truth of any length, and scores that are the same whoever makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from videohub.runs import Entry, Identity, MadeBy, Run, Truth, open_run
from videohub.runs import score_file as kept_file

CLASSES = 5
IDENTITY = Identity(
    record="slowfast_motions",
    upstream_name="SLOWFAST_MOTIONS",
    dataset="motions",
    split="val",
    num_classes=CLASSES,
    labels="motions",
    weights_sha256="3f" * 32,
    protocol={
        "views": {"clips": 2, "crops": ["centre"], "order": "clip_major"},
        "scores": {"activation": "softmax", "join": "sum"},
        "metric": "topk",
        "mean": (0.45, 0.45, 0.45),
        "detection": None,
    },
    clip={"frames": 8, "sampling_rate": 2},
    data_sha256="da" * 32,
    listed=40,
    sample=None,
    seed=0,
    until_decided=None,
    precision="fp32",
    decoder="exact",
)
MADE_BY = MadeBy(
    software={"videohub": "0.3.0", "numpy": "2.0"},
    decoder={"av": "14.0.0"},
    device="cpu",
    precision={},
    shard="1/1",
    batch=None,
    started="2026-01-31T12:00:00+00:00",
)


def protocol_of(clips: int, crops: int, *, join: str = "sum", order: str = "clip_major") -> dict[str, Any]:
    """What a protocol of so many views says of them."""
    places = ["start", "centre", "end"][:crops]
    return {
        "views": {"clips": clips, "crops": places, "order": order},
        "scores": {"activation": "softmax", "join": join},
    }


def identity(*, protocol: dict[str, Any] | None = None, **changes: Any) -> Identity:
    return msgspec.structs.replace(IDENTITY, protocol={**IDENTITY.protocol, **(protocol or {})}, **changes)


def truth(count: int) -> Truth:
    return Truth(
        names=[f"{index}.mp4" for index in range(count)], classes=[[index % CLASSES] for index in range(count)]
    )


def shard(number: int, of: int) -> MadeBy:
    return msgspec.structs.replace(MADE_BY, shard=f"{number}/{of}")


def scores_of(index: int, rows: int = 2) -> np.ndarray:
    """Scores that tell which sample they are of, to the last bit."""
    return np.sqrt(np.arange(1 + index, 1 + index + rows * CLASSES, dtype=np.float32)).reshape(rows, CLASSES)


def kept(folder: Path, count: int, indexes: range | list[int]) -> Run:
    """A run of `count` samples in which one process has scored these."""
    run = open_run(folder, IDENTITY, truth(count))
    with run.writer(MADE_BY) as writer:
        for index in indexes:
            writer.append(index, f"{index}.mp4", "v" * 64, scores_of(index))
    return run


def score_file(run: Run) -> Path:
    (path,) = run.score_files()
    return path


def is_right(entry: Entry) -> bool:
    """Whether an entry has the scores of its sample, to the last bit."""
    right = scores_of(entry.index)
    return entry.name == f"{entry.index}.mp4" and entry.scores is not None and np.array_equal(entry.scores, right)


def ends_of(run: Run) -> list[int]:
    """Where the entries of a run's only file end."""
    file = kept_file.read(score_file(run), run.terms, whole=True)
    assert not file.torn
    return [entry.at + 4 * entry.shape[0] * entry.shape[1] for entry in file.entries]

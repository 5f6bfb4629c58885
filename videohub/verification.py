"""Recompute the published number of a record on one's own data, and say whether it holds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

import videohub
from videohub import registry
from videohub.convert import kept_weights
from videohub.data.lists import read_list
from videohub.errors import DataError, UsageError
from videohub.files import written_whole
from videohub.loading import from_weights, usable
from videohub.metrics import topk_hits
from videohub.registry.schema import Protocol, Record
from videohub.verdict import Answer, Comparison, compare
from videohub.weights import fetch

if TYPE_CHECKING:
    from videohub.benchmark import VideoScores

_KS = {"top1": 1, "top5": 5}


class Failure(msgspec.Struct, frozen=True):
    """A listed video that could not be scored, and why."""

    video: str
    reason: str


class Report(msgspec.Struct, frozen=True):
    """What was measured, on what, and what follows. The first comparison (top-1) decides the verdict."""

    record: str
    zoo_name: str
    dataset: str
    data: str
    protocol: str
    clips: int
    crops: int
    views: int
    listed: int
    scored: int
    failures: list[Failure]
    comparisons: list[Comparison]
    verdict: Answer
    reasons: list[str]
    source_sha256: str
    device: str
    seconds: float
    software: dict[str, str]


def verify(
    name: str | Record,
    data: str | Path,
    *,
    root: str | Path | None = None,
    checkpoint: str | Path | None = None,
    device: str = "cpu",
    clips: int | None = None,
    crops: int | None = None,
    out: str | Path | None = None,
) -> Report:
    """Score every listed video as the record's protocol says and compare the accuracy with the published one.

    Args:
        name: A record, its id or its upstream name.
        data: A Kinetics list: one `path label` a line, separated by a space or a comma.
        root: Folder that the list's paths are relative to; None: the list's own.
        checkpoint: A local copy of the published file, instead of the record's URL.
        device: Where the model runs.
        clips: Clips a video; None: the protocol's. Another number than the protocol's gives no verdict.
        crops: Crops a clip, likewise.
        out: Folder for `scores.npz` (names, labels, scores) and `report.json`.
    Raises: UsageError if the record cannot be verified this way; DataError if no listed video can be scored;
        and what `load` raises.
    """
    from tqdm import tqdm

    from videohub.benchmark import evaluate, fast_layout

    record = registry.record(name)
    _refuse_unverifiable(record)
    protocol = _with_views(record.protocol, clips, crops)
    items = read_list(Path(data), root=Path(root) if root else None, num_classes=record.model.num_classes)
    device = usable(device)
    if out is not None:
        Path(out).mkdir(parents=True, exist_ok=True)  # found out now, not after hours
    weights = fetch(record, checkpoint=checkpoint)
    model = fast_layout(from_weights(record, weights).to(device))

    began = time.monotonic()
    # smoothing=0: the remaining time follows from all videos so far, not from the last few
    bar = tqdm(evaluate(model, record, protocol, items), total=len(items), desc=record.name, unit="video", smoothing=0,
               mininterval=1)  # fmt: skip
    results = list(bar)
    report = _report(record, protocol, str(data), results, device=device, seconds=time.monotonic() - began,
                     source_sha256=kept_weights.origin(weights)["source_sha256"])  # fmt: skip
    if out is not None:
        save(report, results, Path(out))
    return report


def save(report: Report, results: Sequence[VideoScores], folder: Path) -> None:
    """Write `scores.npz` and `report.json` into a folder."""
    scored = [result for result in results if result.scores is not None]
    with written_whole(folder / "scores.npz") as part, part.open("wb") as file:
        np.savez(
            file,
            names=np.array([result.item.name for result in scored]),
            labels=np.array([result.item.label for result in scored]),
            scores=np.stack([np.asarray(result.scores) for result in scored]),
        )
    with written_whole(folder / "report.json") as part:
        part.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")


def _report(
    record: Record,
    protocol: Protocol,
    data: str,
    results: Sequence[VideoScores],
    *,
    device: str,
    seconds: float,
    source_sha256: str,
) -> Report:
    scored = [result for result in results if result.scores is not None]
    failures = [Failure(result.item.name, result.failure) for result in results if result.failure is not None]
    if not scored:
        first = failures[0]
        raise DataError(
            f"{data}: none of {len(results)} videos could be scored; the first, {first.video}: {first.reason}"
        )
    hits = topk_hits(
        np.stack([np.asarray(result.scores) for result in scored]),
        np.array([result.item.label for result in scored]),
        tuple(_KS.values()),
    )
    comparisons = [
        compare(metric, published, hits=int(hits[k].sum()), scored=len(scored), missing=len(failures))
        for metric, k in _KS.items()
        if (published := getattr(record.published, metric)) is not None
    ]
    verdict, reasons = comparisons[0].answer, [comparison.reason for comparison in comparisons]
    if (protocol.clips, protocol.crops) != (record.protocol.clips, record.protocol.crops):
        verdict = "insufficient data"
        reasons.insert(
            0,
            f"the published number was measured with {record.protocol.clips} x {record.protocol.crops} views, "
            f"this run used {protocol.clips} x {protocol.crops}",
        )
    return Report(
        record=record.name,
        zoo_name=record.zoo_name,
        dataset=protocol.dataset,
        data=data,
        protocol=protocol.name,
        clips=protocol.clips,
        crops=protocol.crops,
        views=protocol.clips * protocol.crops,
        listed=len(results),
        scored=len(scored),
        failures=failures,
        comparisons=comparisons,
        verdict=verdict,
        reasons=reasons,
        source_sha256=source_sha256,
        device=device,
        seconds=round(seconds, 3),
        software=_software(),
    )


def _with_views(protocol: Protocol, clips: int | None, crops: int | None) -> Protocol:
    if clips is not None and clips < 1:
        raise UsageError(f"clips: found {clips}, expected at least 1")
    if crops is not None and crops not in (1, 3):
        raise UsageError(f"crops: found {crops}, expected 1 (centre) or 3")
    return msgspec.structs.replace(protocol, clips=clips or protocol.clips, crops=crops or protocol.crops)


def _refuse_unverifiable(record: Record) -> None:
    if record.published is None:
        raise UsageError(
            f"{record.name}: its source states no number, so there is nothing to verify:\n  "
            + "\n  ".join(record.notes)
        )
    if record.protocol.decoder != "pts_window" or record.protocol.metric != "topk":
        raise UsageError(
            f"{record.name}: verify reads Kinetics lists so far; "
            f"protocol {record.protocol.name} needs the lists of {record.protocol.dataset}"
        )


def _software() -> dict[str, str]:
    import av
    import torch

    return {"videohub": videohub.__version__, "torch": str(torch.__version__), "av": av.__version__}

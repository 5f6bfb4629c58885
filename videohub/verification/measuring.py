"""Evaluate a record on a data set and keep every score: this process's part of a run, going on where one ended."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from videohub import registry, runs
from videohub.convert import kept_weights
from videohub.data import sets
from videohub.data.samples import DataSet, Sample
from videohub.errors import UsageError
from videohub.loading import from_weights, usable
from videohub.registry.schema import Protocol, Record
from videohub.reporting.refusals import refuse_unverifiable
from videohub.verification import selection, sharding
from videohub.verification.deciding import Decision
from videohub.verification.identifying import identity_of, made_by, truth_of
from videohub.verification.sharding import Shard
from videohub.weights import fetch

if TYPE_CHECKING:
    from tqdm import tqdm

    from videohub.benchmark import Scored

_log = logging.getLogger("videohub")


def measure(
    name: str | Record,
    data: str | Path,
    *,
    out: str | Path,
    root: str | Path | None = None,
    checkpoint: str | Path | None = None,
    device: str = "cpu",
    clips: int | None = None,
    crops: int | None = None,
    shard: str | None = None,
    sample: int | None = None,
    until_decided: float | None = None,
    seed: int = 0,
    precision: str = "auto",
    workers: int | None = None,
    batch: int | None = None,
    retry_failed: bool = False,
) -> None:
    """Score the samples of a data set that belong to this process and are not yet scored in `out`.

    The arguments are those of `videohub.verify`, which also reports. Scores are kept as they are made; whatever
    interrupts, the same call goes on from there.
    """
    from videohub.benchmark import evaluate, fast_layout, settle

    record = registry.record(name)
    refuse_unverifiable(record)
    protocol = _with_views(record.protocol, clips, crops)
    mine = _own_shard(shard)
    _refuse_contradictions(record, mine, sample=sample, until_decided=until_decided, retry_failed=retry_failed)
    device = usable(sharding.own_device(device))
    workers = _decoders(device) if workers is None else workers
    found = sets.read(Path(data), root=Path(root) if root else None, record=record)
    for note in found.notes:
        _log.warning("%s: %s", data, note)
    samples = _chosen(found, sample=sample, until_decided=until_decided, seed=seed)
    weights = fetch(record, checkpoint=checkpoint)
    model = fast_layout(from_weights(record, weights).to(device))
    settled = settle(precision, model, protocol, record.clip, samples, workers=workers)
    identity = identity_of(record, protocol, found, weights_sha256=kept_weights.origin(weights)["source_sha256"],
                           sample=sample, seed=seed, until_decided=until_decided,
                           precision=settled.name)  # fmt: skip
    run = runs.open_run(out, identity, truth_of(samples, found))
    done = run.done(retry_failed=retry_failed)
    ours = [number for number in range(len(samples)) if mine.has(number)]
    todo = [(number, samples[number]) for number in ours if number not in done]
    decision = None if until_decided is None else _so_far(run, record, until_decided)
    if not todo or (decision and decision.answer):
        return
    maker = made_by(device=device, precision={"why": settled.reason}, shard=str(mine), batch=batch)
    scores = evaluate(model, protocol, record.clip, todo, workers=workers, precision=settled, batch=batch)
    with run.writer(maker) as kept, closing(scores), _bar(record, mine, len(ours), len(ours) - len(todo)) as bar:
        for scored in scores:
            _keep(kept, scored)
            bar.update()
            if decision is not None:
                views = scored.scores
                decision.take(scored.index, None if views is None else runs.join_views(views, protocol.ensemble),
                              scored.sample.truth[0])  # fmt: skip
                if decision.answer is not None:
                    return


def _keep(kept: runs.Writer, scored: Scored) -> None:
    if scored.scores is None:
        kept.fail(scored.index, scored.sample.name, scored.failure or "no reason was given")
    else:
        kept.append(scored.index, scored.sample.name, scored.views, scored.scores)


def _so_far(run: runs.Run, record: Record, level: float) -> Decision:
    """Return what earlier calls have found out."""
    assert record.published is not None, "refused before"
    assert record.published.top1 is not None, "refused before"
    decision = Decision(record.published.top1, total=len(run.truth.names), level=level)
    for number, entry in runs.join([run.folder]).entries.items():
        views = entry.scores
        decision.take(number, None if views is None else runs.join_views(views, record.protocol.ensemble),
                      run.truth.classes[number][0])  # fmt: skip
    return decision


def _bar(record: Record, mine: Shard, total: int, before: int) -> tqdm[Any]:
    """Return the bar of this process; of several, the first one shows its own part."""
    from tqdm import tqdm

    name = record.name if mine.count == 1 else f"{record.name} {mine}"
    hidden = sharding.launched() and not mine.is_first
    often = 1 if sys.stderr.isatty() else 60  # a log gets a line a minute
    # smoothing=0: the remaining time follows from all videos so far, not from the last few
    return tqdm(desc=name, total=total, initial=before, unit="video", smoothing=0, mininterval=often, disable=hidden)


def _decoders(device: str) -> int:
    """Return how many processes decode for a device: on a CPU the model wants the cores, a GPU wants them all busy."""
    if device.startswith("cpu"):
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // sharding.neighbours())


def _own_shard(shard: str | None) -> Shard:
    if sharding.launched():
        if shard is not None:
            raise UsageError(f"shard: found {shard!r} under torchrun, which says itself what each process evaluates")
        return sharding.of_torchrun()
    return sharding.parse(shard) if shard is not None else Shard()


def _refuse_contradictions(
    record: Record, mine: Shard, *, sample: int | None, until_decided: float | None, retry_failed: bool
) -> None:
    """Refuse settings that cannot both hold."""
    if until_decided is None:
        return
    if not 0.5 <= until_decided < 1:
        raise UsageError(f"until_decided: found {until_decided}, expected a level such as 0.95")
    if record.protocol.metric != "topk":
        raise UsageError(f"{record.name}: until_decided follows an accuracy, and this number is a mean over classes")
    if sample is not None:
        raise UsageError("until_decided: already takes no more videos than it needs; leave out the sample")
    if retry_failed:
        raise UsageError("until_decided: what failed has been counted as such; leave out retry_failed, or start anew")
    if mine.count > 1:
        raise UsageError("until_decided: looks at all videos in one order, so it cannot be split over processes")


def _chosen(found: DataSet, *, sample: int | None, until_decided: float | None, seed: int) -> list[Sample]:
    if until_decided is not None:
        return selection.shuffled(found.samples, seed=seed)
    return list(found.samples) if sample is None else selection.stratified(found.samples, sample, seed=seed)


def _with_views(protocol: Protocol, clips: int | None, crops: int | None) -> Protocol:
    if clips is not None and clips < 1:
        raise UsageError(f"clips: found {clips}, expected at least 1")
    if crops is not None and crops not in (1, 3):
        raise UsageError(f"crops: found {crops}, expected 1 (centre) or 3")
    return msgspec.structs.replace(protocol, clips=clips or protocol.clips, crops=crops or protocol.crops)

"""How a run is scored: this process's part, going on where it ended, up to the last video or a settled verdict."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from videohub import metrics, runs
from videohub.building import held
from videohub.convert.kept_weights import weights_digest
from videohub.data import sets
from videohub.data.decoded import decoder_versions
from videohub.data.labels import with_outputs
from videohub.data.samples import DataSet, KeyFrame, Sample
from videohub.data.sets.lists import folder_of
from videohub.data.sets.missing import missing_files
from videohub.data.spec import TestSpec
from videohub.devices import usable
from videohub.errors import DataError
from videohub.evaluation import distributed
from videohub.evaluation.distributed import Shard
from videohub.evaluation.precision_choice import choose_precision
from videohub.evaluation.scoring import EvalModel, Scored, evaluate
from videohub.files import check_is_no_url
from videohub.loading import from_weights
from videohub.log import log
from videohub.metrics.verdict import Verdict, settled
from videohub.models.inference_form import optimize
from videohub.preflight.list_checks import judge_truth
from videohub.registry.labels import check_map, resolve
from videohub.registry.schema import Record
from videohub.verification.settings import Settings, refuse_contradictions, refuse_unshared
from videohub.version import __version__
from videohub.weights import fetch, weights_file
from videohub.worker_pool import usable_cores
from videohub.worker_pool.shared_memory import available


@dataclass(frozen=True)
class Target:
    """A record to verify, and the folder of its run."""

    record: Record
    out: Path
    checkpoint: str | Path | None = None  # a local copy of its published file, or a file of one's own
    weights: Path | None = None  # what `fetch` returned, where it was asked already
    outputs: tuple[int, ...] | None = None  # that a label map names; `record` has the classes that they are
    of_file: Record | None = None  # with all classes of its file, where there is a label map


def target_of(record: Record, out: Path, settings: Settings, outputs: tuple[int, ...] | None) -> Target:
    """Return a record to score, with the classes of a file of one's own, or of a label map, called as the labels say.

    `outputs` are what the label map of the settings names, which was read once; None: there is none.
    Raises: UsageError if there are as many labels as classes not, or what a label map says cannot be; and what `fetch`
        raises for the file.
    """
    check_is_no_url(out)
    names = None if settings.labels is None else resolve(settings.labels)
    if outputs is None:  # the data set of a label map's classes may be another
        sets.reader_of(record.dataset)  # before a download
    if settings.checkpoint is None and names is None and outputs is None:
        return Target(record, out)
    if outputs is not None and settings.checkpoint is None:
        check_map(outputs, record)  # before a download
    weights = fetch(record, checkpoint=settings.checkpoint)
    if outputs is None:
        of_file = held(record, weights, labels=names, source=settings.checkpoint)
        return Target(of_file, out, settings.checkpoint, weights)
    of_file = held(record, weights, source=settings.checkpoint)
    mapped = with_outputs(of_file, outputs, names)
    return Target(mapped, out, settings.checkpoint, weights, outputs, of_file)


def measure(
    targets: Sequence[Target], data: str | Path, settings: Settings, *, on_start: Callable[[], None] = lambda: None
) -> None:
    """Score the samples of a data set that belong to this process and that the runs do not have yet.

    One pass over the videos serves all records; one whose part is complete stays out of it. Scores are kept as they
    are made: whatever interrupts, the same call goes on from there, and so does a call for only some of the records.
    `on_start` is called once scores are about to be kept: everything that could be refused was not.
    """
    records, mine = [target.record for target in targets], settings.shard_here()
    specs = [settings.spec(record) for record in records]
    for record in records:
        refuse_contradictions(record, settings)
    refuse_unshared(records, specs)
    device = str(usable(distributed.local_device(str(settings.device))))
    workers = _decoders(device, settings.workers)
    data_set = _read(data, records[0], settings)
    for record in records:
        _refuse_unjudged(data, data_set, record)
    common = _Pass(settings, device, workers, data_set, settings.chosen(data_set.samples))
    files = [target.weights or fetch(target.record, checkpoint=target.checkpoint) for target in targets]
    entering = (_entering(*each, common) for each in zip(targets, specs, files, strict=True))
    entered = [each for each in entering if each is not None]
    parts = [each.part for each in entered]
    ours = [(number, sample) for number, sample in enumerate(common.samples) if mine.has(number)]
    todo = [(number, sample) for number, sample in ours if any(part.pending(number) for part in parts)]
    if not todo:
        return
    scores = evaluate([each.model for each in entered], todo, workers=workers, batch=settings.batch,
                      decoder=settings.decoder)  # fmt: skip
    with ExitStack() as opened, closing(scores):
        writers = [opened.enter_context(each.part.run.writer(each.made_by, _shards(data_set))) for each in entered]
        on_start()
        bar = opened.enter_context(_bar(parts, mine, len(ours), len(ours) - len(todo)))
        for scored in scores:
            part = parts[scored.model]
            if not part.pending(scored.index):  # it shared a batch with what settled the verdict
                continue
            part.keep(scored, writers[scored.model])
            if not any(other.pending(scored.index) for other in parts):
                bar.update()
            if not any(other.missing for other in parts):
                return


class Decision:
    """What is known so far of the videos of a list, taken in random order.

    Only what was seen in that order counts, without gaps: results that came early, because their videos are short,
    would bend the answer.
    """

    def __init__(self, published: float, *, total: int, level: float, tolerance: float) -> None:
        self.published, self.total, self.level, self.tolerance = published, total, level, tolerance
        self.seen = self.hits = self.failed = 0
        self._early: dict[int, bool | None] = {}  # beyond a gap: whether they are hits, None if they failed

    def take(self, number: int, hit: bool | None) -> None:
        """Take a video by its number in that order: whether it is right, or None if it could not be scored."""
        self._early[number] = hit
        while self.seen in self._early:
            hit = self._early.pop(self.seen)
            self.seen += 1
            self.hits += hit is True
            self.failed += hit is None

    @property
    def verdict(self) -> Verdict | None:
        """Return the verdict that the whole list will give, or None while it is open."""
        return settled(self.published, hits=self.hits, failed=self.failed, seen=self.seen, total=self.total,
                       level=self.level, tolerance=self.tolerance)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Part:
    """The samples of a run that this process has to score."""

    run: runs.Run
    missing: set[int]  # by their numbers; one that is kept leaves the set, and all do once the verdict is settled
    decision: Decision | None  # None: all of them are scored, whatever they say

    def pending(self, number: int) -> bool:
        """Return whether a sample is still to be scored."""
        return number in self.missing

    def keep(self, scored: Scored, writer: runs.Writer) -> None:
        """Keep what was made of a sample, or why nothing was."""
        if scored.scores is None:
            writer.fail(scored.index, scored.sample.name, scored.failure or "no reason was given")
        else:
            kinds = tuple((one.kind, one.detail) for one in scored.contradictions)
            writer.append(scored.index, scored.sample.name, scored.views, scored.scores, contradictions=kinds)
        self.missing.discard(scored.index)
        if self.decision is not None:
            _take(self.decision, self.run, scored)
            if self.decision.verdict is not None:
                self.missing.clear()


@dataclass(frozen=True, eq=False)
class _Pass:
    """What the records of one call share."""

    settings: Settings
    device: str
    workers: int
    data: DataSet
    samples: list[Sample]


@dataclass(frozen=True, eq=False)
class _Entering:
    """A record that lacks scores: which, and who makes them."""

    part: Part
    model: EvalModel
    made_by: runs.MadeBy


def _read(data: str | Path, record: Record, settings: Settings) -> DataSet:
    data_set = sets.read(data, root=settings.root, record=record, list_file=settings.list_file)
    start = Path(settings.root) if settings.root else folder_of(Path(data))
    for note in (*data_set.notes, *missing_files(data_set.samples, start)):
        log.warning("%s: %s", data, note)
    return data_set


def _refuse_unjudged(data: str | Path, data_set: DataSet, record: Record) -> None:
    """Refuse samples that the record's metric cannot judge, before any of them is looked at. Raises: DataError."""
    for finding in judge_truth(data_set, record.num_classes, metrics.of(record.protocol.metric)):
        raise DataError(
            f"{record.name}: {data}: {finding.text}.\n"
            "  Correct the lists, or test with a protocol whose metric they are for; `videohub data check` tells more."
        )


def _entering(target: Target, spec: TestSpec, weights: Path, common: _Pass) -> _Entering | None:
    """Open the run of a record, and return what it lacks and who makes that; None if it lacks nothing."""
    record, settings = target.record, common.settings
    loaded = from_weights(record, weights, outputs=target.outputs)
    used = weights_digest(loaded.state_dict())  # as they were read: what is folded is another's arithmetic
    model = optimize(loaded.to(common.device))
    precision = choose_precision(settings.precision, model, spec, common.samples, workers=common.workers,
                     decoder=settings.decoder)  # fmt: skip
    identity = _identity(target, spec, common.data, settings, precision=precision.name,
                           weights_sha256=used)  # fmt: skip
    run = runs.open_run(target.out, identity, _truth(common.samples, common.data))
    run.check_shards(_shards(common.data))
    part = _part_of(run, record, settings)
    if not part.missing:
        return None
    file = weights_file(weights, record, checkpoint=target.checkpoint)
    made_by = _made_by(common.device, precision.reason, settings, file)
    return _Entering(part, EvalModel(model, spec, precision.name, part.pending), made_by)


def _part_of(run: runs.Run, record: Record, settings: Settings) -> Part:
    """Return what this process still has to score for a run, after whatever was kept there before."""
    decision = None if settings.until_decided is None else _so_far(run, record, settings.until_decided)
    if decision is not None and decision.verdict is not None:
        return Part(run, set(), decision)
    mine, done = settings.shard_here(), run.done(retry_failed=settings.retry_failed)
    missing = {number for number in range(len(run.truth.names)) if mine.has(number) and number not in done}
    return Part(run, missing, decision)


def _so_far(run: runs.Run, record: Record, level: float) -> Decision:
    """Return what earlier calls have found out."""
    published = record.tested_with(run.identity.tested.views).number
    assert published is not None, "refused before"
    deciding = metrics.of(record.protocol.metric).numbers[0]
    decision = Decision(published.numbers()[deciding], total=len(run.truth.names), level=level,
                        tolerance=published.tolerance)  # fmt: skip
    for entry in runs.join([run.folder]).entries.values():
        _take(decision, run, entry)
    return decision


def _take(decision: Decision, run: runs.Run, made: Scored | runs.Entry) -> None:
    scoring = run.identity.scoring
    scores = None if made.scores is None else runs.join_views(made.scores, scoring.scores)
    is_right, classes = metrics.of(scoring.metric).arithmetic.is_right, run.truth.classes[made.index]
    decision.take(made.index, None if scores is None else is_right(scores, classes))


def _identity(
    target: Target, spec: TestSpec, data: DataSet, settings: Settings, *, weights_sha256: str, precision: str
) -> runs.Identity:
    """Return what the scores of a run must share."""
    record, protocol = target.record, spec.protocol
    return runs.Identity(
        record=record.name,
        upstream_name=record.upstream_name,
        dataset=protocol.dataset,
        split=protocol.split,
        num_classes=record.num_classes,
        labels=record.labels,
        weights_sha256=weights_sha256,
        protocol=runs.plain(protocol),
        clip=runs.plain(spec.clip),
        data_sha256=data.digest(),
        listed=len(data.samples),
        sample=settings.sample,
        seed=settings.seed,
        until_decided=settings.until_decided,
        precision=precision,
        decoder=settings.decoder,
        weights_identity="tensors",
        label_map=_label_map(target),
        shards_sha256=data.shards_digest(),
    )


def _label_map(target: Target) -> runs.LabelMap | None:
    if target.outputs is None or target.of_file is None:
        return None
    digest = runs.digest_of(runs.canonical(target.outputs))
    return runs.LabelMap(sha256=digest, classes=len(target.outputs), outputs=target.of_file.num_classes)


def _truth(samples: Sequence[Sample], data: DataSet) -> runs.Truth:
    """Return the names of what is evaluated, and what is right for each."""
    boxes = [list(sample.source.boxes) if isinstance(sample.source, KeyFrame) else [] for sample in samples]
    return runs.Truth(
        names=[sample.name for sample in samples],
        classes=[list(sample.truth) for sample in samples],
        boxes=None if data.ava is None else boxes,
        ava=None if data.ava is None else runs.plain(data.ava),
    )


def _made_by(device: str, why: str, settings: Settings, weights: runs.WeightsFile) -> runs.MadeBy:
    """Return what this process runs on and with, and why its precision was chosen."""
    return runs.MadeBy(
        software={"videohub": __version__, "torch": str(torch.__version__), "numpy": np.__version__},
        decoder=decoder_versions(),
        device=_device_name(device),
        precision={"why": why},
        shard=str(settings.shard_here()),
        batch=settings.batch,
        started=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        weights=weights,
    )


def _shards(data: DataSet) -> list[runs.ShardFile]:
    return [runs.ShardFile(each.location, each.size, each.version) for each in data.shards]


def _device_name(device: str) -> str:
    """Return the name of a device and of what it is, as far as the machine tells."""
    if torch.device(device).type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"cpu ({platform.machine()}, {torch.get_num_threads()} threads)"


def _bar(parts: Sequence[Part], mine: Shard, total: int, before: int) -> tqdm[Any]:
    """Return the bar of this process; of several, the first one shows its own part."""
    name = parts[0].run.identity.record if len(parts) == 1 else f"{len(parts)} records"
    title = name if mine.count == 1 else f"{name} {mine}"
    hidden = distributed.under_torchrun() and not mine.is_first
    watched = sys.stderr.isatty()
    often = 1 if watched else 60  # a log gets a line a minute, a notebook or a log of less than one gets none
    # smoothing=0: the remaining time follows from all videos so far, not from the last few
    return tqdm(desc=title, total=total, initial=before, unit="video", smoothing=0, mininterval=often,
                delay=0 if watched else often, disable=hidden)  # fmt: skip


def _decoders(device: str, requested: int | None) -> int:
    """Return how many processes decode for a device: on a CPU the model wants the cores, a GPU wants them all busy."""
    if requested == 0:
        return 0
    if not available():
        log.warning(
            "this system cannot keep decoders in processes of their own: videos are decoded in this one, "
            "and one that crashes its decoder ends the run; --workers 0 says that you know"
        )
        return 0
    if requested is not None:
        return requested
    if device.startswith("cpu"):
        return 1
    return max(1, usable_cores() // distributed.local_world_size())

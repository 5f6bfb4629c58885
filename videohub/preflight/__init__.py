"""Look at a data set before any model runs: is it there, can it be read, is it what the protocol needs?"""

from __future__ import annotations

import functools
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

import msgspec

from videohub import metrics, registry
from videohub.data import sets
from videohub.data.labels import class_names, with_outputs
from videohub.data.samples import DataSet
from videohub.data.sets import shards
from videohub.data.sets.lists import folder_of
from videohub.data.sets.missing import missing_files
from videohub.data.shard_indexes import kept_place
from videohub.errors import UsageError
from videohub.formatting import Spread
from videohub.preflight.file_checks import ProbedFile, judge_files, refused
from videohub.preflight.findings import Check, expected_of, verdict
from videohub.preflight.index import Index, Target, duplicates, targets
from videohub.preflight.list_checks import (
    compare_folders,
    count_classes,
    count_keyframes,
    judge_classes,
    judge_counts,
    judge_folders,
    judge_keyframes,
    judge_truth,
)
from videohub.preflight.probe import probe_files
from videohub.registry.labels import Given, read_map, with_labels
from videohub.registry.schema import Record
from videohub.worker_pool import usable_cores

__all__ = ["Check", "Progress", "check", "check_samples", "index_beside"]

Progress: TypeAlias = Callable[[str, int, int], None]  # what is being done, how much of it is done, of how much

_TIMEOUT_S, _TIMEOUT_DEEP_S = 30.0, 600.0  # for one file, which then counts as unreadable; where all is decoded
_SAVE_EVERY_S = 60.0


def check(
    record: str | Record,
    data: str | Path,
    *,
    root: str | Path | None = None,
    list_file: str | Path | None = None,
    labels: Given | None = None,
    label_map: str | Path | None = None,
    deep: bool = False,
    workers: int | None = None,
    index: str | Path | None = None,
    progress: Progress = lambda what, done, of: None,
) -> Check:
    """Find out whether a data set is there and is what a record's protocol needs, before any model runs.

    Args:
        record: A record, its id or its upstream name.
        data: Folder of the data set, one of its lists, or tars; see `videohub.data.sets`.
        root: Folder that the paths of the lists start from; None: where that data set's releases have them.
        list_file: The list whose videos lie in the tars; None: their labels do, too.
        labels: What the network's outputs are called; None: as the record says.
        label_map: Which outputs are the data's classes; see `videohub.registry.labels`. None: all.
        deep: Decode everything, which takes as long as a test without a model, instead of headers and first pictures.
        workers: Processes that look at files; None: one for each core, at least 2.
        index: File to remember probes in, and to take earlier ones from; None: nothing is remembered.
            `index_beside(data)` is a good place.
        progress: Is told how far it has got.
    Raises: UsageError and DataError if the lists cannot be read; DeviceError if no process can be started.
    """
    named, outputs, began = registry.record(record), read_map(label_map), time.monotonic()
    tested = with_labels(named, labels) if outputs is None else with_outputs(named, outputs, labels)
    samples = sets.read(data, root=root, record=tested, list_file=list_file)
    checked = check_samples(
        tested, samples, data=str(data), root=str(root) if root else None, deep=deep, workers=workers,
        index=Path(index) if index else None, progress=progress,
    )  # fmt: skip
    return msgspec.structs.replace(checked, took_s=round(time.monotonic() - began, 3))


def index_beside(data: str | Path) -> Path:
    """Return where the index of a data set belongs: hidden in its folder or beside its list; of tars, in the cache."""
    if shards.are_named(data):
        return kept_place(os.fspath(data), ".json")
    path = Path(data).absolute()
    return path / ".videohub-index.json" if path.is_dir() else path.parent / f".{path.name}.videohub-index.json"


def check_samples(
    record: Record,
    data_set: DataSet,
    *,
    data: str,
    root: str | None = None,
    deep: bool = False,
    workers: int | None = None,
    index: Path | None = None,
    progress: Progress = lambda what, done, of: None,
) -> Check:
    """Check samples whose lists have been read; arguments and errors as in `check`."""
    began = time.monotonic()
    samples, expected, known = data_set.samples, expected_of(record), Index(index)
    files = targets(samples, deep=deep)
    timeout_s = _TIMEOUT_DEEP_S if deep else _TIMEOUT_S
    probed, looked_at = _probe_all(files, known, workers or max(2, usable_cores()), timeout_s, progress)
    progress("comparing files", 0, 1)
    groups = duplicates([one.target for one in probed if one.probe and not one.probe.problem], known)
    known.save()
    progress("comparing files", 1, 1)

    @functools.cache
    def names() -> tuple[str, ...]:
        try:
            return class_names(record.labels)
        except UsageError:  # a user's own record may have labels that nobody has named
            return ()

    classes, folders, keyframes = (
        count_classes(data_set, expected.classes),
        compare_folders(samples, names),
        count_keyframes(data_set),
    )
    absent = [samples[number] for one in probed if one.target.missing for number in one.target.samples]
    start, missing = Path(root) if root else folder_of(Path(data)), len(absent)
    unreadable = sum(
        len(one.target.samples)
        for one in probed
        if one.probe and (one.probe.problem or one.probe.damage or refused(one.probe, record.protocol))
    )
    usable = len(samples) - missing - unreadable
    metric = metrics.of(record.protocol.metric)
    findings = [
        *judge_truth(data_set, expected.classes, metric),
        *judge_counts(len(samples), usable, expected),
        *judge_folders(folders, samples, names),
        *judge_keyframes(keyframes, data_set, expected),
        *judge_files(probed, groups, samples, expected, record.protocol),
        *judge_classes(classes, len(samples), averaged=metric.over_classes),
    ]
    judged, reasons = verdict(findings, len(samples))
    good = [one.probe for one in probed if one.probe and not one.probe.problem]
    seconds = [probe.seconds for probe in good if probe.seconds]
    return Check(
        record=record.name,
        upstream_name=record.upstream_name,
        data=data,
        root=root,
        data_sha256=data_set.digest(),
        expected=expected,
        listed=len(samples),
        found=len(samples) - missing,
        missing=missing,
        unreadable=unreadable,
        usable=usable,
        short_sides=Spread.of([probe.short_side for probe in good]) if good else None,
        seconds=Spread.of(seconds) if seconds else None,
        frame_rates=dict(Counter(f"{round(probe.fps, 2):g}" for probe in good if probe.fps).most_common()),
        portrait=sum(probe.height > probe.width for probe in good) / len(good) if good else 0.0,
        classes=classes,
        folders=folders,
        keyframes=keyframes,
        findings=findings,
        verdict=judged,
        reasons=reasons,
        notes=[*data_set.notes, *missing_files(absent, start), *([known.trouble] if known.trouble else [])],
        deep=deep,
        looked_at=looked_at,
        remembered=sum(one.probe is not None for one in probed) - looked_at,
        index=str(index) if index and not known.trouble else None,
        took_s=round(time.monotonic() - began, 3),
    )


def _probe_all(
    files: Sequence[Target], known: Index, workers: int, timeout_s: float, report: Progress
) -> tuple[list[ProbedFile], int]:
    """Look at every file that is there and not known, remember it, and return all; and at how many it had to look."""
    probes = {target.key: known.probe(target) for target in files if not target.missing}
    unknown = [target for target in files if not target.missing and probes[target.key] is None]
    done, saved = len(probes) - len(unknown), time.monotonic()
    report("looking at files", done, len(probes))
    try:
        jobs = [target.job for target in unknown]
        with closing(probe_files(jobs, workers=workers, timeout_s=timeout_s)) as answers:
            for target, probe in zip(unknown, answers, strict=True):
                probes[target.key] = probe
                known.keep(target, probe=probe)
                done += 1
                report("looking at files", done, len(probes))
                if time.monotonic() - saved > _SAVE_EVERY_S:
                    known.save()
                    saved = time.monotonic()
    finally:  # an interrupted check goes on where it was
        known.save()
    return [ProbedFile(target, probes.get(target.key)) for target in files], len(unknown)

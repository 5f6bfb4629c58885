"""Check a data set for a record: read its lists, look at its files, and say what that comes to."""

from __future__ import annotations

import functools
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

import msgspec

from videohub import metrics, registry
from videohub.data.samples import DataSet
from videohub.data.sets.lists import folder_of
from videohub.data.sets.missing import missing_files
from videohub.errors import UsageError
from videohub.formatting import counted
from videohub.preflight import processes
from videohub.preflight.copies import copies
from videohub.preflight.expected import Expected, expected
from videohub.preflight.findings import Check, Finding, spread, verdict
from videohub.preflight.index import Index
from videohub.preflight.label_order import compare_folders, count_classes, judge_classes, judge_folders
from videohub.preflight.moments import judge_moments, moments
from videohub.preflight.remarks import judge_files, refused
from videohub.preflight.targets import Target, targets
from videohub.preflight.telling import Seen
from videohub.registry.labels import Given, with_labels
from videohub.registry.schema import Record

Progress: TypeAlias = Callable[[str, int, int], None]  # what is being done, how much of it is done, of how much

TIMEOUT_S = 30.0  # for one file
TIMEOUT_DEEP_S = 600.0  # for one file of which everything is decoded
_SAVE_EVERY_S = 60.0


def check(
    record: str | Record,
    data: str | Path,
    *,
    root: str | Path | None = None,
    labels: Given | None = None,
    deep: bool = False,
    workers: int | None = None,
    index: str | Path | None = None,
    timeout_s: float | None = None,
    progress: Progress | None = None,
) -> Check:
    """Find out whether a data set is there and is what a record's protocol needs, before any model runs.

    Args:
        record: A record, its id or its upstream name.
        data: Folder of the data set, or one of its lists.
        root: Folder that the paths of the lists start from; None: where that data set's releases have them.
        labels: What the network's outputs are called; None: as the record says.
        deep: Decode everything, which takes as long as a test without a model, instead of headers and first pictures.
        workers: Processes that look at files; None: one for each core, at least 2.
        index: File to remember looks in, and to take earlier ones from; None: nothing is remembered.
            `index_beside(data)` is a good place.
        timeout_s: Seconds for one file, after which it counts as unreadable; None: 30, or 600 where all is decoded.
        progress: Is told how far it has got.
    Raises: UsageError and DataError if the lists cannot be read; DeviceError if no process can be started.
    """
    from videohub.data import sets

    found = with_labels(registry.record(record), labels)
    began = time.monotonic()
    samples = sets.read(Path(data), root=Path(root) if root else None, record=found)
    answer = check_samples(
        found, samples, data=str(data), root=str(root) if root else None, deep=deep, workers=workers,
        index=Path(index) if index else None, timeout_s=timeout_s, progress=progress,
    )  # fmt: skip
    return msgspec.structs.replace(answer, took_s=round(time.monotonic() - began, 3))


def index_beside(data: str | Path) -> Path:
    """Return where the index of a data set belongs: a hidden file in its folder, or beside its list."""
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
    timeout_s: float | None = None,
    progress: Progress | None = None,
) -> Check:
    """Check samples whose lists have been read; arguments and errors as in `check`."""
    began = time.monotonic()
    told = progress or (lambda what, done, of: None)
    samples, wanted, known = data_set.samples, expected(record), Index(index)
    wanted_files = targets(samples, deep=deep)
    timeout_s = timeout_s or (TIMEOUT_DEEP_S if deep else TIMEOUT_S)
    seen, looked_at = _look(wanted_files, known, workers or max(2, _cores()), timeout_s, told)
    told("comparing files", 0, 1)
    groups = copies([one.target for one in seen if one.probe and not one.probe.problem], known)
    known.save()
    told("comparing files", 1, 1)

    @functools.cache
    def names() -> tuple[str, ...]:
        from videohub.data.labels import class_names

        try:
            return class_names(record.labels)
        except UsageError:  # a user's own record may have labels that nobody has named
            return ()

    classes, folders, ava = count_classes(data_set, wanted.classes), compare_folders(samples, names), moments(data_set)
    absent = [samples[number] for one in seen if one.target.missing for number in one.target.samples]
    start = Path(root) if root else folder_of(Path(data))
    missing = len(absent)
    unreadable = _samples_of(
        one
        for one in seen
        if one.probe and (one.probe.problem or one.probe.damage or refused(one.probe, record.protocol))
    )
    usable = len(samples) - missing - unreadable
    averaged = metrics.of(record.protocol.metric).over_classes
    findings = [
        *_judge_counts(len(samples), usable, wanted),
        *judge_folders(folders, samples, names),
        *judge_moments(ava, data_set, wanted),
        *judge_files(seen, groups, samples, wanted, record.protocol),
        *judge_classes(classes, len(samples), averaged=averaged),
    ]
    answer, reasons = verdict(findings, len(samples))
    good = [one.probe for one in seen if one.probe and not one.probe.problem]
    return Check(
        record=record.name,
        upstream_name=record.upstream_name,
        data=data,
        root=root,
        data_sha256=data_set.digest(),
        expected=wanted,
        listed=len(samples),
        found=len(samples) - missing,
        missing=missing,
        unreadable=unreadable,
        usable=usable,
        short_sides=spread([probe.short_side for probe in good]),
        seconds=spread([probe.seconds for probe in good if probe.seconds]),
        frame_rates=dict(Counter(f"{round(probe.fps, 2):g}" for probe in good if probe.fps).most_common()),
        portrait=sum(probe.height > probe.width for probe in good) / len(good) if good else 0.0,
        classes=classes,
        folders=folders,
        moments=ava,
        findings=findings,
        verdict=answer,
        reasons=reasons,
        notes=[*data_set.notes, *missing_files(absent, start), *([known.trouble] if known.trouble else [])],
        deep=deep,
        looked_at=looked_at,
        remembered=sum(one.probe is not None for one in seen) - looked_at,
        index=str(index) if index and not known.trouble else None,
        took_s=round(time.monotonic() - began, 3),
    )


def _look(
    wanted: Sequence[Target], known: Index, workers: int, timeout_s: float, told: Progress
) -> tuple[list[Seen], int]:
    """Look at every file that is there and not known, remember it, and return all; and at how many it had to look."""
    looks = {target.key: known.probe(target) for target in wanted if not target.missing}
    unknown = [target for target in wanted if not target.missing and looks[target.key] is None]
    done, saved = len(looks) - len(unknown), time.monotonic()
    told("looking at files", done, len(looks))
    try:
        jobs = [target.job for target in unknown]
        with closing(processes.probes(jobs, workers=workers, timeout_s=timeout_s)) as answers:
            for target, probe in zip(unknown, answers, strict=True):
                looks[target.key] = probe
                known.keep(target, probe=probe)
                done += 1
                told("looking at files", done, len(looks))
                if time.monotonic() - saved > _SAVE_EVERY_S:
                    known.save()
                    saved = time.monotonic()
    finally:  # an interrupted check goes on where it was
        known.save()
    return [Seen(target, looks.get(target.key)) for target in wanted], len(unknown)


def _judge_counts(listed: int, usable: int, wanted: Expected) -> Iterator[Finding]:
    """Compare the number of samples with the reference's, and with what is left of them."""
    if 2 * usable < listed:
        text = f"only {usable:,} of {counted(listed, 'listed sample')} can be scored"
        yield Finding("too few", listed - usable, text, grave=True, samples={})
    if wanted.samples is not None and listed != wanted.samples:
        text = f"{counted(listed, 'sample')} listed, {wanted.samples:,} in the reference ({wanted.source})"
        yield Finding("reference count", abs(listed - wanted.samples), text, grave=False, samples={})


def _samples_of(seen: Iterator[Seen]) -> int:
    """Count the samples that need some files."""
    return sum(len(one.target.samples) for one in seen)


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

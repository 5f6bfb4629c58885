"""Recompute the published numbers of records on one's own data, and say whether they hold."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from videohub import registry, runs
from videohub.errors import UsageError
from videohub.evaluation import distributed
from videohub.registry.labels import mapped, read_map, refuse_unpublished
from videohub.registry.schema import Record
from videohub.reporting import pages
from videohub.reporting.report import Evaluated, Report
from videohub.verification.results import build, evaluated
from videohub.verification.runner import Target, measure, target_of
from videohub.verification.settings import (
    OfOne,
    OfSeveral,
    Settings,
    called_with,
    refuse_other_classes,
    refuse_unverifiable,
)

__all__ = ["evaluate", "report", "score", "verify", "verify_together"]


@called_with(OfOne)
def verify(call: OfOne) -> Report:
    """Score every listed video as the record's protocol says and compare the number with the published one.

    The scores of every view are kept in `out` as they are made. The same call goes on where an interrupted one ended;
    several processes, under torchrun or each with its `shard`, share the work through that folder. Under torchrun all
    wait for the last one, and the first writes the report.

    Args:
        name: A record, its id or its upstream name.
        data: The data set's list, or the folder of its lists; or tars that hold the videos, `val-{000..063}.tar` or
            their URLs. See `videohub.data.sets`.
        root: Folder that the lists' paths start from; None: where that data set's releases have them.
        list_file: The list whose videos lie in the tars; None: their labels do, too, as in WebDataset's.
        checkpoint: A local copy of the published file, instead of the record's URL.
        labels: What the outputs are called, for lists and folders that name classes; None: as the record says.
        label_map: A file that says which outputs are the classes of the data: see `videohub.registry.labels`. Of
            a head of Kinetics-710, those of Kinetics-400, say; they are picked before the softmax, as by publishers.
        device: Where the model runs; under torchrun "cuda" is each process's own GPU.
        clips: Clips a video; None: the protocol's. Another number than the protocol's gives no verdict.
        crops: Crops a clip, likewise.
        out: Folder of the run: its scores, its report and `verification.json`. None: nothing is kept, which torchrun's
            processes cannot do, since they meet there.
        shard: `i/n`: evaluate only this part. The report then tells what is still pending.
        sample: Evaluate so many videos, drawn so that each class keeps its share.
        until_decided: Stop once the verdict on the whole list is settled at this level, such as 0.95: videos are
            taken in random order, and the answer holds however often one looks.
        seed: Of that draw or order.
        precision: "fp32", "tf32", "bf16", "fp16", or "auto": what the device does best, if it agrees with fp32.
        decoder: "fast", or "exact", which makes the same pixels in the plainest way.
        workers: Processes that decode, 0 for none but this one; None: what the device can use.
        batch: Views that go through the model together; None: what the device's memory holds.
        retry_failed: Try again what an earlier call could not decode.
    Raises: UsageError if the record cannot be verified, or `out` holds another run; DataError if no listed video can
        be scored; DeviceError where a reduced precision disagrees with fp32; and what `load` raises.
    """
    with _run_folder(call.out) as folder:
        return _verified([call.name], call.data, call, [folder])[0]


@called_with(OfSeveral)
def verify_together(call: OfSeveral) -> list[Report]:
    """Verify several records that are tested on the same frames, with one pass over the videos; see `verify`.

    Each record has a run of its own, the same as if it were verified alone. It can be gone on with alone, or together
    with others.

    Args:
        names: Records, their ids or upstream names.
        data: As for `verify`.
        out: Folder of the runs, each in a folder with the record's name. None: nothing is kept.
        labels: What the outputs of all of them are called; None: as the records say.
        The others are those of `verify`, for all records alike; a `checkpoint` is for one record alone.
    Returns: a report for each record, in their order.
    Raises: UsageError if the records are not tested on the same frames of the same lists; and what `verify` raises.
    """
    records = [registry.record(name) for name in call.names]
    with _run_folder(call.out) as folder:
        return _verified(records, call.data, call, [folder / record.folder_name for record in records])


@called_with(OfOne)
def evaluate(call: OfOne) -> Evaluated:
    """Score every listed video as the record's protocol says, and return what that comes to.

    It is what `verify` does, without a published number and without a verdict: for networks of one's own, too. Runs are
    kept and gone on with in the same way, and `verify` can judge one later.

    Args:
        name: A record, its id or its upstream name.
        data: The data set's list, or the folder of its lists.
        checkpoint: A file of one's own instead of the record's URL, whose number of classes it may have; see `load`.
        labels: What the outputs are called; None: as the file or the record says.
        out: Folder of the run; None: nothing is kept.
        The others are those of `verify`, but `until_decided`, which follows a published number.
    Raises: what `verify` raises, but for a record without a published number.
    """
    if call.until_decided is not None:
        raise UsageError("until_decided: follows a published number; call verify, or leave it out")
    record = registry.record(call.name)
    with _run_folder(call.out) as folder:
        target = target_of(record, folder, call, read_map(call.label_map))
        measure([target], call.data, call)
        distributed.barrier()
        return evaluated(runs.join([folder]), target.record)


def report(
    folders: Sequence[str | Path], *, out: str | Path | None = None, record: str | Record | None = None
) -> Report:
    """Join the scores that runs or shards of one run have kept, and return what follows from them; no model is needed.

    Args:
        folders: Folders that `verify` was given as `out`.
        out: Where to write the report and `verification.json`; None: nowhere.
        record: What was verified; None: the record that the run names.
    Raises: UsageError if the folders do not belong to one run; DataError if they are damaged, or nothing was scored.
    """
    joined = runs.join(folders)
    of = registry.record(record if record is not None else joined.identity.record)
    if (used := joined.identity.label_map) is not None and of.num_classes == used.outputs:
        refuse_unpublished(of, used.classes)
        of = mapped(of, used.classes)
    made = build(joined, of)
    if out is not None:
        pages.write(made, Path(out))
    return made


def score(
    names: Sequence[str | Record],
    folders: Sequence[Path],
    data: str | Path,
    settings: Settings,
    *,
    on_start: Callable[[], None] = lambda: None,
) -> list[Target]:
    """Score what is missing in the runs of records whose published numbers are to be compared; wait for all processes.

    Args:
        folders: Of their runs.
        settings: But for `out`, for all of them alike.
        on_start: Called once scores are about to be kept: everything that could be refused was not.
    Returns: the records, with the classes of a file of one's own, in their order.
    Raises: what `verify_together` raises.
    """
    if settings.checkpoint is not None and len(names) > 1:
        raise UsageError(
            f"checkpoint is one file, and {len(names)} records were named; verify its record alone, or let "
            "VIDEOHUB_MIRRORS name a folder that holds the files of all"
        )
    targets, outputs = [], read_map(settings.label_map)
    for name, folder in zip(names, folders, strict=True):
        record = registry.record(name)
        if outputs is None:
            refuse_unverifiable(record)  # before anything is fetched
        else:
            refuse_unpublished(record, len(outputs))
        target = target_of(record, folder, settings, outputs)
        refuse_other_classes(record, target.of_file or target.record, settings.checkpoint)
        targets.append(target)
    measure(targets, data, settings, on_start=on_start)
    distributed.barrier()
    return targets


def _verified(
    names: Sequence[str | Record], data: str | Path, settings: Settings, folders: Sequence[Path]
) -> list[Report]:
    """Score and judge records; where runs are kept, one process writes their reports beside them."""
    write = settings.out is not None and distributed.is_rank_zero()
    targets = score(names, folders, data, settings)
    return [report([each.out], out=each.out if write else None, record=each.record) for each in targets]


@contextmanager
def _run_folder(out: str | Path | None) -> Iterator[Path]:
    """Yield a folder to keep runs in, or one that is gone afterwards."""
    if out is not None:
        yield Path(out)
        return
    if distributed.under_torchrun():
        raise UsageError("out: found none under torchrun, expected a folder, through which its processes share the run")
    with tempfile.TemporaryDirectory(prefix="videohub-") as folder:
        yield Path(folder)

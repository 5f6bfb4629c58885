"""Recompute the published numbers of records on one's own data, and say whether they hold."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videohub import registry, runs
from videohub.data.forms import Decoder
from videohub.errors import UsageError
from videohub.registry.labels import Given
from videohub.registry.schema import Record
from videohub.reporting import pages
from videohub.reporting.building import build
from videohub.reporting.refusals import refuse_unverifiable
from videohub.reporting.report import Report
from videohub.verification import sharding
from videohub.verification.measuring import Target, measure, target_of
from videohub.verification.settings import Settings

if TYPE_CHECKING:
    import torch


def verify(
    name: str | Record,
    data: str | Path,
    *,
    root: str | Path | None = None,
    checkpoint: str | Path | None = None,
    labels: Given | None = None,
    device: str | torch.device = "cpu",
    clips: int | None = None,
    crops: int | None = None,
    out: str | Path | None = None,
    shard: str | None = None,
    sample: int | None = None,
    until_decided: float | None = None,
    seed: int = 0,
    precision: str = "auto",
    decoder: Decoder = "fast",
    workers: int | None = None,
    batch: int | None = None,
    retry_failed: bool = False,
) -> Report:
    """Score every listed video as the record's protocol says and compare the number with the published one.

    The scores of every view are kept in `out` as they are made. The same call goes on where an interrupted one ended;
    several processes, under torchrun or each with its `shard`, share the work through that folder. Under torchrun all
    wait for the last one, and the first writes the report.

    Args:
        name: A record, its id or its upstream name.
        data: The data set's list, or the folder of its lists; see `videohub.data.sets`.
        root: Folder that the lists' paths start from; None: where that data set's releases have them.
        checkpoint: A local copy of the published file, instead of the record's URL.
        labels: What the outputs are called, for lists and folders that name classes; None: as the record says.
        device: Where the model runs; under torchrun "cuda" is each process's own GPU.
        clips: Clips a video; None: the protocol's. Another number than the protocol's gives no verdict.
        crops: Crops a clip, likewise.
        out: Folder of the run: its scores, `report.json`, `report.md`, `report.html`. None: nothing is kept, which
            torchrun's processes cannot do, since they meet there.
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
    settings = Settings(root=root, device=device, clips=clips, crops=crops, shard=shard, sample=sample,
                        until_decided=until_decided, seed=seed, precision=precision, decoder=decoder, workers=workers,
                        batch=batch, retry_failed=retry_failed)  # fmt: skip
    with run_folder(out) as folder:
        wanted = target(registry.record(name), folder, checkpoint=checkpoint, labels=labels)
        return _verified([wanted], data, settings, keep=out is not None)[0]


def verify_together(
    names: Sequence[str | Record],
    data: str | Path,
    *,
    out: str | Path | None = None,
    labels: Given | None = None,
    **settings: Any,
) -> list[Report]:
    """Verify several records that are tested on the same frames, with one pass over the videos; see `verify`.

    Each record has a run of its own, the same as if it were verified alone. It can be gone on with alone, or together
    with others.

    Args:
        names: Records, their ids or upstream names.
        data: As for `verify`.
        out: Folder of the runs, each in a folder with the record's name. None: nothing is kept.
        labels: What the outputs of all of them are called; None: as the records say.
        settings: The other arguments of `verify`, for all records alike; but no `checkpoint`, which is one record's.
    Returns: a report for each record, in their order.
    Raises: UsageError if the records are not tested on the same frames of the same lists; and what `verify` raises.
    """
    with run_folder(out) as folder:
        return _verified(targets(names, folder, labels=labels), data, Settings(**settings), keep=out is not None)


def target(record: Record, out: Path, *, checkpoint: str | Path | None, labels: Given | None) -> Target:
    """Return a record whose published number is to be compared; refuse a file with other classes than it was of.

    Raises: UsageError; and what `target_of` raises.
    """
    refuse_unverifiable(record)  # before anything is fetched
    found = target_of(record, out, checkpoint=checkpoint, labels=labels)
    if found.record.model.num_classes != record.model.num_classes:
        raise UsageError(
            f"{record.name}: {checkpoint} has {found.record.model.num_classes} classes, and {record.published} was "
            f"published of {record.model.num_classes}, so there is nothing to verify.\n"
            f"  `videohub benchmark {record.name} --data … --checkpoint …` gives its numbers without a verdict."
        )
    return found


def targets(names: Sequence[str | Record], folder: Path, *, labels: Given | None = None) -> list[Target]:
    """Return records that are verified together, each with a folder of its own below `folder`."""
    records = [registry.record(name) for name in names]
    return [target(record, folder / record.name, checkpoint=None, labels=labels) for record in records]


def _verified(wanted: Sequence[Target], data: str | Path, settings: Settings, *, keep: bool) -> list[Report]:
    measure(wanted, data, settings)
    sharding.wait_for_all()
    write = keep and sharding.speaks()
    return [report([each.out], out=each.out if write else None, record=each.record) for each in wanted]


def report(
    folders: Sequence[str | Path], *, out: str | Path | None = None, record: str | Record | None = None
) -> Report:
    """Join the scores that runs or shards of one run have kept, and return what follows from them; no model is needed.

    Args:
        folders: Folders that `verify` was given as `out`.
        out: Where to write `report.json`, `report.md` and `report.html`; None: nowhere.
        record: What was verified; None: the record that the run names.
    Raises: UsageError if the folders do not belong to one run; DataError if they are damaged, or nothing was scored.
    """
    joined = runs.join(folders)
    made = build(joined, registry.record(record if record is not None else joined.identity.record))
    if out is not None:
        pages.write(made, Path(out))
    return made


@contextmanager
def run_folder(out: str | Path | None) -> Iterator[Path]:
    """Yield a folder to keep runs in, or one that is gone afterwards."""
    if out is not None:
        yield Path(out)
        return
    if sharding.launched():
        raise UsageError("out: found none under torchrun, expected a folder, through which its processes share the run")
    with tempfile.TemporaryDirectory(prefix="videohub-") as folder:
        yield Path(folder)

"""The verbs that measure: verify, report, compare, and data check."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from videohub.cli import completion
from videohub.cli.options import (
    PRECISIONS,
    print_json,
    with_checkpoint,
    with_decoder,
    with_device,
    with_json,
    with_labels,
    with_root,
    with_sample,
    with_seed,
    with_workers,
)
from videohub.terminal.layout import say

if TYPE_CHECKING:
    from videohub.reporting.report import Report

_VERDICTS = {"consistent": 0, "inconsistent": 1, "insufficient data": 3}
_WORST_FIRST = ("inconsistent", "insufficient data")

_with_data = click.option(
    "--data", required=True, type=click.Path(path_type=Path), help="The data set's list, or the folder of its lists."
)


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=completion.record)
@_with_data
@with_root
@with_checkpoint
@with_labels
@with_device
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder of the run; of several records, the folder of their folders.  [default: runs/RECORD]",
)
@click.option("--clips", type=int, help="Clips a video; another number than the protocol's gives no verdict.")
@click.option("--crops", type=int, help="Crops a clip: 1 or 3; likewise.")
@with_sample
@click.option("--until-decided", type=float, metavar="LEVEL", help="Stop once the verdict is settled, such as 0.95.")
@with_seed
@click.option("--shard", metavar="I/N", help="Evaluate only this part; `videohub report` joins them.")
@click.option("--precision", default="auto", show_default=True, type=click.Choice(PRECISIONS))
@with_decoder
@with_workers
@click.option("--batch", type=click.IntRange(min=1), help="Views at once.  [default: what the memory holds]")
@click.option("--retry-failed", is_flag=True, help="Try again what could not be decoded before.")
@with_json
def verify(
    names: tuple[str, ...],
    data: Path,
    checkpoint: Path | None,
    labels: str | None,
    out: Path | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Recompute the published number of a record on one's own data, and say whether it holds.

    Several records that are tested on the same frames share one pass over the videos; each has a run and a report of
    its own, as if it were verified alone.

    The same command goes on where an interrupted one ended. Exit code: 0 consistent, 1 inconsistent, 3 insufficient
    data; of several records 1 if one is inconsistent, else 3 if the data of one are insufficient. Under torchrun it is
    0 once all is scored; `videohub report` then gives the verdict's.
    """
    from videohub import registry
    from videohub.verification import sharding
    from videohub.verification.measuring import measure
    from videohub.verification.settings import Settings
    from videohub.verification.verifying import target, targets

    if len(names) == 1:
        record = registry.record(names[0])
        wanted = [target(record, out or Path("runs") / record.name, checkpoint=checkpoint, labels=labels)]
    elif checkpoint is not None:
        raise click.UsageError(
            f"--checkpoint is one file, and {len(names)} records were named; verify its record alone, or let "
            "VIDEOHUB_MIRRORS name a folder that holds the files of all"
        )
    else:
        wanted = targets(names, out or Path("runs"), labels=labels)
    folders = ", ".join(str(each.out) for each in wanted)

    def tell() -> None:
        if sharding.speaks():
            say(f"keeping the scores in {folders}; after an interruption the same command goes on", err=True)

    measure(wanted, data, Settings(**settings), on_start=tell)
    sharding.wait_for_all()
    if not sharding.speaks():
        return
    verdicts = _reports([each.out for each in wanted], as_json)
    if not sharding.launched():
        sys.exit(next((_VERDICTS[worst] for worst in _WORST_FIRST if worst in verdicts), 0))


@click.command()
@click.argument("folders", nargs=-1, required=True, metavar="DIR...", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Where to write the report.  [default: the first DIR]")
@click.option("--card", type=click.Path(path_type=Path), help="Also write a model card for the Hugging Face hub there.")
@click.option(
    "--benchmark",
    nargs=2,
    metavar="DATASET TASK",
    help="With --card: the hub's benchmark that the number belongs to; writes it below .eval_results, too.",
)
@with_json
def report(
    folders: tuple[Path, ...], out: Path | None, card: Path | None, benchmark: tuple[str, str] | None, as_json: bool
) -> None:
    """Join the runs or shards in DIR..., and give their number and verdict again, without a model.

    Writes report.json, report.md and report.html. Exit codes are those of verify.
    """
    if benchmark is not None and card is None:
        raise click.UsageError("--benchmark: found no --card, expected the folder of the card that it belongs to")
    sys.exit(_VERDICTS[_report(folders, out or folders[0], as_json, card=card, benchmark=benchmark)])


@click.command()
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@with_json
def compare(a: Path, b: Path, as_json: bool) -> None:
    """Compare two runs on the same videos, A and B: the difference, its interval, and a McNemar test."""
    from videohub.reporting.comparison import compare as run
    from videohub.terminal.measuring import print_paired

    paired = run(a, b)
    if as_json:
        print_json(paired)
    else:
        print_paired(paired)


@click.group()
def data() -> None:
    """Look at a data set before any model time is spent on it."""


@data.command()
@click.argument("name", shell_complete=completion.record)
@_with_data
@with_root
@with_labels
@click.option("--deep", is_flag=True, help="Also decode every video to its end.")
@with_json
def check(name: str, data: Path, root: Path | None, labels: str | None, deep: bool, as_json: bool) -> None:
    """Compare DATA with what the protocol of a record expects: missing, broken, short, oddly sized, misnumbered videos.

    Exit code: 0 usable, 3 not usable.
    """
    from videohub import preflight
    from videohub.cli.options import told_progress
    from videohub.terminal.measuring import print_check

    with told_progress() as progress:
        found = preflight.check(name, data, root=root, labels=labels, deep=deep, index=preflight.index_beside(data),
                                progress=progress)  # fmt: skip
    if as_json:
        print_json(found)
    else:
        print_check(found)
    sys.exit(3 if found.verdict == "not usable" else 0)


def _report(
    folders: Any, out: Path, as_json: bool, *, card: Path | None = None, benchmark: tuple[str, str] | None = None
) -> str:
    """Make, print and write the report of a run, and return its verdict; what is printed needs no room on the disk."""
    from videohub.reporting import writing
    from videohub.verification.verifying import report as run

    made: Report = run(folders)
    if as_json:
        print_json(made)
    else:
        from videohub.terminal.measuring import print_report

        print_report(made)
    writing.write(made, out)
    if not as_json:
        from videohub.terminal.measuring import print_written

        print_written([out])
    if card is not None:
        from videohub.reporting import cards

        cards.write(made, card, benchmark=benchmark)
    return made.verdict


def _reports(folders: Sequence[Path], as_json: bool) -> list[str]:
    """Make, print and write the reports of runs that were made together, and return their verdicts."""
    if len(folders) == 1:
        return [_report(folders, folders[0], as_json)]
    from videohub.reporting import writing
    from videohub.terminal.measuring import print_reports, print_written
    from videohub.verification.verifying import report as run

    made = [run([folder]) for folder in folders]
    if as_json:
        print_json(made)
    else:
        print_reports(made)
    for report, folder in zip(made, folders, strict=True):
        writing.write(report, folder)
    if not as_json:
        print_written(folders)
    return [each.verdict for each in made]

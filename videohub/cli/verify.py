"""The verb verify: recompute a published number and say whether it holds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from videohub.terminal import completion
from videohub.terminal.layout import say
from videohub.terminal.options import (
    PRECISIONS,
    with_checkpoint,
    with_data,
    with_decoder,
    with_device,
    with_json,
    with_labels,
    with_root,
    with_sample,
    with_seed,
    with_workers,
)
from videohub.terminal.reports import VERDICTS, print_and_write_each

_WORST_FIRST = ("inconsistent", "insufficient data")


@click.command("verify")
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=completion.record)
@with_data
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
def command(
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
    verdicts = print_and_write_each([each.out for each in wanted], as_json)
    if not sharding.launched():
        sys.exit(next((VERDICTS[worst] for worst in _WORST_FIRST if worst in verdicts), 0))

"""The verb verify: recompute a published number and say whether it holds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from videohub.terminal import options
from videohub.terminal.layout import say
from videohub.terminal.reports import VERDICTS, print_and_write

_WORST_FIRST = ("inconsistent", "insufficient data")


@click.command("verify")
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=options.complete_record)
@options.with_data
@options.with_run_options
@click.option(
    "--out",
    type=options.PATH,
    help="Folder of the run; of several records, the folder of their folders.  [default: runs/RECORD]",
)
@options.with_json
def command(names: tuple[str, ...], data: str, out: Path | None, as_json: bool, **chosen: Any) -> None:
    """Recompute a record's published number on your own data.

    It says whether that number holds. Several records that are tested on the same frames share one pass over the
    videos; each has a run and a report of its own, as if it were verified alone.

    The same command goes on where an interrupted one ended. Exit code: 0 consistent, 1 inconsistent, 3 insufficient
    data; of several records 1 if one is inconsistent, else 3 if the data of one are insufficient. Under torchrun it is
    0 once all is scored; `videohub report` then gives the verdict's.
    """
    from videohub import registry
    from videohub.evaluation import distributed
    from videohub.verification import report, score
    from videohub.verification.settings import Settings

    records, runs = [registry.record(name) for name in names], out or Path("runs")
    folders = [out] if out is not None and len(names) == 1 else [runs / record.folder_name for record in records]

    def tell() -> None:
        if distributed.is_rank_zero():
            kept = ", ".join(map(str, folders))
            say(f"keeping the scores in {kept}; after an interruption the same command goes on", err=True)

    score(records, folders, data, Settings(**chosen), on_start=tell)
    if not distributed.is_rank_zero():
        return
    reports = [report([folder]) for folder in folders]
    print_and_write(reports, folders, as_json)
    verdicts = {each.verdict for each in reports}
    if not distributed.under_torchrun():
        sys.exit(next((VERDICTS[worst] for worst in _WORST_FIRST if worst in verdicts), 0))

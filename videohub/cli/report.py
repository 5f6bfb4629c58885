"""The verb report: number and verdict of runs that were kept."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from videohub.terminal.options import with_json
from videohub.terminal.reports import VERDICTS, print_and_write


@click.command("report")
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
def command(
    folders: tuple[Path, ...], out: Path | None, card: Path | None, benchmark: tuple[str, str] | None, as_json: bool
) -> None:
    """Join runs or shards in DIR..., and give their verdict again.

    No model is needed. Writes report.json, report.md and report.html. Exit codes are those of verify.
    """
    if benchmark is not None and card is None:
        raise click.UsageError("--benchmark: found no --card, expected the folder of the card that it belongs to")
    from videohub import verification

    report = verification.report(folders)
    print_and_write([report], [out or folders[0]], as_json)
    if card is not None:
        from videohub.reporting import cards

        cards.write(report, card, benchmark=benchmark)
    sys.exit(VERDICTS[report.verdict])

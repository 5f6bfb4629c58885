"""The verb report: number and verdict of runs that were kept, to be read, cited and checked."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from videohub.terminal.options import print_result, with_json
from videohub.terminal.reports import VERDICTS, print_and_write, print_replayed


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
@click.option(
    "--replay",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Compare a verification.json with what the scores come to, and write nothing.",
)
@with_json
def command(
    folders: tuple[Path, ...],
    out: Path | None,
    card: Path | None,
    benchmark: tuple[str, str] | None,
    replay: Path | None,
    as_json: bool,
) -> None:
    """Join runs or shards in DIR..., and give their verdict again.

    No model is needed. Writes report.json, report.md, report.html, and verification.json, by which the number can be
    cited. Exit codes are those of verify; with --replay 0 if the scores bear out every field of FILE, else 1.
    """
    if benchmark is not None and card is None:
        raise click.UsageError("--benchmark: found no --card, expected the folder of the card that it belongs to")
    if replay is not None and (out is not None or card is not None):
        raise click.UsageError("--replay: writes nothing, so it goes with neither --out nor --card")
    from videohub import verification

    report = verification.report(folders)
    if replay is not None:
        from videohub.reporting import verification_file

        replayed = verification_file.replay(replay, report)
        print_result(replayed, as_json, print_replayed)
        sys.exit(1 if replayed.differences else 0)
    print_and_write([report], [out or folders[0]], as_json)
    if card is not None:
        from videohub.reporting import cards

        cards.write(report, card, benchmark=benchmark)
    sys.exit(VERDICTS[report.verdict])

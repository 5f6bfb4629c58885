"""The verb report: number and verdict of runs that were kept, to be read, cited and checked."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from videohub.terminal import options
from videohub.terminal.reports import VERDICTS, print_and_write, print_replayed, print_sent


@click.command("report")
@click.argument("folders", nargs=-1, required=True, metavar="DIR...", type=options.PATH)
@click.option("--out", type=options.PATH, help="Where to write the report.  [default: the first DIR]")
@click.option("--card", type=options.PATH, help="Also write a model card for the Hugging Face hub there.")
@click.option(
    "--benchmark",
    nargs=2,
    metavar="DATASET TASK",
    help="With --card or --push: the hub's benchmark that the number belongs to; writes it below .eval_results, too.",
)
@click.option(
    "--push",
    metavar="ORG/REPO",
    help="Send the card and verification.json to a repository of the Hugging Face hub, in one commit.",
)
@options.with_push_options
@click.option(
    "--replay",
    type=options.PATH,
    metavar="FILE",
    help="Compare a verification.json with what the scores come to, and write nothing.",
)
@options.with_json
def command(
    folders: tuple[Path, ...],
    out: Path | None,
    card: Path | None,
    benchmark: tuple[str, str] | None,
    push: str | None,
    revision: str,
    pull_request: bool,
    dry_run: bool,
    replay: Path | None,
    as_json: bool,
) -> None:
    """Join runs or shards in DIR..., and give their verdict again.

    No model is needed. Writes report.json, report.md, report.html, and verification.json, by which the number can be
    cited. Exit codes are those of verify; with --replay 0 if the scores bear out every field of FILE, else 1.

    --push keeps the text of a card that is there, and other people's numbers in its head. With --json it prints what
    was sent, and the report is in report.json.
    """
    if benchmark is not None and card is None and push is None:
        raise click.UsageError("--benchmark: found neither --card nor --push, expected the card that it belongs to")
    if replay is not None and (out is not None or card is not None or push is not None):
        raise click.UsageError("--replay: writes nothing, so it goes with none of --out, --card and --push")
    if push is None and (dry_run or pull_request):
        raise click.UsageError("--dry-run, --pr: found no --push, expected the repository")
    from videohub import verification
    from videohub.reporting import pages

    report = verification.report(folders)
    if replay is not None:
        from videohub.reporting import verification_file

        replayed = verification_file.replay(replay, report)
        options.print_result(replayed, as_json, print_replayed)
        sys.exit(1 if replayed.differences else 0)
    if as_json and push is not None:
        pages.write(report, out or folders[0])
    else:
        print_and_write([report], [out or folders[0]], as_json)
    if card is not None:
        from videohub.reporting import cards

        cards.write(report, card, benchmark=benchmark)
    if push is not None:
        from videohub.publishing import reports

        sent = reports.push(
            report, push, revision=revision, benchmark=benchmark, pull_request=pull_request, dry_run=dry_run
        )
        options.print_result(sent, as_json, print_sent)
    sys.exit(VERDICTS[report.verdict])

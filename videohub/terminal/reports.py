"""Reports printed and written: what verify and report do at their end, and what the verdict means for a shell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from videohub.terminal.options import print_json

if TYPE_CHECKING:
    from videohub.reporting.report import Report

VERDICTS = {"consistent": 0, "inconsistent": 1, "insufficient data": 3}  # exit codes


def print_and_write(
    folders: Sequence[Path],
    out: Path,
    as_json: bool,
    *,
    card: Path | None = None,
    benchmark: tuple[str, str] | None = None,
) -> str:
    """Make, print and write the report of a run, and return its verdict; what is printed needs no room on the disk."""
    from videohub.reporting import pages
    from videohub.verification.verifying import report as run

    made: Report = run(folders)
    if as_json:
        print_json(made)
    else:
        from videohub.terminal.measuring import print_report

        print_report(made)
    pages.write(made, out)
    if not as_json:
        from videohub.terminal.measuring import print_written

        print_written([out])
    if card is not None:
        from videohub.reporting import cards

        cards.write(made, card, benchmark=benchmark)
    return made.verdict


def print_and_write_each(folders: Sequence[Path], as_json: bool) -> list[str]:
    """Make, print and write the reports of runs that were made together, and return their verdicts."""
    if len(folders) == 1:
        return [print_and_write(folders, folders[0], as_json)]
    from videohub.reporting import pages
    from videohub.terminal.measuring import print_reports, print_written
    from videohub.verification.verifying import report as run

    made = [run([folder]) for folder in folders]
    if as_json:
        print_json(made)
    else:
        print_reports(made)
    for report, folder in zip(made, folders, strict=True):
        pages.write(report, folder)
    if not as_json:
        print_written(folders)
    return [each.verdict for each in made]

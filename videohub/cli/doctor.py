"""The verb doctor: whether this machine can do what videohub needs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from videohub.terminal import options
from videohub.terminal.layout import console, styled, table

if TYPE_CHECKING:
    from videohub.diagnosis import Diagnosis

_STYLES = {"ok": "green", "note": "yellow", "missing": "red"}


@click.command("doctor")
@options.with_json
def command(as_json: bool) -> None:
    """Look at this machine, and tell whether videohub can run here.

    It looks at versions, devices, a clip decoded, the cache, registry files and the way to the network. Nothing is
    downloaded. Exit code: 0 able, 5 if something that is needed is missing.
    """
    from videohub.diagnosis import diagnose

    diagnosis = diagnose()
    if as_json:
        options.print_json({"able": diagnosis.is_able, "findings": diagnosis.findings})
    else:
        _print(diagnosis)
    sys.exit(0 if diagnosis.is_able else 5)


def _print(diagnosis: Diagnosis) -> None:
    screen, rows = console(), table(header=False)
    rows.add_column(no_wrap=True, style="bold")
    rows.add_column(overflow="fold")
    rows.add_column(no_wrap=True)
    rows.add_column(overflow="fold")
    about = ""
    for finding in diagnosis.findings:
        heading = finding.about if finding.about != about else ""
        about = finding.about
        rows.add_row(heading, finding.name, styled(finding.state, _STYLES[finding.state]), finding.detail)
        if finding.advice:
            rows.add_row("", "", "", styled(finding.advice, _STYLES[finding.state], overflow="fold"))
    screen.print(rows)
    lacking = sum(finding.state == "missing" for finding in diagnosis.findings)
    if lacking:
        screen.print(f"{lacking} of what is needed {'is' if lacking == 1 else 'are'} missing", style="red")
    else:
        screen.print("able to run videohub", style="green")

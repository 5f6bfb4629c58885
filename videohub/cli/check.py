"""The verb check: what is publicly known of a file's outputs, computed again."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from videohub import registry
from videohub.errors import UsageError
from videohub.terminal import options
from videohub.terminal.layout import console, facts, indented, styled
from videohub.terminal.reports import print_patch

if TYPE_CHECKING:
    from videohub.known_answers import Checked

_EXIT_CODES = {"holds": 0, "fails": 1, "nothing known": 3}
_STYLES = {"holds": "green", "fails": "red", "nothing known": "yellow"}
_SHOWN = 3  # slips, the nearest first; --json has all


@click.command("check")
@options.with_name
@options.with_checkpoint
@click.option(
    "--pin", is_flag=True, help="Print a patch that writes a fingerprint of the published file into its record."
)
@options.with_json
def command(name: str, checkpoint: Path | None, pin: bool, as_json: bool) -> None:
    """Compute again what is publicly known of a file's outputs.

    That takes seconds and no data set. Exit code 0: all of it comes out; 1: it does not, and the likelier cause is
    named: weights, arithmetic or preprocessing; 3: nothing is known. `videohub check NAME --pin | git apply` states
    what the file makes of a fixed synthetic clip, so that whoever has it later can check it.
    """
    from videohub import known_answers

    record = registry.record(name)
    if pin and record.name not in registry.default().records:
        raise UsageError(f"{record.name}: found no record of a registry file, expected one that --pin can write into")
    with options.progress_bar() as progress:
        checked = known_answers.check(record, checkpoint=checkpoint, progress=progress)
    if pin and checked.status != "fails":
        _print_pin(record, checkpoint, as_json)
        return
    options.print_result(checked, as_json, print_checked)
    sys.exit(_EXIT_CODES[checked.status])


def _print_pin(record: registry.Record, checkpoint: Path | None, as_json: bool) -> None:
    """Print the patch that states a fingerprint, alone so that it can be piped."""
    from videohub import known_answers, weights
    from videohub.registry import patch

    of = known_answers.fingerprint(record, weights.fetch(record, checkpoint=checkpoint), checkpoint=checkpoint)
    made = patch.registry_patch({record.name: patch.Learnt(answer=of)}, registry.record_files())
    options.print_result(made, as_json, print_patch)


def print_checked(checked: Checked) -> None:
    """Print what was known and what came out, and where it did not, why."""
    screen = console()
    screen.print(styled(checked.record, style="bold"), styled(checked.status, _STYLES[checked.status]))
    if checked.status == "nothing known":
        screen.print("nothing is publicly known of its file's outputs")
        if checked.record in registry.default().records:
            screen.print(
                f"Whoever has the published file can state its fingerprint: videohub check {checked.record} --pin"
            )
        return
    screen.print(facts(_facts(checked)))
    if checked.cause is not None:
        screen.print(styled(f"likelier cause: {checked.cause.kind}", "red"))
        screen.print(indented(checked.cause.why))


def _facts(checked: Checked) -> Iterator[tuple[str, str]]:
    from videohub.known_answers import in_words

    yield "file", checked.file
    yield "sha256", checked.sha256 or ""
    for answer in checked.answers:
        yield "clip", answer.clip
        yield "pixels", answer.pixels
        yield "expected", in_words(answer.expected)
        yield "found", in_words(answer.found)
        yield (
            "off by",
            f"{answer.difference:.2g}, {'within' if answer.holds else 'and expected within'} {answer.tolerance:g}",
        )
        yield "source", answer.source
    for tried in checked.tried[:_SHOWN]:
        yield "off by", f"{tried.difference:.2g} with {tried.what} ({tried.kind})"

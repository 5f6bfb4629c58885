"""Reports printed and written: what verify and report do at their end, what the verdict means for a shell; patches."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from videohub.formatting import counted, interval
from videohub.terminal.layout import coloured, console, hand_over, indented, say, styled, table
from videohub.terminal.options import print_result

if TYPE_CHECKING:
    from rich.console import Console

    from videohub.hub.upload import Sent
    from videohub.registry.patch import Patch
    from videohub.reporting.report import Evaluated, Report
    from videohub.reporting.verification_file import Replayed

VERDICTS = {"consistent": 0, "inconsistent": 1, "insufficient data": 3}  # exit codes
_SHOWN = 5  # of lists that may be long


def print_and_write(reports: Sequence[Report], folders: Sequence[Path], as_json: bool) -> None:
    """Print reports, of one run or of several that were made together, and write each into its folder.

    What is printed needs no room on the disk, and comes first.
    """
    from videohub.reporting import pages

    if len(reports) == 1:
        print_result(reports[0], as_json, print_report)
    else:
        print_result(reports, as_json, print_reports)
    for report, folder in zip(reports, folders, strict=True):
        pages.write(report, folder)
    if not as_json:
        kept = ", ".join(map(str, folders))
        _dim(console(), f"report.json, report.md, report.html and verification.json are in {kept}")


def print_report(report: Report) -> None:
    """Print a verification: the numbers side by side, what was missing, the verdict and why."""
    from videohub.reporting.words import interval_name

    screen = console()
    screen.print(styled(f"{report.record}: {report.dataset}, {report.split}", style="bold"))
    _print_counts(screen, report)
    rows = table()
    for heading in ("", "published", "recomputed", interval_name(report), "with the missing"):
        rows.add_column(heading, justify="left" if not heading else "right", no_wrap=True)
    for row in report.comparisons:
        rows.add_row(row.metric, f"{row.published:.2f}", f"{row.recomputed:.2f}", interval(row.interval),
                     interval(row.bounds))  # fmt: skip
    screen.print(rows)
    _print_failures(screen, [report])
    _print_weights(screen, report)
    _print_verdict(screen, report)


def print_reports(reports: Sequence[Report]) -> None:
    """Print verifications of several records on the same videos: each one's verdict and why, then all side by side."""
    from videohub.reporting.words import interval_name

    screen, rows = console(), table()
    first = reports[0]
    screen.print(styled(f"{len(reports)} records: {first.dataset}, {first.split}", style="bold"))
    for report in reports:
        screen.print()
        screen.print(styled(report.record, style="bold"))
        _print_counts(screen, report)
        _print_weights(screen, report)
        _print_verdict(screen, report)
    screen.print()
    _print_failures(screen, reports)
    named = {interval_name(report) for report in reports}
    for heading in ("", "", "published", "recomputed", named.pop() if len(named) == 1 else "interval", "verdict"):
        numeric = heading not in ("", "verdict")
        rows.add_column(heading, justify="right" if numeric else "left", no_wrap=numeric, overflow="fold")
    for report in reports:
        for place, row in enumerate(report.comparisons):
            name, verdict = ("", "") if place else (report.record, coloured(report.verdict))
            rows.add_row(name, row.metric, f"{row.published:.2f}", f"{row.recomputed:.2f}", interval(row.interval),
                         verdict)  # fmt: skip
    screen.print(rows)


def print_evaluated(result: Evaluated) -> None:
    """Print the numbers of a data set with their intervals, what was missing, and how long it took."""
    screen, rows = console(), table()
    screen.print(styled(f"{result.record}: {result.dataset}, {result.split}", style="bold"))
    _print_counts(screen, result)
    for heading in ("", "per cent", "95 % interval"):
        rows.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for number in result.numbers:
        rows.add_row(number.metric, f"{number.value:.2f}", interval(number.interval))
    screen.print(rows)
    _print_weights(screen, result)
    _print_failures(screen, [result], rest="--json")
    if result.contradicted:
        rest = ", ".join(f"{number.metric} {number.value:.2f}" for number in result.without_contradicted)
        _yellow(screen, f"without the {len(result.contradicted):,} so read: {rest or 'nothing was scored'}")


def _print_weights(screen: Console, result: Report | Evaluated) -> None:
    """Print the files that weights were read from, and what these say of themselves as their claim."""
    from videohub.reporting.words import claim_of, files_of, origin_of

    for file in files_of(result.made_by):
        _dim(screen, f"weights: {origin_of(file)}")
        if claim := claim_of(file):
            _dim(screen, f"not checked: {claim}")


def _print_counts(screen: Console, result: Report | Evaluated) -> None:
    """Print how many videos were scored, how, and on what."""
    counts = result.counts
    chosen = f"{counts.chosen} of {counts.listed}" if counts.chosen != counts.listed else str(counts.listed)
    pending = f", {counts.pending} not looked at" if counts.pending else ""
    screen.print(f"{chosen} listed, {counts.scored} scored, {counts.failed} failed{pending}")
    devices = ", ".join(sorted({process.device for process in result.made_by}))
    if result.label_map is not None:
        from videohub.reporting.words import label_map

        _dim(screen, label_map(result.label_map))
    _dim(screen, f"{result.protocol.views_in_words}, {result.precision}, {result.decoder} decoding, "
                 f"{result.seconds:.1f} s on {devices}")  # fmt: skip


def _print_failures(screen: Console, results: Sequence[Report | Evaluated], rest: str = "report.html") -> None:
    """Print the first videos that could not be scored, and those whose header contradicts their content."""
    from videohub.reporting.words import contradictions_in_words

    failed = {failure.name: failure.reason for result in results for failure in result.failures}
    odd = {video.name: contradictions_in_words(video) for result in results for video in result.contradicted}
    for what, videos in (("not scored", failed), ("read as the original does", odd)):
        for name, why in islice(videos.items(), _SHOWN):
            _yellow(screen, f"{what}: {name}: {why}")
        if len(videos) > _SHOWN:
            _yellow(screen, f"{what}: {len(videos) - _SHOWN} more, see {rest}")


def _print_verdict(screen: Console, report: Report) -> None:
    """Print the verdict, and what it follows from."""
    for disagreement in report.disagreements:
        _yellow(screen, disagreement)
    screen.print("verdict:", coloured(report.verdict))
    for reason in report.reasons:
        screen.print(indented(reason))


def _dim(screen: Console, text: str) -> None:
    screen.print(styled(text, style="dim"))


def _yellow(screen: Console, text: str) -> None:
    screen.print(styled(text, style="yellow"))


def print_replayed(replayed: Replayed) -> None:
    """Print what a verification was compared with: each number, how many fields of each part, each that differs."""
    screen, rows = console(), table()
    _dim(screen, f"{replayed.file}, sha256 {replayed.sha256}")
    differing = {difference.field: difference for difference in replayed.differences}
    for heading in ("recomputed from the scores", "", "fields", ""):
        rows.add_column(heading, justify="right" if heading == "fields" else "left", overflow="fold")
    for one in replayed.numbers:
        rows.add_row(one.metric, f"{one.recomputed:.2f}, {interval(one.interval)}", "", "")
    for part, count in replayed.compared.items():
        wrong = sum(field.partition(".")[0].partition("[")[0] == part for field in differing)
        rows.add_row(part, "", str(count), f"{wrong} differ" if wrong else "equal")
    screen.print(rows)
    for field, difference in differing.items():
        _yellow(screen, f"{field}: the file says {difference.stated or 'nothing'}, the scores give "
                        f"{difference.recomputed or 'nothing'}")  # fmt: skip
    if differing:
        screen.print(f"{counted(len(differing), 'field')} not as the scores give")
    else:
        screen.print("every field is what the scores give")


def print_sent(sent: Sent) -> None:
    """Print which files went to a repository; where none was sent, what is in them, too."""
    screen = console()
    where = f"{sent.repository}, {sent.revision}"
    screen.print(styled(where if sent.commit else f"{where}: nothing was sent", style="bold"))
    rows = table()
    for heading in ("file", "bytes", "sha256", ""):
        rows.add_column(heading, justify="right" if heading == "bytes" else "left", overflow="fold")
    for file in sent.files:
        rows.add_row(file.path, f"{file.size:,}", f"{file.sha256[:12]}…", file.change if sent.commit else "")
    screen.print(rows)
    if sent.url:
        hand_over(sent.url)
        return
    for file in sent.files:
        if file.text is not None:
            screen.print()
            _dim(screen, file.path)
            hand_over(*file.text.splitlines())


def print_patch(made: Patch) -> None:
    """Print a patch to stdout, alone so that it can be piped; what is left to do by hand goes to stderr."""
    hand_over(*made.text.split("\n")[:-1])
    for name, why in made.left.items():
        say(f"{name}: {why}", err=True)
    if not made.text and not made.left:
        say("nothing to fill: the registry states what was first seen here, or nothing was", err=True)

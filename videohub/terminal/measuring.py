"""Measurements in a terminal: verdicts, numbers without one, two runs compared, a look at a data set."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from rich.padding import Padding

from videohub.formatting import counted
from videohub.terminal.layout import coloured, console, styled, table

if TYPE_CHECKING:
    from rich.console import Console

    from videohub.preflight import Check, Spread
    from videohub.reporting.comparison import Paired, Side
    from videohub.reporting.report import Report
    from videohub.verification.evaluating import Evaluated

_SHOWN = 5  # of lists that may be long


def print_report(report: Report) -> None:
    """Print a verification: the numbers side by side, what was missing, the verdict and why."""
    from videohub.reporting.words import interval_name

    screen = console()
    screen.print(styled(f"{report.record}: {report.dataset}, {report.split}", style="bold"))
    _told_counts(screen, report)
    rows = table()
    for heading in ("", "published", "recomputed", interval_name(report), "with the missing"):
        rows.add_column(heading, justify="left" if not heading else "right", no_wrap=True)
    for row in report.comparisons:
        rows.add_row(row.metric, f"{row.published:.2f}", f"{row.recomputed:.2f}", _range(row.interval),
                     _range(row.bounds))  # fmt: skip
    screen.print(rows)
    _told_failures(screen, [report])
    _told_contradicted(screen, [report])
    _told_weights(screen, report)
    _told_verdict(screen, report)


def print_written(folders: Sequence[Path]) -> None:
    """Print where the pages are, once they are there."""
    _dim(console(), f"report.json, report.md and report.html are in {', '.join(map(str, folders))}")


def print_reports(reports: Sequence[Report]) -> None:
    """Print verifications of several records on the same videos: each one's verdict and why, then all side by side."""
    from videohub.reporting.words import interval_name

    screen, rows = console(), table()
    first = reports[0]
    screen.print(styled(f"{len(reports)} records: {first.dataset}, {first.split}", style="bold"))
    for report in reports:
        screen.print()
        screen.print(styled(report.record, style="bold"))
        _told_counts(screen, report)
        _told_weights(screen, report)
        _told_verdict(screen, report)
    screen.print()
    _told_failures(screen, reports)
    _told_contradicted(screen, reports)
    named = {interval_name(report) for report in reports}
    for heading in ("", "", "published", "recomputed", named.pop() if len(named) == 1 else "interval", "verdict"):
        numeric = heading not in ("", "verdict")
        rows.add_column(heading, justify="right" if numeric else "left", no_wrap=numeric, overflow="fold")
    for report in reports:
        for place, row in enumerate(report.comparisons):
            told = ("", "") if place else (report.record, coloured(report.verdict))
            rows.add_row(told[0], row.metric, f"{row.published:.2f}", f"{row.recomputed:.2f}", _range(row.interval),
                         told[1])  # fmt: skip
    screen.print(rows)


def print_evaluated(found: Evaluated) -> None:
    """Print the numbers of a data set with their intervals, what was missing, and how long it took."""
    screen, rows = console(), table()
    screen.print(styled(f"{found.record}: {found.dataset}, {found.split}", style="bold"))
    _told_counts(screen, found)
    for heading in ("", "per cent", "95 % interval"):
        rows.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for number in found.numbers:
        rows.add_row(number.metric, f"{number.value:.2f}", _range(number.interval))
    screen.print(rows)
    _told_weights(screen, found)
    _told_failures(screen, [found], rest="--json")
    _told_contradicted(screen, [found], rest="--json")
    if found.contradicted:
        rest = ", ".join(f"{number.metric} {number.value:.2f}" for number in found.without_contradicted)
        _yellow(screen, f"without the {len(found.contradicted):,} so read: {rest or 'nothing was scored'}")


def _told_weights(screen: Console, found: Report | Evaluated) -> None:
    """Print the files that weights were read from, and what these say of themselves as their claim."""
    from videohub.reporting.weights_origin import claim_of, files_of, origin_of

    for file in files_of(found.made_by):
        _dim(screen, f"weights: {origin_of(file)}")
        if claim := claim_of(file):
            _dim(screen, f"not checked: {claim}")


def _told_counts(screen: Console, found: Report | Evaluated) -> None:
    """Print how many videos were scored, how, and on what."""
    counts, protocol = found.counts, found.protocol
    chosen = f"{counts.chosen} of {counts.listed}" if counts.chosen != counts.listed else str(counts.listed)
    pending = f", {counts.pending} not looked at" if counts.pending else ""
    screen.print(f"{chosen} listed, {counts.scored} scored, {counts.failed} failed{pending}")
    devices = ", ".join(sorted({made.device for made in found.made_by}))
    _dim(screen, f"{protocol['clips']} x {protocol['crops']} views, {found.precision}, {found.decoder} decoding, "
                 f"{found.seconds:.1f} s on {devices}")  # fmt: skip


def _told_failures(screen: Console, found: Sequence[Report | Evaluated], rest: str = "report.html") -> None:
    """Print the first videos that could not be scored, each once, and where the rest is."""
    failures = {failure.name: failure.reason for each in found for failure in each.failures}
    for name, reason in islice(failures.items(), _SHOWN):
        _yellow(screen, f"not scored: {name}: {reason}")
    if len(failures) > _SHOWN:
        _yellow(screen, f"not scored: {len(failures) - _SHOWN} more, see {rest}")


def _told_contradicted(screen: Console, found: Sequence[Report | Evaluated], rest: str = "report.html") -> None:
    """Print the first videos whose header contradicts their content, each once, and where the rest is."""
    from videohub.reporting.contradicted import details

    videos = {video.name: details(video) for each in found for video in each.contradicted}
    for name, told in islice(videos.items(), _SHOWN):
        _yellow(screen, f"read as the original does: {name}: {told}")
    if len(videos) > _SHOWN:
        _yellow(screen, f"read as the original does: {len(videos) - _SHOWN} more, see {rest}")


def _told_verdict(screen: Console, report: Report) -> None:
    """Print the verdict, and what it follows from."""
    for disagreement in report.disagreements:
        _yellow(screen, disagreement)
    screen.print("verdict:", coloured(report.verdict))
    for reason in report.reasons:
        screen.print(Padding(styled(reason), (0, 0, 0, 2)))


def print_paired(paired: Paired) -> None:
    """Print two runs on the same videos: their numbers, the difference, and whether it can be chance."""
    from videohub.reporting.weights_origin import origin_of

    screen, rows = console(), table()
    screen.print(styled(f"{paired.metric} on {paired.common} videos of {paired.dataset} that both have", style="bold"))
    for heading in ("", "model", "views", "precision", paired.metric):
        rows.add_column(heading, justify="right" if heading == paired.metric else "left", no_wrap=heading != "model")
    sides = (("A", paired.first), ("B", paired.second))
    for letter, side in sides:
        rows.add_row(letter, side.record, side.views, side.precision, f"{side.value:.2f}")
    screen.print(rows)
    for letter, side in sides:
        for file in side.weights_files:
            _dim(screen, f"{letter}: {origin_of(file)}")
    screen.print(f"A - B: {paired.difference:+.2f} points, 95 % interval {_range(paired.interval, signed=True)}")
    if (told := paired.discordance) is not None:
        screen.print(f"both right {told.both}, A alone {told.first_only}, B alone {told.second_only}, "
                     f"neither {told.neither}; McNemar's test: p = {told.p_value:.3g}")  # fmt: skip
    for letter, side in sides:
        if side.alone:
            _yellow(screen, _left_out(letter, side))
    screen.print(styled(paired.answer, style="bold"))


def print_check(check: Check) -> None:
    """Print what a data set is, what is wrong with it, and whether it can be used."""
    screen, rows = console(), table(header=False)
    screen.print(styled(f"{check.record}: {check.expected.dataset}, {check.expected.split}", style="bold"))
    rows.add_column(no_wrap=True, style="bold")
    rows.add_column(overflow="fold")
    reference = f" of {check.expected.samples:,} in the reference" if check.expected.samples else ""
    rows.add_row("listed", f"{check.listed:,}{reference}")
    rows.add_row("found", f"{check.found:,}, of which {check.usable:,} usable")
    rows.add_row("missing", f"{check.missing:,}")
    rows.add_row(
        "unreadable", f"{check.unreadable:,}" + ("" if check.deep else " (headers; --deep decodes everything)")
    )
    for name, values, unit in (("short side", check.short_sides, "px"), ("length", check.seconds, "s")):
        if values is not None:
            rows.add_row(name, _spread(values, unit))
    rates = sorted(check.frame_rates.items(), key=lambda rate: -rate[1])
    if rates:
        told = ", ".join(f"{rate} ({count:,})" for rate, count in rates[:_SHOWN])
        rows.add_row("frame rates", told + (", …" if len(rates) > _SHOWN else ""))
    present = sum(count > 0 for count in check.classes.counts)
    rows.add_row("classes", f"{present} of {check.expected.classes} occur")
    if check.moments is not None:
        rows.add_row("key frames", f"{check.moments.key_frames:,} in {check.moments.videos} videos, "
                                   f"{check.moments.boxes:,} boxes")  # fmt: skip
    screen.print(rows)
    for finding in check.findings:
        screen.print(Padding(styled(finding.text, style="red" if finding.grave else "yellow"), (0, 0, 0, 2)))
        for name, detail in list(finding.samples.items())[:3]:
            screen.print(Padding(styled(f"{name}: {detail}" if detail else name, style="dim"), (0, 0, 0, 4)))
    for note in check.notes:
        _dim(screen, note)
    screen.print("verdict:", coloured(check.verdict))
    if not check.findings:
        screen.print(Padding(styled("; ".join(check.reasons)), (0, 0, 0, 2)))


def _left_out(letter: str, side: Side) -> str:
    return f"left out: {counted(side.alone, 'video')} that {letter} alone has scored"


def _range(pair: tuple[float, float], *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    return f"{pair[0]:{sign}.2f} – {pair[1]:{sign}.2f}"


def _spread(values: Spread, unit: str) -> str:
    if values.least == values.most:
        return f"{values.median:.4g} {unit}"
    return f"{values.least:.4g} to {values.most:.4g} {unit}, median {values.median:.4g}"


def _dim(screen: Console, text: str) -> None:
    screen.print(styled(text, style="dim"))


def _yellow(screen: Console, text: str) -> None:
    screen.print(styled(text, style="yellow"))

"""A report as Markdown, for a repository or an issue: the same facts as the page, with bars of letters for pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from videohub.escaping import in_markdown, visible
from videohub.formatting import counted
from videohub.metrics.metric import PerClass
from videohub.reporting.contradicted import details
from videohub.reporting.report import Report
from videohub.reporting.words import (
    EXTREMES,
    NAMED_FAILURES,
    class_count,
    class_measure,
    facts,
    how_to_cite,
    kinds_of_failure,
    measured_classes,
    numbers,
    of_contradicted,
    one_line,
    sentence,
    summary,
    what,
)

_EIGHTHS = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")
_BAR = 20  # letters of a full bar


def page(report: Report) -> str:
    """Return the report as Markdown (with GitHub's tables); names of videos are escaped, never obeyed."""
    sections = (_head, _numbers, _views, _classes, _confusions, _failures, _contradicted, _what_was_run, _how_to_cite)
    return "\n\n".join(filter(None, (section(report) for section in sections))) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[int] = ()) -> str:
    """Return a table; `right` names the columns of numbers. Cells are taken as they are: escape what is not ours."""
    numbered = set(right)
    rule = ["---:" if column in numbered else "---" for column in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def bar(share: float) -> str:
    """Return a bar of letters for a share of 100, exact to an eighth of a letter."""
    eighths = round(share * _BAR * 8 / 100)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8]


def numbers_table(report: Report) -> str:
    """Return the main table: published and recomputed, with what may explain the difference."""
    head = ["per cent", *(in_markdown(found.metric) for found in report.comparisons)]
    return table(head, numbers(report), right=range(1, len(head)))


def _head(report: Report) -> str:
    reasons = " ".join(in_markdown(sentence(reason)) for reason in report.reasons)
    return (
        f"# Verification of {in_markdown(report.title())}\n\n{in_markdown(summary(report))}\n\n"
        f"**{sentence(report.verdict)}** {reasons}"
    )


def _numbers(report: Report) -> str:
    printed = ""
    if report.published.as_printed:
        words = ", ".join(f"{name} {value:g}" for name, value in report.published.as_printed.items())
        printed = f"\n\nThe source prints {in_markdown(words)}."
    return (
        f"## Published against recomputed\n\n{numbers_table(report)}\n\nThe interval is what chance allows; the bounds "
        f"add what the missing could do if all were wrong or all right.{printed}"
    )


def _views(report: Report) -> str:
    if len(report.by_clips) < 2:
        return ""
    metrics = list(report.by_clips[0].values)
    rows = ([str(point.clips), *(f"{point.values[metric]:.2f}" for metric in metrics)] for point in report.by_clips)
    return (
        "## With fewer clips\n\n"
        + table(["clips", *map(in_markdown, metrics)], rows, right=range(len(metrics) + 1))
        + "\n\nThe same scores, of the first clips of each video only."
    )


def _classes(report: Report) -> str:
    measured = measured_classes(report)
    if not measured:
        return ""
    if len(measured) <= 2 * EXTREMES:
        return f"## Classes\n\n{_class_table(report, measured)}"
    return (
        f"## Classes\n\nThe {EXTREMES} weakest of {len(measured)}:\n\n{_class_table(report, measured[:EXTREMES])}\n\n"
        f"The {EXTREMES} strongest:\n\n{_class_table(report, measured[: -EXTREMES - 1 : -1])}\n\n"
        f"<details>\n<summary>All {len(report.classes)} classes</summary>\n\n"
        f"{_class_table(report, report.classes)}\n\n</details>"
    )


def _class_table(report: Report, classes: Sequence[PerClass]) -> str:
    rows = (
        [
            in_markdown(found.name),
            f"{found.count:,}",
            "–" if found.value is None else f"{found.value:.1f}",
            "" if found.value is None else bar(found.value),
        ]
        for found in classes
    )
    return table(["class", class_count(report), class_measure(report), ""], rows, right=(1, 2))


def _confusions(report: Report) -> str:
    if not report.confusions:
        return ""
    rows = (
        [in_markdown(pair.true), in_markdown(pair.predicted), f"{pair.count:,}", f"{100 * pair.count / pair.of:.0f} %"]
        for pair in report.confusions
    )
    return "## What is taken for what\n\n" + table(["is", "taken for", f"{what(report)}s", "of its class"], rows,
                                                   right=(2, 3))  # fmt: skip


def _failures(report: Report) -> str:
    if not report.failures:
        return ""
    kinds = kinds_of_failure(report)
    by_reason = ""
    if 1 < len(kinds) < len(report.failures):
        rows = ([f"{number:,}", in_markdown(reason)] for reason, number in kinds[:EXTREMES])
        by_reason = table([f"{what(report)}s", "reason"], rows, right=(0,)) + "\n\n"
    return (
        f"## Without a score\n\n{counted(len(report.failures), what(report))} could not be scored. They were not "
        f"replaced; the bounds above say what they could change.\n\n{by_reason}"
        + _one_by_one(report, "reason", [(failure.name, one_line(failure.reason)) for failure in report.failures])
    )


def _contradicted(report: Report) -> str:
    if not report.contradicted:
        return ""
    named = _one_by_one(report, "contradiction", [(video.name, details(video)) for video in report.contradicted])
    return f"## Headers that contradict the content\n\n{in_markdown(of_contradicted(report))}\n\n{named}"


def _one_by_one(report: Report, heading: str, told: Sequence[tuple[str, str]]) -> str:
    """Return a table of names, each with what is told of it, as far as a page has room for them."""
    rows = ([in_markdown(name), in_markdown(words)] for name, words in told[:NAMED_FAILURES])
    left = len(told) - NAMED_FAILURES
    rest = f"\n\nAnd {left:,} more, in report.json." if left > 0 else ""
    return table([what(report), heading], rows) + rest


def _what_was_run(report: Report) -> str:
    groups = (
        f"### {heading}\n\n"
        + table(["", ""], ([in_markdown(fact.label), in_markdown(fact.value)] for fact in lines))
        for heading, lines in facts(report).items()
    )  # fmt: skip
    return "## What was run\n\n" + "\n\n".join(groups)


def _how_to_cite(report: Report) -> str:
    return (
        "## To repeat and to cite\n\nThe same number, from one's own copy of the list:\n\n"
        f"    {visible(one_line(report.command))}\n\n{in_markdown(how_to_cite(report))}"
    )

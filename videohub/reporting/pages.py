"""A report as one HTML page that stands alone: no script, nothing fetched, readable by day, by night and on paper."""

from __future__ import annotations

from collections.abc import Sequence

from videohub import metrics
from videohub.escaping import in_html, in_narrow_html
from videohub.formatting import counted, listed
from videohub.metrics.metric import PerClass
from videohub.metrics.verdict import Comparison
from videohub.reporting import pictures
from videohub.reporting.contradicted import details
from videohub.reporting.report import Report
from videohub.reporting.style import CSS
from videohub.reporting.words import (
    EXTREMES,
    NAMED_FAILURES,
    Fact,
    class_count,
    class_measure,
    facts,
    how_to_cite,
    interval_name,
    kinds_of_failure,
    measured_classes,
    numbers,
    of_contradicted,
    one_line,
    sentence,
    summary,
    what,
)


def page(report: Report) -> str:
    """Return the report as HTML; all that it shows is in the report itself."""
    sections = (_head, _numbers, _curve, _classes, _confusions, _failures, _contradicted, _what_was_run, _how_to_cite)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8"/>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>\n'
        f"<title>Verification of {in_html(report.title())}</title>\n<style>{CSS}</style>\n</head>\n<body>\n"
        + "\n".join(filter(None, (section(report) for section in sections)))
        + "\n</body>\n</html>\n"
    )


def _head(report: Report) -> str:
    tone = report.verdict.split()[0]
    reasons = "".join(f"<p>{in_html(sentence(reason))}</p>" for reason in report.reasons)
    return (
        f'<header><p class="quiet">Verification report</p><h1>{in_html(report.upstream_name)}</h1>'
        f"<p>Its published {listed([found.metric for found in report.comparisons])} on "
        f"{in_html(report.dataset)}, {in_html(report.split)}, recomputed. {in_html(summary(report))}</p>"
        f'<div class="verdict {tone}"><strong>{pictures.sign(report.verdict)}{in_html(report.verdict.capitalize())}'
        f"</strong>{reasons}</div></header>"
    )


def _numbers(report: Report) -> str:
    rows = "".join(
        f'<tr><th scope="row">{line}</th>{"".join(map(_number, cells))}</tr>' for line, *cells in numbers(report)
    )
    head = _header(("", ""), *((found.metric, "number") for found in report.comparisons))
    drawn = "".join(
        f"<h3>{in_html(found.metric)}, per cent</h3><figure>{pictures.interval(found, interval_name(report))}</figure>"
        for found in report.comparisons
    )
    return (
        '<section><h2>Published against recomputed</h2><p class="quiet">All in per cent. The interval is what chance '
        "allows; the bounds add what the missing could do if all were wrong or all right.</p>"
        f'<table class="numbers"><thead>{head}</thead><tbody>{rows}</tbody></table>{drawn}'
        f"{_legend(report.comparisons, interval_name(report))}"
        f"{_as_printed(report)}</section>"
    )


def _legend(comparisons: Sequence[Comparison], interval: str) -> str:
    allowed = sorted({f"± {found.tolerance:g}" for found in comparisons if found.tolerance})
    entries = (
        ("published", "published"),
        *([("tolerance", f"the source's tolerance, {listed(allowed)}")] if allowed else []),
        ("measured", "recomputed"),
        ("chance", interval),
        *([("bounds", "bounds with the missing")] if any(one.bounds != one.interval for one in comparisons) else []),
    )
    return '<ul class="legend">' + "".join(f"<li>{pictures.swatch(kind)}{in_html(words)}</li>"
                                           for kind, words in entries) + "</ul>"  # fmt: skip


def _as_printed(report: Report) -> str:
    """Say what the source prints where that is not an accuracy."""
    if not report.published.as_printed:
        return ""
    printed = ", ".join(f"{name} {value:g}" for name, value in report.published.as_printed.items())
    return f'<p class="quiet">The source prints {in_html(printed)}.</p>'


def _curve(report: Report) -> str:
    if len(report.by_clips) < 2:
        return ""
    first = report.comparisons[0]
    return (
        f"<section><h2>With fewer clips</h2><figure>"
        f"{pictures.views_curve(report.by_clips, first.metric, first.published)}<figcaption>{in_html(first.metric)} in "
        "per cent against the number of clips. The same scores, of the first clips of each video only: they lie at "
        "its beginning, where a test with that many clips would spread them.</figcaption></figure></section>"
    )


def _classes(report: Report) -> str:
    measured = measured_classes(report)
    if not measured:
        return ""
    missing = len(report.classes) - len(measured)
    left_out = f" {counted(missing, 'class')} had nothing to be measured on." if missing else ""
    interval = ", the thin line its 95 % interval" if metrics.of(report.metric).is_counted else ""
    intro = (
        f"<section><h2>Classes</h2><figure>{pictures.skyline(measured)}<figcaption>The {class_measure(report)} of "
        f"{counted(len(measured), 'class')} in per cent, in order.{left_out}</figcaption></figure>"
    )
    if len(measured) <= 2 * EXTREMES:
        return f"{intro}{_class_table(report, measured, f'Weakest first{interval}.', counts=True)}</section>"
    said = f"The bar is the {class_measure(report)}{interval}."
    weakest = _class_table(report, measured[:EXTREMES], said)
    strongest = _class_table(report, measured[: -EXTREMES - 1 : -1], said)
    return (
        f'{intro}<div class="pair"><div><h3>The {EXTREMES} weakest</h3>{weakest}</div>'
        f"<div><h3>The {EXTREMES} strongest</h3>{strongest}</div></div>"
        f"<details><summary>All {len(report.classes)} classes</summary>"
        f"{_class_table(report, report.classes, 'In the order of the outputs.', counts=True)}</details></section>"
    )


def _class_table(report: Report, classes: Sequence[PerClass], caption: str, *, counts: bool = False) -> str:
    """Return the classes with their bars; `counts` adds what each was measured on, where there is room."""
    columns = [("class", ""), *([(class_count(report), "number")] if counts else []),
               *([("right", "number")] if counts and metrics.of(report.metric).is_counted else []),
               (class_measure(report, short=True), "number"), ("", "drawn")]  # fmt: skip
    rows = []
    for found in classes:
        numbers = [f"{found.count:,}"] if counts else []
        numbers += [f"{found.right or 0:,}"] if counts and metrics.of(report.metric).is_counted else []
        numbers.append("–" if found.value is None else f"{found.value:.1f}")
        drawn = "" if found.value is None else pictures.bar(found.value, chance=pictures.chance_of(found))
        rows.append(f'<tr><td class="name">{in_narrow_html(found.name)}</td>{"".join(map(_number, numbers))}'
                    f'<td class="drawn">{drawn}</td></tr>')  # fmt: skip
    return (
        f"<table><caption>{in_html(caption)}</caption><thead>{_header(*columns)}</thead>"
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _confusions(report: Report) -> str:
    if not report.confusions:
        return ""
    rows = "".join(
        f'<tr><td class="name">{in_narrow_html(pair.true)}</td><td class="name">{in_narrow_html(pair.predicted)}</td>'
        f"{_number(f'{pair.count:,}')}{_number(f'{share:.0f}')}"
        f'<td class="drawn">{pictures.bar(share)}</td></tr>'
        for pair in report.confusions
        for share in (100 * pair.count / pair.of,)
    )
    head = _header(("is", ""), ("taken for", ""), (f"{what(report)}s", "number"), ("% of class", "number"),
                   ("", "drawn"))  # fmt: skip
    return (
        '<section><h2>What is taken for what</h2><table class="pairs"><caption>The most frequent confusions.</caption>'
        f"<thead>{head}</thead><tbody>{rows}</tbody></table></section>"
    )


def _failures(report: Report) -> str:
    if not report.failures:
        return ""
    kinds = kinds_of_failure(report)
    several = ""
    if 1 < len(kinds) < len(report.failures):
        rows = "".join(f'<tr>{_number(f"{number:,}")}<td class="name">{in_narrow_html(reason)}</td></tr>'
                       for reason, number in kinds[:EXTREMES])  # fmt: skip
        more = f", the {EXTREMES} most frequent" if len(kinds) > EXTREMES else ""
        several = f"<table><caption>By reason{more}.</caption><tbody>{rows}</tbody></table>"
    return (
        f"<section><h2>Without a score</h2><p>{counted(len(report.failures), what(report))} could not be scored. They "
        f"were not replaced; the bounds above say what they could change.</p>{several}"
        f"{_one_by_one(report, 'reason', [(failure.name, one_line(failure.reason)) for failure in report.failures])}"
        "</section>"
    )


def _contradicted(report: Report) -> str:
    if not report.contradicted:
        return ""
    return (
        f"<section><h2>Headers that contradict the content</h2><p>{in_html(of_contradicted(report))}</p>"
        f"{_one_by_one(report, 'contradiction', [(video.name, details(video)) for video in report.contradicted])}"
        "</section>"
    )


def _one_by_one(report: Report, heading: str, told: Sequence[tuple[str, str]]) -> str:
    """Return a table of names, each with what is told of it, as far as a page has room for them."""
    rows = "".join(
        f'<tr><td class="name mono"><bdi>{in_narrow_html(name)}</bdi></td><td class="name">{in_narrow_html(words)}</td>'
        "</tr>"
        for name, words in told[:NAMED_FAILURES]
    )
    left = len(told) - NAMED_FAILURES
    rest = f'<p class="quiet">And {left:,} more, in report.json.</p>' if left > 0 else ""
    return (
        f"<table><caption>One by one.</caption><thead>{_header((what(report), ''), (heading, ''))}</thead>"
        f"<tbody>{rows}</tbody></table>{rest}"
    )


def _what_was_run(report: Report) -> str:
    groups = "".join(
        f'<h3>{heading}</h3><table class="facts"><tbody>{"".join(map(_fact, lines))}</tbody></table>'
        for heading, lines in facts(report).items()
    )
    return f"<section><h2>What was run</h2>{groups}</section>"


def _how_to_cite(report: Report) -> str:
    return (
        "<section><h2>To repeat and to cite</h2><p>The same number, from one’s own copy of the list:</p>"
        f"<pre><code>{in_html(report.command)}</code></pre><p>{in_html(how_to_cite(report))}</p>"
        '<p class="quiet">All failures, all classes and every number of this page stand in report.json.</p>'
        "</section>"
    )


def _fact(fact: Fact) -> str:
    mono = ' class="mono"' if fact.literal else ""
    return f'<tr><th scope="row">{in_html(fact.label)}</th><td{mono}>{in_html(fact.value)}</td></tr>'


def _header(*columns: tuple[str, str]) -> str:
    cells = (f'<th scope="col"{f" class={chr(34)}{kind}{chr(34)}" if kind else ""}>{in_html(name)}</th>'
             for name, kind in columns)  # fmt: skip
    return f"<tr>{''.join(cells)}</tr>"


def _number(written: str) -> str:
    return f'<td class="number">{written}</td>'

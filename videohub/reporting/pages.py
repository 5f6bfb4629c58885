"""A report as pages that stand alone: HTML (no script, nothing fetched, by day, by night and on paper) and Markdown.

The pages stand in `templates/`. Whatever a template inserts is escaped for its medium, unless it is a template's own.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from videohub import metrics
from videohub.errors import CacheError, UsageError
from videohub.escaping import in_html, in_markdown, in_narrow_html, visible
from videohub.files import atomic_write, check_is_no_url
from videohub.formatting import counted, interval, listed
from videohub.reporting import charts, verification_file, words
from videohub.reporting.report import NAME, Evaluated, Report

_EIGHTHS = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")
_BAR = 20  # letters of a full bar


def write(report: Report, folder: str | Path) -> list[Path]:
    """Write the report as JSON, Markdown and HTML, and `verification.json`, into a folder; each whole or not at all.

    Raises: UsageError if there is a file in the folder's place, or it is a URL; CacheError if the disk refuses.
    """
    pages = {NAME: report.encoded(), "report.md": markdown(report).encode(), "report.html": html(report).encode()}
    return write_files(folder, {**pages, verification_file.NAME: verification_file.of(report).encoded()})


def write_files(folder: str | Path, contents: dict[str, bytes]) -> list[Path]:
    """Write files into a folder, which is made if need be; each whole or not at all. Raises: as `write`."""
    check_is_no_url(folder)
    paths = [Path(folder) / name for name in contents]
    try:
        for path, content in zip(paths, contents.values(), strict=True):
            with atomic_write(path) as temp:
                temp.write_bytes(content)
    except (FileExistsError, NotADirectoryError):
        raise UsageError(f"{folder}: found a file, expected a folder to write into") from None
    except OSError as error:
        raise CacheError(
            f"{folder}: {path.name} cannot be written ({error.strerror or error}).\n"
            "  What was scored is kept. Make room, or name another folder, and run the same command again: it scores "
            "nothing twice."
        ) from error
    return paths


def html(report: Report) -> str:
    """Return the report as HTML; all that it shows is in the report itself."""
    measured = words.measured_classes(report)
    first, interval = report.comparisons[0], words.interval_name(report)
    return render(
        "report.html",
        **_content(report),
        intervals=[charts.interval(one, interval) for one in report.comparisons],
        legend=_legend(report, interval),
        curve=charts.curve(report.by_clips, first.metric, first.published) if len(report.by_clips) > 1 else None,
        skyline=charts.skyline(measured) if measured else None,
        unmeasured=len(report.classes) - len(measured),
        chance_words=", the thin line its 95 % interval" if metrics.of(report.metric).is_counted else "",
    )


def markdown(report: Report) -> str:
    """Return the report as Markdown (with GitHub's tables) for a repository or an issue, with bars of letters."""
    return render("report.md", **_content(report), curve=len(report.by_clips) > 1)


def numbers_in_markdown(result: Evaluated) -> str:
    """Return what a network came to as a table, and what became of the videos; without failures one by one."""
    counts, scored = result.counts, counted(result.counts.listed, result.protocol.scored)
    rest = {"failed": counts.failed, "not looked at": counts.pending,
            "with a header that contradicts the content": len(result.contradicted)}  # fmt: skip
    return render(
        "evaluated.md",
        result=result,
        videos=", ".join([f"{counts.scored:,} of {scored} scored", *(f"{n:,} {how}" for how, n in rest.items() if n)]),
        metrics=[number.metric for number in result.numbers],
        lines=[["measured", *(f"{number.value:.2f}" for number in result.numbers)],
               ["95 % interval", *(interval(number.interval) for number in result.numbers)]],
    )  # fmt: skip


def render(template: str, **values: Any) -> str:
    """Return a template of `templates/` filled in; its ending says how values are escaped, `html` or `md`."""
    return _environment(template.rpartition(".")[2]).get_template(template).render(values)


def bar(share: float) -> str:
    """Return a bar of letters for a share of 100, exact to an eighth of a letter."""
    eighths = round(share * _BAR * 8 / 100)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8]


def _content(report: Report) -> dict[str, Any]:
    """Return what both pages show."""
    measured, kinds = words.measured_classes(report), words.kinds_of_failure(report)
    many = len(measured) > 2 * words.EXTREMES
    return {
        "report": report,
        "thing": report.protocol.scored,
        "summary": words.summary(report),
        "reasons": [words.sentence(reason) for reason in report.reasons],
        "metrics": [comparison.metric for comparison in report.comparisons],
        "numbers": words.numbers(report),
        "as_printed": ", ".join(f"{name} {value:g}" for name, value in (report.published.as_printed or {}).items()),
        "measure": metrics.of(report.metric),
        "extremes": words.EXTREMES,
        "measured": measured,
        "weakest": measured[: words.EXTREMES],
        "strongest": measured[: -words.EXTREMES - 1 : -1] if many else None,
        "most_named": words.MOST_NAMED,
        "failures": [(failure.name, words.one_line(failure.reason)) for failure in report.failures],
        "kinds": kinds if 1 < len(kinds) < len(report.failures) else None,
        "contradicted": words.of_contradicted(report) if report.contradicted else None,
        "contradictions": [(video.name, words.contradictions_in_words(video)) for video in report.contradicted],
        "facts": words.facts(report),
        "citation": words.how_to_cite(report),
    }


def _legend(report: Report, interval: str) -> Sequence[tuple[str, str]]:
    """Return what the marks of the interval charts are."""
    tolerances = sorted({f"± {one.tolerance:g}" for one in report.comparisons if one.tolerance})
    has_bounds = any(one.bounds != one.interval for one in report.comparisons)
    return [
        ("published", "published"),
        *([("tolerance", f"the source's tolerance, {listed(tolerances)}")] if tolerances else []),
        ("measured", "recomputed"),
        ("chance", interval),
        *([("bounds", "bounds with the missing")] if has_bounds else []),
    ]


@functools.cache
def _environment(medium: str) -> jinja2.Environment:
    escape = {"html": in_html, "md": in_markdown}[medium]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("videohub.reporting"),
        autoescape=True,  # for the marks of HTML that `finalize` leaves: none
        finalize=lambda value: value if isinstance(value, Markup) else Markup(escape(value)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "thousands": "{:,}".format,
        "counted": counted,
        "listed": listed,
        "sentence": words.sentence,
        "percent": charts.percent,
        "letters": bar,
        "narrow": lambda text: Markup(in_narrow_html(text)),
        "verbatim": lambda text: Markup(visible(words.one_line(text))),  # of Markdown, where nothing is a mark
        "python": lambda text: Markup(json.dumps(text)),
    }
    return environment

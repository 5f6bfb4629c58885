"""The page "How it is proved": docs/proved.md, with tables of the records and of the last full run of the tests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tools import zoo_page
from tools.site.documents import ROOT
from videohub.registry import Registry

PAGE = "proved.md"
RECORD = ROOT / "results" / "tests.json"  # tests/run_record.py writes it
PARTS = {"not slow": "`make test`", "slow and not by_hand": "`make test-slow`"}
_MADE = re.compile(r"<!-- made: (.+) -->\n.+\n<!-- end -->")
OUTCOMES = ("passed", "skipped", "failed")


def pages(known: Registry) -> Iterator[tuple[str, str]]:
    """Yield the page."""
    text = (ROOT / "docs" / PAGE).read_text(encoding="utf-8")
    runs = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    tables = {"networks": zoo_page.summary(known), "last run": last_run(runs)}
    # what stands between the marks is for readers of the repository
    yield PAGE, _MADE.sub(lambda place: "\n".join(tables[place[1]]), text)


def last_run(runs: dict[str, Any]) -> list[str]:
    """Return what came of the last full run: a line for each part of the tests, then one for each area."""
    runs = {part: runs[part] for part in PARTS if part in runs}
    if not runs:
        return ["No full run has been kept."]
    lines = ["What came of the last full run:", "", *_table("part", "date", "commit", *OUTCOMES, "minutes", "on")]
    for part, run in runs.items():
        versions = ", ".join(f"{library} {version}" for library, version in run["versions"].items())
        where = f"{run['system']}, Python {run['python']}, {versions}"
        lines.append(
            _row(PARTS[part], run["date"], f"`{run['commit']}`", *_counts(run["counts"]), run["minutes"], where)
        )
    titles = [f"{outcome}, {PARTS[part]}" for part in runs for outcome in OUTCOMES]
    lines += ["", "By the area that the tests are of, a folder or a file below `tests/`:", "", *_table("area", *titles)]
    for area in sorted({area for run in runs.values() for area in run["areas"]}):
        counts = [count for run in runs.values() for count in _counts(run["areas"].get(area, {}))]
        lines.append(_row(area.replace("_", " "), *counts))
    return lines


def _counts(counts: dict[str, int]) -> list[int]:
    return [counts.get(outcome, 0) for outcome in OUTCOMES]


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _table(*titles: str) -> list[str]:
    return [_row(*titles), _row(*["---"] * len(titles))]

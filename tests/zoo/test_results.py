"""What the walk over the whole zoo found, as it is committed, against the registry of today."""

from __future__ import annotations

import re

import pytest

from tests.models.golden_networks import CASES
from tests.zoo import walk
from videohub import registry

KNOWN = registry.load(registry.files()[0])
COLUMNS = ("record", "network", "parameters", "file", "tensors", "weights", "came in by", "seconds")
TEXT = walk.RESULTS.read_text(encoding="utf-8")
ROWS = [dict(zip(COLUMNS, map(str.strip, line.strip("|").split("|")), strict=True))
        for line in TEXT.splitlines() if line.startswith("| `")]  # fmt: skip
FORMS = [(form, number) for record in KNOWN.records.values() for number, form in enumerate(walk.forms(record), start=1)]


def test_each_form_of_each_record_s_file_has_its_line():
    """`make test-zoo` writes them anew."""
    assert [row["record"] for row in ROWS] == [walk.title(record, number) for record, number in FORMS]


@pytest.mark.parametrize(("row", "form"), list(zip(ROWS, FORMS, strict=False)), ids=[row["record"] for row in ROWS])
def test_a_line_says_of_its_record_what_the_registry_does(row, form):
    record, _ = form
    assert row["network"] == walk.network(record)
    assert row["parameters"] == f"{KNOWN.costs[record.name].params:,}"
    if record.status in walk.NO_FILE:
        assert (row["came in by"], row["file"], row["weights"]) == (walk.NO_FILE[record.status], "", "")
        return
    if KNOWN.costs[record.name].params > walk.GIANT:
        assert (row["came in by"], row["file"], row["weights"]) == (walk.KEYS_ALONE, "", "")
        return
    assert row["file"] == walk.kind(record)
    assert (record.status == "manual") == (row["came in by"] == "mirror, downloaded by hand")
    assert not row["came in by"].startswith("failed")
    if row["weights"] != "made up":
        case = CASES[row["weights"].removeprefix("golden, ")]
        assert case.facts["architecture"]["num_parameters"] == KNOWN.costs[record.name].params
        assert len(case.facts["tensors"]) <= int(row["tensors"]) or record.checkpoint.layout == "caffe2"


def test_it_counts_what_its_lines_say():
    loaded = [row for row in ROWS if row["file"]]
    golden = sum(row["weights"].startswith("golden") for row in loaded)
    counted = re.sub(r"\s+", " ", TEXT)
    assert f"{len(ROWS)} lines: one for each of {len(KNOWN.records)} records" in counted
    assert f"{len(loaded)} of them loaded from a file" in counted
    assert f"In {golden} of these files" in counted

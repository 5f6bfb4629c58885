"""The records against the document that they come from, read here independently of the registry."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.own_registry import ours
from videohub import registry

DOCUMENT = Path(__file__).parent.parent / "golden" / "MODEL_ZOO.md"
ARCHS = {"C2D": "c2d", "I3D": "i3d", "I3D NLN": "i3d_nln", "Slow": "slow", "SlowFast": "slowfast", "ResNet": "resnet"}
LINK = re.compile(r"\[.*?\]\((.*?)\)")


def table_rows() -> list[dict[str, str]]:
    """Each row of each table: heading -> cell, headings in small letters, links replaced by their targets."""
    rows, section, heads = [], "", []
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            section, heads = line.strip("#: "), []
        if not line.startswith("|"):
            continue
        cells = [" ".join(cell.split()) for cell in line.strip().strip("|").split("|")]
        if not heads:
            heads = [cell.casefold() for cell in cells]
        elif not set(line) <= set("| -"):
            linked = [result[1] if (result := LINK.search(cell)) else cell for cell in cells]
            rows.append({"section": section, **dict(zip(heads, linked, strict=True))})
    return rows


ROWS = table_rows()


def row_name(row: dict[str, str]) -> str:
    return f"{row['section']} {row['model'].rsplit('/', 1)[-1]} {row.get('frame length x sample rate', '')}"


def record_of(row: dict[str, str]) -> registry.Record:
    """The one record with the row's link, or with the row's network where the link leads nowhere."""
    records = ours().records.values()
    if row["model"] != "coming_soon":
        result = [record for record in records if record.checkpoint.url == row["model"]]
    else:
        frames = row["frame length x sample rate"].split(" x ")[0]
        result = [
            r for r in records if r.checkpoint.url is None and r.depth == row["depth"] and str(r.frames) == frames
        ]
    assert len(result) == 1
    return result[0]


def test_the_document_has_twenty_rows():
    assert len(ROWS) == 9 + 4 + 2 + 2 + 2 + 1


@pytest.mark.parametrize("row", ROWS, ids=row_name)
def test_a_record_says_what_its_row_says(row):
    record = record_of(row)
    assert record.arch == ("i3d_nln" if row["architecture"] == "I3D NLN" else ARCHS[row["architecture"]])
    assert record.depth == row["depth"]
    printed = row.get("frame length x sample rate")
    assert (f"{record.frames} x {record.rate}" if printed else None) == printed
    assert record.training == row.get("training", "Standard").casefold()


@pytest.mark.parametrize("row", ROWS, ids=row_name)
def test_a_published_number_is_the_printed_one(row):
    published = record_of(row).number
    if row["section"] == "ImageNet":
        assert (published.top1, published.top5) == (76.4, 93.2)  # 100 - 23.6, 100 - 6.8
        assert published.as_printed == {"top1": float(row["top1"]), "top5": float(row["top5"])}
        return
    expected = [float(row[head]) if head in row else None for head in ("top1", "top5", "map")]
    assert [published.top1, published.top5, published.map] == expected
    assert published.as_printed is None


@pytest.mark.parametrize("row", ROWS, ids=row_name)
def test_a_record_starts_from_the_file_that_its_row_links(row):
    record = record_of(row)
    start = row.get("pretrain", row.get("pretrain model", "Train From Scratch"))
    if start == "Train From Scratch":
        assert record.pretrain is None
    else:
        assert registry.record(record.pretrain).checkpoint.url == start


@pytest.mark.parametrize("row", [row for row in ROWS if "config" in row], ids=row_name)
def test_a_config_is_the_printed_one_except_where_charades_rows_print_the_wrong_one(row):
    assert record_of(row).config == row["config"].replace("SSv2/", f"{row['section']}/").replace(
        "Something-Something V2/", "SSv2/"
    )


@pytest.mark.parametrize("row", [row for row in ROWS if "ava version" in row], ids=row_name)
def test_an_ava_record_is_judged_by_its_own_version(row):
    protocol = record_of(row).protocol
    assert protocol.dataset == f"ava_v{row['ava version']}"
    assert protocol.detection.version == row["ava version"]
    files = (protocol.detection.label_map, protocol.detection.exclusions, protocol.detection.ground_truth)
    assert all(f"v{row['ava version']}" in file for file in files)


def test_every_link_of_the_document_is_a_record_and_every_record_a_link(zoo):
    links = set(re.findall(r"\]\((https://dl\.fbaipublicfiles\.com/\S+?)\)", DOCUMENT.read_text(encoding="utf-8")))
    assert len(links) == 22
    assert {record.checkpoint.url for record in zoo.values()} - {None} == links
    assert len(zoo) == 22 + 2


@pytest.mark.parametrize("row", [row for row in ROWS if row["model"] != "coming_soon"], ids=row_name)
def test_the_upstream_name_is_the_files_name(row):
    assert record_of(row).upstream_name == row["model"].rsplit("/", 1)[1].rsplit(".", 1)[0]

"""Records against what their publishers' tables print, which is written down in printed_tables.yaml by itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import videohub
from videohub import registry
from videohub.registry import strict_yaml

TABLES = strict_yaml.read(Path(__file__).parent / "printed_tables.yaml").value
ROWS = {name: (publisher, row) for publisher, rows in TABLES.items() for name, row in rows.items()}
# Networks with another number of parameters than their row prints; docs/errata.yaml tells each.
NOT_AS_PRINTED = {
    "mvitv2_l_40x3_k400": 213_390_112,
    "pysf_ptv_slow_r50_8x8_ssv2": 31_991_022,
    "ptv_slow_r50_8x8_ssv2": 31_991_022,
    "ptv_slow_r50_4x16_ava22": 31_798_416,
}


@pytest.mark.parametrize("name", ROWS)
def test_a_record_has_the_file_the_clip_and_the_numbers_of_its_row(name):
    publisher, row = ROWS[name]
    record = registry.record(name)
    assert record.publisher == publisher
    assert record.checkpoint.url == row["url"]
    if row["clip"] is not None:
        assert f"{record.frames} x {record.rate}" == row["clip"]
    numbers = []
    for published in record.published:
        views = {"views": f"{published.views.clips} x {published.views.crops}"} if published.views else {}
        views |= {"on": published.mapped.dataset} if published.mapped else {}
        given = {"top1": published.top1, "top5": published.top5, "map": published.map}
        numbers.append({field: number for field, number in given.items() if number is not None} | views)
    assert numbers == row["numbers"]


def test_every_record_of_these_publishers_is_a_row_and_the_seed_s_are_not():
    ours = strict_yaml.read(registry.files()[0]).value["records"]
    records = registry.load(registry.files()[0]).records.values()
    assert {each.name for each in records if each.publisher in TABLES} - ours.keys() == {
        registry.record(name).name for name in ROWS
    }


@pytest.mark.parametrize("name", [name for name, (_, row) in ROWS.items() if "params" in row])
def test_a_network_has_as_many_parameters_as_its_row_prints(name):
    printed = ROWS[name][1]["params"]
    with torch.device("meta"):
        network = videohub.build(registry.record(name))
    count = sum(parameter.numel() for parameter in network.parameters())
    if name in NOT_AS_PRINTED:
        assert count == NOT_AS_PRINTED[name]
    elif isinstance(printed, int):
        assert count == printed
    else:  # in millions, rounded or cut short
        unit = 10.0 ** -len(printed.partition(".")[2])
        assert abs(count / 1e6 - float(printed)) < unit

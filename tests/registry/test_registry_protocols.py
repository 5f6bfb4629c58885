"""The protocols of records against the pipelines that golden views were made with."""

from __future__ import annotations

import pytest

from tests.data.golden_views import cases, golden_case, how
from tests.data.test_views_wider import CASES, stated
from videohub import registry
from videohub.errors import UnknownNameError

OF_TORCHVISION = sorted({(facts["group"], name) for facts in CASES.values() if facts["family"] == "torchvision"
                         for name in facts["records"]})  # fmt: skip


def known(name: str) -> registry.Record:
    try:
        return registry.record(name)
    except UnknownNameError:
        pytest.skip(f"{name} is not recorded yet")


def is_the_same_test(record: registry.Record, protocol, clip) -> bool:
    recorded = record.protocol
    return (recorded.frames, recorded.pixels, recorded.views, record.clip) == (
        protocol.frames, protocol.pixels, protocol.views, clip)  # fmt: skip


@pytest.mark.parametrize(("group", "name"), OF_TORCHVISION)
def test_a_record_of_torchvision_states_its_pipeline(group, name):
    facts = next(facts for facts in CASES.values() if facts.get("group") == group)
    assert is_the_same_test(known(name), *stated(facts))


@pytest.mark.parametrize("case", cases("kinetics"))
def test_a_record_of_pyslowfast_states_its_test(case):
    facts, _ = golden_case(case)
    upstream_name = facts["config"].rpartition("/")[2].removesuffix(".yaml")
    record, (protocol, clip) = known(f"pyslowfast/{upstream_name}"), how(facts)
    views = {"clips": protocol.views.clips, "crops": len(protocol.views.crops)}
    if upstream_name.startswith("MVIT"):
        assert is_the_same_test(record, protocol, clip)
    else:  # some of the golden views are of fewer clips and crops than the test has
        changed = record.protocol.with_views(**views)
        assert (changed.frames, changed.views, record.clip) == (protocol.frames, protocol.views, clip)

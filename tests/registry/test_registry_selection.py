"""Listings: patterns and filters."""

from __future__ import annotations

import pytest

from videohub import registry
from videohub.errors import UsageError


def listed(zoo, *arguments, **filters):
    return [name for name in registry.list_models(*arguments, **filters) if name in zoo]


def test_a_listing_is_in_the_order_of_the_table(zoo):
    assert listed(zoo) == list(zoo)
    assert listed(zoo)[:2] == ["c2d_nopool_r50_8x8", "i3d_r50_8x8"]


@pytest.mark.parametrize(
    ("filters", "number"),
    [
        ({"dataset": "ava"}, 4),
        ({"dataset": "ava_v2.1"}, 1),
        ({"dataset": "kinetics"}, 9 + 2 + 4),
        ({"dataset": "k400"}, 9 + 2 + 1),
        ({"dataset": "KINETICS400"}, 9 + 2 + 1),
        ({"dataset": "k600"}, 3),
        ({"dataset": "ssv2"}, 2),
        ({"dataset": "charades"}, 2),
        ({"dataset": "imagenet"}, 1),
        ({"arch": "i3d"}, 1),
        ({"arch": "I3D*"}, 2),
        ({"arch": "slow"}, 4),
        ({"depth": "r101"}, 2 + 3 + 3),
        ({"status": "unreleased"}, 2),
        ({"status": "broken"}, 1),
        ({"dataset": "ava", "arch": "slowfast", "depth": "R101", "status": "available"}, 3),
    ],
)
def test_filters_keep_what_fits_all_of_them(zoo, filters, number):
    assert len(listed(zoo, **filters)) == number


def test_a_pattern_is_of_the_id_or_the_upstream_name(zoo):
    assert listed(zoo, "SLOWONLY*") == ["slow_r50_4x16", "slow_r50_8x8"]
    assert listed(zoo, "slow_*8x8") == ["slow_r50_8x8"]
    assert listed(zoo, "i3d") == []


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"dataset": "k4000"}, r"^dataset 'k4000' is not known\. Known: kinetics400, .*k600.*ava"),
        ({"arch": "x4d"}, r"^arch 'x4d' is not known\. Known: c2d, i3d, i3d_nln, slow, slowfast, resnet\.$"),
        ({"depth": "R5"}, r"^depth 'R5' is not known\. Known: R50, R101"),
        ({"status": "ok"}, r"^status 'ok' is not known\. Known: available, unreleased, broken\.$"),
    ],
)
def test_a_value_nobody_knows_is_an_error_that_lists_the_known_ones(filters, message):
    with pytest.raises(UsageError, match=message):
        registry.list_models(**filters)

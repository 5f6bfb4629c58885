"""Files of two layouts, by the maps from one's keys to the other's with which the originals gave the same logits."""

import json

import pytest
import torch

from tests.models.golden_networks import CASES, GOLDEN

MAPS = sorted((GOLDEN / "modern" / "correspondence").glob("*.json"))


LARGE = "vjepa2__hf_vjepa2-vitl-fpc16-256-ssv2"


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem, marks=[pytest.mark.slow] * (path.stem == LARGE))
                                  for path in MAPS])  # fmt: skip
def test_a_file_moved_to_the_other_layout_key_by_key_holds_the_same_network(path):
    """Whose logits are the original's, as the golden networks show."""
    said = json.loads(path.read_text())
    original = CASES[f"modern/{said['from']}"]
    other = CASES.get(f"modern/{said['to']}") or CASES[f"wider/{said['to']}"]
    file = original.golden_file()
    moved = {there: file[here] if rows is None else file[here][slice(*rows)] for there, here, rows in said["map"]}
    assert moved.keys() == other.golden_file().keys()
    expected, state = original.state(file), other.state(moved)
    assert state.keys() == expected.keys()
    assert [key for key in state if not torch.equal(state[key], expected[key])] == []

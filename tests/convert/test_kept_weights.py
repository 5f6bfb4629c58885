"""Files of converted weights: their checksum notices every damage, and their digest depends on the tensors alone."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from videohub import weights
from videohub.convert import kept_weights
from videohub.convert.kept_weights import weights_digest
from videohub.errors import FormatError

TENSORS = {"a.weight": torch.arange(6.0).reshape(2, 3), "b.bias": torch.zeros(2)}


@pytest.mark.parametrize(
    "other",
    [
        {**TENSORS, "c.bias": torch.zeros(1)},
        {"a.weight": TENSORS["a.weight"], "c.bias": TENSORS["b.bias"]},
        {**TENSORS, "a.weight": TENSORS["a.weight"].reshape(3, 2)},
        {**TENSORS, "b.bias": TENSORS["b.bias"].to(torch.int32)},
        {**TENSORS, "b.bias": torch.tensor([0.0, -0.0])},
        {"a.weight": torch.zeros(2, 3), "b.bias": torch.tensor([0.0, 1.0])},
    ],
    ids=["one more", "name", "shape", "type", "a bit", "values"],
)
def test_every_difference_shows(other):
    assert weights_digest(other) != weights_digest(TENSORS)


def test_order_and_layout_in_memory_do_not_show():
    turned = {"b.bias": TENSORS["b.bias"], "a.weight": TENSORS["a.weight"].T.contiguous().T}
    assert not turned["a.weight"].is_contiguous()
    assert weights_digest(turned) == weights_digest(TENSORS)


def test_batch_counters_which_only_training_reads_do_not_show():
    counted = {**TENSORS, "norm.num_batches_tracked": torch.tensor(7)}
    assert weights_digest(counted) == weights_digest(TENSORS)


def test_no_tensor_is_too_narrow_or_too_flat():
    for dtype in (torch.float64, torch.float16, torch.bfloat16, torch.uint8, torch.bool):
        assert len(weights_digest({"x": torch.ones((), dtype=dtype), "y": torch.ones(0, 3, dtype=dtype)})) == 64


def test_the_checksum_notices_every_damage(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path / "cache"))
    path = weights.fetch("slowfast_motions")
    sound = path.read_bytes()
    kept_weights.check(path)
    header = int.from_bytes(sound[:8], "little")
    text = sound[8 : 8 + header]
    for at in (8 + text.index(b"SLOWFAST_MOTIONS"), 8 + text.index(b'"labels"') + 12, 8 + header, len(sound) - 1):
        damaged = bytearray(sound)
        damaged[at] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(FormatError, match="damaged"):
            kept_weights.check(path)
    path.write_bytes(sound)
    kept_weights.check(path)


def test_a_safetensors_file_of_somebody_else_is_no_kept_weights(tmp_path):
    save_file({"weight": torch.ones(2)}, tmp_path / "other.safetensors")
    with pytest.raises(FormatError, match="does not name videohub"):
        kept_weights.origin(tmp_path / "other.safetensors")

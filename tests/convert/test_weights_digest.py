"""The digest that weights are known by depends on names, types, shapes and bytes, and on nothing else."""

from __future__ import annotations

import pytest
import torch

from videohub.convert.kept_weights import weights_digest

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

"""Models in other types than float32, and programs that set another default type: predictions are the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch

import videohub
from videohub.data.synthetic import motions
from videohub.models.transformer import rotary_turns

MOVING_RIGHT = "test_00001.mp4"


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """One of the demo's videos, which moves right."""
    listing = motions.generate(tmp_path_factory.mktemp("motions"), clips=2)
    return next(listing.parent.rglob(MOVING_RIGHT))


@pytest.fixture(scope="module")
def expected(video):
    (best,) = videohub.predict(video, "slowfast_motions", topk=1)
    assert best.label == "moving right"
    return best


@contextmanager
def float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.fixture
def float64_by_default():
    with float64():
        yield


def test_a_program_whose_default_type_is_float64_gets_the_same_prediction(video, expected, float64_by_default):
    assert videohub.predict(video, "slowfast_motions", topk=1) == [expected]


def test_a_program_whose_default_type_is_float64_gets_the_same_features(video):
    expected = videohub.features(video, "slowfast_motions", stride=16)
    with float64():
        result = videohub.features(video, "slowfast_motions", stride=16)
    assert result.values.dtype == np.float32
    np.testing.assert_array_equal(result.values, expected.values)


def test_positions_are_turned_alike_whatever_the_default_type():
    expected = rotary_turns((2, 3, 4), 20, device=torch.device("cpu"))
    with float64():
        assert torch.equal(rotary_turns((2, 3, 4), 20, device=torch.device("cpu")), expected)


def test_networks_are_float32_whatever_the_default_type(float64_by_default):
    for model in (
        videohub.build("slowfast_motions"),
        videohub.load("slowfast_motions"),
        videohub.load("slowfast_motions", num_classes=3),
    ):
        kinds = {value.dtype for value in model.state_dict().values() if value.is_floating_point()}
        assert kinds == {torch.float32}
    assert videohub.speed("slowfast_motions", seconds=0.01).turns >= 3


@pytest.mark.parametrize(
    ("dtype", "close"), [(torch.float64, 1e-5), (torch.bfloat16, 0.05), (torch.float16, 0.01)], ids=str
)
def test_a_model_of_another_type_predicts_the_same(video, expected, dtype, close):
    model = videohub.load("slowfast_motions").to(dtype)
    (best,) = videohub.predict(video, model, topk=1)
    assert best.label == expected.label
    assert best.probability == pytest.approx(expected.probability, abs=close)

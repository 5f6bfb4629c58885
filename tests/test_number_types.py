"""Models in other types than float32, and programs that set another default type: predictions are the same."""

from __future__ import annotations

import pytest
import torch

import videohub
from videohub.data.synthetic import motions

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


@pytest.fixture
def float64_by_default():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_a_program_whose_default_type_is_float64_gets_the_same_prediction(video, expected, float64_by_default):
    assert videohub.predict(video, "slowfast_motions", topk=1) == [expected]


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

"""torchvision's person detector: its weights on their way here, its network, and what stands in for it."""

from __future__ import annotations

import hashlib
import io
import re

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models.detection import FasterRCNN, FasterRCNN_ResNet50_FPN_Weights, fasterrcnn_resnet50_fpn
from torchvision.models.detection.anchor_utils import AnchorGenerator

from tests.hub.publisher import running
from videohub import detectors
from videohub.detectors import load_detector, people_in
from videohub.errors import ChecksumError, ConversionError, DownloadError, OfflineError, UnsafeFileError, UsageError
from videohub.hub import pins
from videohub.resources import cache_home

CPU = torch.device("cpu")


def small() -> nn.Module:
    """Return a network of torchvision's kind with other weights each time, a thousandth of the size."""
    backbone = nn.Sequential(nn.Conv2d(3, 8, 3, stride=16, padding=1), nn.ReLU())
    backbone.out_channels = 8
    network = FasterRCNN(
        backbone,
        num_classes=91,
        min_size=64,
        max_size=128,
        rpn_anchor_generator=AnchorGenerator(((32,),), ((1.0,),)),
        rpn_post_nms_top_n_test=20,
        box_score_thresh=0.0,
    )
    return network.eval()


@pytest.fixture(autouse=True)
def home(own_cache):
    """Each test has a cache of its own."""


@pytest.fixture
def publisher():
    with running() as server:
        yield server


def saved(network: nn.Module, *, legacy: bool = False) -> bytes:
    file = io.BytesIO()
    torch.save(network.state_dict(), file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


@pytest.fixture
def published(publisher, monkeypatch):
    """Publish content under a name that ends in its own eight digits, or in others, and let detectors fetch it."""

    def publish(content: bytes, digits: str | None = None) -> str:
        digits = digits or hashlib.sha256(content).hexdigest()[:8]
        url = publisher.publish(f"/models/fasterrcnn-{digits}.pth", content)
        monkeypatch.setattr(detectors, "URL", url)
        monkeypatch.setattr(detectors, "_network", small)
        return url

    return publish


@pytest.mark.parametrize("legacy", [False, True])
def test_weights_are_fetched_once_read_and_pinned(published, publisher, legacy):
    original = small()
    content = saved(original, legacy=legacy)
    url = published(content)
    for _ in range(2):
        loaded = load_detector("torchvision").state_dict()
        assert all(torch.equal(tensor, loaded[key]) for key, tensor in original.state_dict().items())
    assert publisher.requests == [url.removeprefix(publisher.url(""))]
    assert pins.pin_of(url).sha256 == hashlib.sha256(content).hexdigest()


def test_another_file_than_its_name_says_is_refused_and_does_not_bind(published):
    url = published(saved(small()), digits="258fb6c6")
    with pytest.raises(ChecksumError, match="its publisher says that it begins with 258fb6c6"):
        load_detector()
    assert pins.pin_of(url) is None
    assert not list(cache_home().glob("raw/*"))


def test_nothing_in_the_file_is_run(published):
    class Shout:
        def __reduce__(self):
            return (print, ("run",))

    file = io.BytesIO()
    torch.save({"a": Shout()}, file)
    published(file.getvalue())
    with pytest.raises(UnsafeFileError, match="print"):
        load_detector()


def test_a_file_that_lacks_a_tensor_is_refused(published):
    network = small()
    network.roi_heads.box_predictor.cls_score = nn.Identity()
    published(saved(network))
    with pytest.raises(ConversionError, match="does not hold this network"):
        load_detector()


def test_without_a_connection_the_message_says_where_to_put_the_file(monkeypatch):
    monkeypatch.setenv("VIDEOHUB_OFFLINE", "1")
    with pytest.raises(
        OfflineError, match=r"download\.pytorch\.org/models/fasterrcnn_resnet50_fpn_coco-258fb6c6\.pth in"
    ):
        load_detector()


def test_a_file_that_is_gone_is_told_with_what_to_do_about_a_detector(published, publisher):
    url = published(saved(small()))
    del publisher.files[url.removeprefix(publisher.url(""))]
    with pytest.raises(DownloadError, match="404") as messages:
        load_detector()
    assert "in a folder that VIDEOHUB_MIRRORS names" in str(messages.value)
    assert "--checkpoint" not in str(messages.value)


def test_no_other_name_is_known():
    with pytest.raises(UsageError, match="detector: found 'yolo', expected torchvision, or a network"):
        load_detector("yolo")


def test_the_address_is_the_one_that_torchvision_has():
    assert FasterRCNN_ResNet50_FPN_Weights.COCO_V1.url == detectors.URL
    assert FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"][detectors._PERSON] == "person"
    assert len(FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"]) == detectors._CLASSES


@pytest.mark.slow
def test_the_network_is_torchvisions_to_the_last_bit(monkeypatch):
    torch.manual_seed(0)
    state = {key: torch.randn_like(tensor) * 0.02 if tensor.is_floating_point() else tensor
             for key, tensor in detectors._network().state_dict().items()}  # fmt: skip
    state |= {key: tensor.abs() + 0.5 for key, tensor in state.items() if key.endswith("running_var")}
    monkeypatch.setattr(FasterRCNN_ResNet50_FPN_Weights, "get_state_dict", lambda *_, **__: dict(state))
    theirs = fasterrcnn_resnet50_fpn(weights=FasterRCNN_ResNet50_FPN_Weights.COCO_V1, box_score_thresh=0).eval()
    ours = detectors._network()
    ours.load_state_dict(state)
    ours.roi_heads.score_thresh = 0
    picture = [torch.rand(3, 60, 80)]
    with torch.inference_mode():
        (expected,), (result,) = theirs(picture), ours(picture)
    assert len(expected["boxes"])
    assert all(torch.equal(result[key], expected[key]) for key in ("boxes", "labels", "scores"))


@pytest.mark.slow
def test_the_published_file_s_older_names_are_read(publisher, monkeypatch):
    original = detectors._network()
    older = {
        key.replace("rpn.head.conv.0.0.", "rpn.head.conv."): tensor for key, tensor in original.state_dict().items()
    }
    older = {re.sub(r"(inner|layer)_blocks\.(\d)\.0\.", r"\1_blocks.\2.", key): tensor for key, tensor in older.items()}
    assert {"backbone.fpn.inner_blocks.0.weight", "rpn.head.conv.weight"} <= set(older)
    file = io.BytesIO()
    torch.save(older, file, _use_new_zipfile_serialization=False)
    digits = hashlib.sha256(file.getvalue()).hexdigest()[:8]
    url = publisher.publish(f"/models/fasterrcnn_resnet50_fpn_coco-{digits}.pth", file.getvalue())
    monkeypatch.setattr(detectors, "URL", url)
    loaded = load_detector().state_dict()
    assert all(torch.equal(tensor, loaded[key]) for key, tensor in original.state_dict().items())


# --- what it says ----------------------------------------------------------------------------------------------------

PICTURE = np.full((48, 64, 3), (255, 0, 51), np.uint8)


def answering(boxes, labels, scores):
    """Return a detector that gives this answer, and the list of what it was asked."""
    asked = []

    def detector(pictures):
        asked.extend(pictures)
        return [
            {
                "boxes": torch.tensor(boxes).reshape(-1, 4),
                "labels": torch.tensor(labels),
                "scores": torch.tensor(scores),
            }
        ]

    return detector, asked


def test_people_are_class_one_at_the_threshold_or_above_in_the_detectors_order():
    detector, asked = answering(
        [[0.0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]], [1, 2, 1, 1], [0.9, 0.99, 0.8125, 0.79]
    )
    assert people_in(PICTURE, detector, threshold=0.8125, device=CPU) == [(0, 1, 2, 3), (8, 9, 10, 11)]
    assert asked[0].shape == (3, 48, 64)
    assert asked[0][:, 5, 7].tolist() == pytest.approx([1, 0, 0.2])


def test_nobody_is_an_empty_list():
    detector, _ = answering([], [], [])
    assert people_in(PICTURE, detector, threshold=0.8, device=CPU) == []


def test_a_network_of_torchvisions_kind_is_called_as_it_is():
    assert isinstance(people_in(PICTURE, small(), threshold=0.0, device=CPU), list)


def test_a_detector_in_training_mode_is_refused():
    with pytest.raises(UsageError, match="found a network in training mode"):
        people_in(PICTURE, small().train(), threshold=0.8, device=CPU)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        [torch.zeros(1, 6)],
        [{"boxes": torch.zeros(2, 4)}],
        [{"boxes": torch.zeros(2, 4), "labels": torch.ones(1), "scores": torch.ones(2)}],
    ],
)
def test_another_answer_is_refused(answer):
    with pytest.raises(UsageError, match="expected what torchvision's detection networks return"):
        people_in(PICTURE, lambda pictures: answer, threshold=0.8, device=CPU)

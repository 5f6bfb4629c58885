"""Class names, in the order of the networks' outputs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from videohub import registry, resources
from videohub.data.labels import class_names
from videohub.errors import UsageError


@pytest.mark.parametrize(
    ("label_set", "count", "known"),
    [
        ("kinetics400", 400, {0: "abseiling", 5: "archery", 399: "zumba"}),
        (
            "kinetics400_uniformer",
            400,
            {
                0: "riding a bike",
                1: "marching",
                87: "skiing (not slalom or crosscountry)",
                263: "massaging person's head",
                399: "playing badminton",
            },
        ),
        ("kinetics600", 600, {0: "abseiling", 599: "zumba"}),
        ("imagenet1k", 1000, {0: "tench", 1: "goldfish", 998: "ear", 999: "toilet tissue"}),
        ("ssv2", 174, {0: "Approaching something with your camera"}),
        ("charades", 157, {0: "Holding some clothes", 2: "Taking some clothes from somewhere"}),
        ("ava", 80, {11: "stand", 79: "watch (a person)"}),
    ],
)
def test_each_set_is_complete_and_in_order(label_set, count, known):
    names = class_names(label_set)
    assert len(names) == len(set(names)) == count
    for index, name in known.items():
        assert names[index] == name


def test_uniformer_s_authors_count_the_same_classes_in_another_order():
    """mmaction2, which sorts their rows, says where its first twelve are (k710_channel_map/map_k400.json)."""
    sorted_names, theirs = class_names("kinetics400"), class_names("kinetics400_uniformer")
    assert sorted(theirs) == sorted(sorted_names)
    assert [theirs.index(name) for name in sorted_names[:12]] == [
        341, 158, 189, 16, 398, 302, 202, 318, 80, 323, 249, 315
    ]  # fmt: skip


def test_torchvision_s_names_are_those_of_its_weights_whether_it_is_imported_or_not(monkeypatch):
    from torchvision.models import ResNet50_Weights
    from torchvision.models.video import R3D_18_Weights

    weights = {"kinetics400": R3D_18_Weights.DEFAULT, "imagenet1k": ResNet50_Weights.DEFAULT}
    for label_set, of in weights.items():
        assert class_names(label_set) == tuple(of.meta["categories"])
    monkeypatch.setattr(registry.labels, "_LISTS", dict.fromkeys(weights, "_ELSEWHERE"))
    for label_set, of in weights.items():
        assert class_names(label_set) == tuple(of.meta["categories"])


def test_torchvision_s_names_are_read_without_it():
    code = (
        "import sys; from videohub.data.labels import class_names; class_names('kinetics400');"
        "print([name for name in ('torch', 'torchvision') if name in sys.modules])"
    )
    checkout = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=checkout, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("label_set", ["kinetics400", "kinetics600", "ssv2"])
def test_sorted_sets_are_sorted(label_set):
    assert list(class_names(label_set)) == sorted(class_names(label_set))


def test_sixty_of_avas_eighty_actions_are_evaluated():
    actions = yaml.safe_load(resources.labels_file().read_text(encoding="utf-8"))["ava"]
    assert [action["id"] for action in actions] == list(range(1, 81))
    assert sum(action["evaluated"] for action in actions) == 60


def test_an_unknown_set_is_answered_with_the_known_ones():
    with pytest.raises(
        UsageError, match=r"'kinetics'; known: ava, ava_background, charades, imagenet1k, kinetics400, kinetics400_"
    ):
        class_names("kinetics")


def test_lists_labels_and_sampling_load_neither_torch_nor_a_decoder():
    code = (
        "import sys, videohub.data.labels, videohub.data.sets.lists, videohub.data.sampling;"
        "videohub.data.labels.class_names('ava');"
        "print([name for name in ('torch', 'torchvision', 'av') if name in sys.modules])"
    )
    checkout = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=checkout, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

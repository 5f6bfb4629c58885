"""Some of a network's outputs, named by a file, are scored as the classes of another data set."""

from __future__ import annotations

import json

import msgspec
import numpy as np
import pytest
import torch

import videohub
from tests.verification import datasets
from videohub import convert, runs
from videohub.errors import DataError, UsageError
from videohub.registry import writer
from videohub.registry.published import Mapped, Published

NAME = "tiny_mapped"
OUTPUTS = [3, 17, 5]


@pytest.fixture
def own(zoo, tmp_path, monkeypatch):
    """A network of 400 outputs of which the last is the likeliest everywhere, and of those that are mapped, the 17th.

    Its record states a number of three of them.
    """
    tiny = videohub.record("tiny_kinetics")
    model = videohub.build(tiny)
    with torch.no_grad():
        model.head.projection.weight.zero_()
        model.head.projection.bias.zero_()
        model.head.projection.bias[17] = 1.0
        model.head.projection.bias[399] = 30.0
    file = tmp_path / "mapped.pyth"
    convert.export(model.state_dict(), tiny, "pyslowfast", file)
    mapped = Published(source="invented", top1=50.0, mapped=Mapped(dataset="kinetics600", classes=3))
    record = msgspec.structs.replace(
        tiny, name=NAME, upstream_name="TINY_MAPPED", published=(*tiny.published, mapped),
        checkpoint=msgspec.structs.replace(tiny.checkpoint, url=file.as_uri()),
    )  # fmt: skip
    (tmp_path / "mapped.yaml").write_text(writer.text([record], known=[tiny.protocol.name]), encoding="utf-8")
    monkeypatch.setenv("VIDEOHUB_REGISTRY", f"{zoo}:{tmp_path / 'mapped.yaml'}")
    return record


@pytest.fixture
def data(tmp_path):
    """Six videos of classes 0 to 2, two of each; class 1 is the 17th output."""
    listing, _ = datasets.kinetics(tmp_path / "data")
    listing.write_text("".join(f"v{number}.mp4 {number % 3}\n" for number in range(6)))
    return listing


@pytest.fixture
def outputs(tmp_path):
    (tmp_path / "label_400to3.json").write_text(json.dumps(OUTPUTS))
    return tmp_path / "label_400to3.json"


def test_the_outputs_are_picked_before_the_softmax_and_the_rest_does_not_count(own, data, outputs, tmp_path):
    made = videohub.verify(NAME, data, label_map=outputs, out=tmp_path / "run", workers=0)
    assert made.comparisons[0].recomputed == pytest.approx(100 / 3)  # class 1, always
    assert (made.dataset, made.published.top1) == ("kinetics600", 50.0)
    assert (made.label_map.classes, made.label_map.outputs) == (3, 400)
    assert "--label-map FILE" in made.command
    joined = runs.join([tmp_path / "run"])
    assert (joined.identity.num_classes, joined.identity.dataset) == (3, "kinetics600")
    _, scores = joined.video_scores()  # summed over views; e^1 against e^0 twice
    by_hand = np.array([1, np.e, 1]) / (np.e + 2) * made.protocol.num_views
    assert scores == pytest.approx(np.broadcast_to(by_hand, (6, 3)), rel=1e-5)


def test_the_map_belongs_to_the_run_and_a_report_made_later_says_so(own, data, outputs, run, tmp_path):
    folder = tmp_path / "run"
    code, out, _ = run("verify", NAME, "--data", data, "--label-map", outputs, "--out", folder, "--workers", 0)
    assert code == 3  # six videos
    assert "3 of the network's 400 outputs, by a label map with sha256" in " ".join(out.split())
    again = videohub.verification.report([folder])
    assert again.label_map == videohub.verify(NAME, data, label_map=outputs, out=folder, workers=0).label_map
    assert "3 of the network's 400 outputs" in (folder / "report.md").read_text()
    outputs.write_text("[3, 17, 6]")
    with pytest.raises(UsageError, match=r"label_map\.sha256: "):
        videohub.verify(NAME, data, label_map=outputs, out=folder, workers=0)


def test_numbers_without_a_verdict_and_the_look_at_the_data_take_it_too(own, data, outputs, run):
    result = videohub.evaluate(NAME, data, label_map=outputs, workers=0, clips=1, crops=1)
    assert result.numbers[0].value == pytest.approx(100 / 3)
    assert result.label_map.classes == 3
    code, out, _ = run("benchmark", NAME, "--data", data, "--label-map", outputs, "--clips", 1, "--crops", 1,
                       "--workers", 0, "--json")  # fmt: skip
    assert (code, json.loads(out)["numbers"]) == (0, json.loads(msgspec.json.encode(result.numbers)))
    assert "3 of 3 occur" in " ".join(run("data", "check", NAME, "--data", data, "--label-map", outputs)[1].split())
    data.write_text("v0.mp4 3\n")
    with pytest.raises(DataError, match="label 3 is out of range; 3 classes have labels 0 to 2"):
        videohub.evaluate(NAME, data, label_map=outputs, workers=0)


@pytest.mark.parametrize(
    ("labels", "line"),
    [
        (["applauding", "Bee_keeping", "archery"], None),
        (["applauding", "archery", "bee keeping"],
         "tiny_mapped: the labels name 2 of 3 classes otherwise than the outputs of the label map: "
         "class 1 is archery, and output 17 is bee keeping"),
    ],
    ids=["in another spelling", "in another order"],
)  # fmt: skip
def test_labels_that_contradict_the_names_of_the_outputs_are_told(own, data, outputs, caplog, labels, line):
    """Kinetics-400 has applauding, archery and bee keeping at 3, 5 and 17."""
    videohub.preflight.check(NAME, data, labels=labels, label_map=outputs)
    videohub.evaluate(NAME, data, labels=labels, label_map=outputs, workers=0, clips=1, crops=1)
    assert [each for each in caplog.messages if "label map" in each] == ([line, line] if line else [])


def test_several_records_share_one_map(own, data, outputs):
    one, other = own, msgspec.structs.replace(own, name="tiny_other")
    reports = videohub.verify_together([one, other], data, label_map=outputs, workers=0, clips=1, crops=1)
    assert [each.comparisons[0].recomputed for each in reports] == pytest.approx([100 / 3, 100 / 3])


def test_what_cannot_be_compared_is_refused_before_anything_is_fetched(own, data, outputs, run, monkeypatch):
    monkeypatch.setattr("videohub.verification.runner.fetch", lambda *_, **__: pytest.fail("it was fetched"))
    outputs.write_text("[1, 2]")
    code, out, err = run("verify", NAME, "--data", data, "--label-map", outputs)
    assert (code, out) == (2, "")
    assert "a label map with 2 classes, and its source states no number of as many, but of 3 (kinetics600)" in err
    outputs.write_text("[1, 2, 400]")
    for verb in ("verify", "benchmark"):
        code, out, err = run(verb, NAME, "--data", data, "--label-map", outputs)
        assert (code, out) == (2, "")
        assert "names output 400, and the network has 400, from 0" in err


@pytest.mark.parametrize("call", [videohub.verify, videohub.evaluate])
def test_the_file_is_read_once_in_a_call(own, outputs, tmp_path, monkeypatch, call):
    """A file that changes meanwhile cannot make the check of one map and the run of another."""
    read: list[object] = []
    for room in ("verification", "preflight"):
        monkeypatch.setattr(f"videohub.{room}.read_map", lambda path: (read.append(path), tuple(OUTPUTS))[1])
    with pytest.raises(UsageError, match="no such file or folder"):
        call(NAME, tmp_path / "nowhere", label_map=outputs, workers=0)
    assert read == [outputs]

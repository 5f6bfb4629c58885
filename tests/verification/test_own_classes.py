"""A network of somebody's own classes: measured with as many as its file has, and not judged by another's number."""

from __future__ import annotations

import pytest
import torch

import videohub
from tests.verification import datasets
from videohub import registry, runs
from videohub.errors import DataError, UsageError

NAME = "tiny_kinetics"  # of 400 classes
NAMES = ("bar a", "bar b", "bar c", "bar d", "bar e", "bar f")


@pytest.fixture
def own(zoo, tmp_path):
    """A network of six classes that finds the fourth everywhere."""
    model = videohub.build(NAME, num_classes=6)
    with torch.no_grad():
        model.head.projection.weight.zero_()
        model.head.projection.bias.copy_(torch.tensor([0, 0, 0, 9.0, 0, 0]))
    torch.save({"model": {f"module.{key}": value for key, value in model.state_dict().items()}}, tmp_path / "own.pth")
    return tmp_path / "own.pth"


@pytest.fixture
def data(tmp_path):
    """Six videos, of classes 0 to 5; one of them is the fourth."""
    listing, _ = datasets.kinetics(tmp_path / "data")
    listing.write_text("".join(f"v{number}.mp4 {number}\n" for number in range(6)))
    return listing


def test_its_numbers_are_those_of_its_classes(own, data, tmp_path):
    result = videohub.evaluate(NAME, data, checkpoint=own, out=tmp_path / "run", workers=0, clips=1, crops=1)
    assert result.numbers[0].value == pytest.approx(100 / 6)  # one of six
    identity = runs.join([tmp_path / "run"]).identity
    assert (identity.num_classes, identity.labels) == (6, None)


def test_a_label_that_it_has_no_output_for_is_refused(own, data):
    data.write_text("v0.mp4 6\n")
    with pytest.raises(DataError, match="label 6 is out of range; 6 classes have labels 0 to 5"):
        videohub.evaluate(NAME, data, checkpoint=own, workers=0)


def test_folders_and_official_lists_are_read_by_its_names(own, data, tmp_path):
    for number, name in enumerate(NAMES):
        folder = tmp_path / "folders" / name.replace(" ", "_")
        folder.mkdir(parents=True)
        (data.parent / f"v{number}.mp4").rename(folder / f"v{number}.mp4")
    with pytest.raises(UsageError, match="names of the classes are needed here, and none are stated"):
        videohub.evaluate(NAME, tmp_path / "folders", checkpoint=own, workers=0)
    result = videohub.evaluate(
        NAME, tmp_path / "folders", checkpoint=own, labels=NAMES, out=tmp_path / "run", workers=0, clips=1, crops=1
    )
    assert result.numbers[0].value == pytest.approx(100 / 6)
    assert runs.join([tmp_path / "run"]).identity.labels == NAMES


def test_verify_refuses_it_before_anything_is_scored(own, data, run, tmp_path):
    with pytest.raises(UsageError, match=r"own\.pth has 6 classes, and top-1 50\.0 .* was published of 400"):
        videohub.verify(NAME, data, checkpoint=own, out=tmp_path / "run", workers=0)
    assert not (tmp_path / "run").exists()
    code, out, err = run("verify", NAME, "--data", data, "--checkpoint", own, "--out", tmp_path / "run")
    assert (code, out) == (2, "")
    assert "videohub benchmark tiny_kinetics --data" in err


def test_report_does_not_judge_its_run_either(own, data, run, tmp_path, caplog):
    code, _, _ = run("benchmark", NAME, "--data", data, "--checkpoint", own, "--out", tmp_path / "run", "--clips", 1,
                       "--crops", 1, "--workers", 0)  # fmt: skip
    assert code == 0
    assert "6 classes in own.pth (the record: 400)" in caplog.text
    code, out, err = run("report", tmp_path / "run")
    assert (code, out) == (2, "")
    assert "scores of 6 classes, and top-1 50.0 / top-5 80.0 was published of 400" in err


def test_the_published_file_by_hand_is_verified_as_ever(zoo, tmp_path, data):
    file = zoo.parent / registry.record(NAME).checkpoint.url.rpartition("/")[2]
    made = videohub.verify(NAME, data, checkpoint=file, out=tmp_path / "run", workers=0, clips=1, crops=1)
    assert made.counts.scored == 6
    named = videohub.verify(NAME, data, labels="kinetics400", out=tmp_path / "run", workers=0, clips=1, crops=1)
    assert named.comparisons[0].recomputed == made.comparisons[0].recomputed


def test_labels_that_nobody_knows_stop_everything_before_a_video_is_read(zoo, data, run, tmp_path):
    for verb in (["verify", NAME, "--out", tmp_path / "run"], ["benchmark", NAME], ["data", "check", NAME]):
        code, out, err = run(*verb, "--data", data, "--labels", "nowhere.txt")
        assert (code, out) == (2, "")
        assert "labels: 'nowhere.txt' is neither a label set nor a file" in err
    assert run("benchmark", NAME, "--labels", "nowhere.txt")[0] == 2

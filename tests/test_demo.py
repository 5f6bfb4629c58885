"""The main job end to end, on the embedded demo: a Caffe2 file, real H.264 videos, a verdict."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch

import videohub
from videohub import convert, registry, runs
from videohub.convert import caffe2_pickle
from videohub.data.sets.lists import read_list
from videohub.data.synthetic import motions
from videohub.errors import DataError, UsageError
from videohub.verification import verify

pytestmark = pytest.mark.slow

NAME = "slowfast_motions"


@pytest.fixture(scope="module")
def listing(tmp_path_factory):
    return motions.generate(tmp_path_factory.mktemp("motions"))


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def some(listing, folder, lines):
    """A list of a few of the videos, by absolute path."""
    chosen = [listing.read_text().splitlines()[line].split() for line in lines]
    path = folder / "some.csv"
    path.write_text("".join(f"{listing.parent / name} {label}\n" for name, label in chosen))
    return path


def file_of(record):
    return Path(registry.record(record).checkpoint.url.removeprefix("file://"))


def test_the_published_accuracy_is_recomputed_and_consistent(listing, tmp_path):
    report = verify(NAME, listing, out=tmp_path / "report")
    published = registry.record(NAME).number
    top1, top5 = report.comparisons
    assert (report.counts.listed, report.counts.scored, report.failures) == (320, 320, [])
    assert (top1.published, top5.published) == (published.top1, published.top5)
    assert round(top1.recomputed, 2) == published.top1  # the nearest decision is by 0.012 of nine views' probabilities
    assert round(top5.recomputed, 2) == published.top5
    assert top1.interval[0] < top1.recomputed < top1.interval[1]
    assert report.verdict == "consistent"

    written = json.loads((tmp_path / "report" / "report.json").read_text())
    assert (written["record"], written["verdict"], written["counts"]["scored"]) == (NAME, "consistent", 320)
    assert written["comparisons"][0]["interval"] == list(top1.interval)
    kept = runs.join([tmp_path / "report"])
    _, scores = kept.video_scores()
    assert scores.shape == (320, 10)
    assert np.allclose(scores.sum(axis=1), 9, atol=1e-4)  # nine views, each of probability one
    labels = np.array(kept.truth.classes)[:, 0]
    assert 100 * np.mean(scores.argmax(axis=1) == labels) == pytest.approx(top1.recomputed)


def test_slightly_corrupted_weights_are_inconsistent(listing, tmp_path):
    """Two classes change places, in 2 of the classifier's 10 rows: at most 64 right answers of 320 become wrong."""
    blobs = convert.read(file_of(NAME)).tensors
    for name in ("pred_w", "pred_b"):
        blobs[name][[0, 1]] = blobs[name][[1, 0]]
    caffe2_pickle.write(tmp_path / "corrupted.pkl", blobs)
    report = verify(NAME, listing, checkpoint=tmp_path / "corrupted.pkl")
    assert report.verdict == "inconsistent"
    published = registry.record(NAME).number.top1
    assert published - 25 < report.comparisons[0].recomputed < published - 10
    assert "below the published" in report.reasons[0]


@torch.no_grad()
def test_a_video_s_score_is_the_sum_of_its_views_probabilities(listing, tmp_path):
    chosen = some(listing, tmp_path, range(3))
    verify(NAME, chosen, out=tmp_path / "report")
    model = videohub.load(NAME)
    expected = [
        sum(model(view[None]).softmax(dim=1)[0] for view in videohub.views(item.source.path, NAME)).numpy()
        for item in read_list(chosen, num_classes=10)
    ]
    assert np.allclose(runs.join([tmp_path / "report"]).video_scores()[1], expected, atol=1e-5)


def test_missing_and_broken_videos_are_counted_and_named_and_never_replaced(listing, tmp_path):
    chosen = some(listing, tmp_path, range(6))
    (tmp_path / "broken.mp4").write_bytes(b"not a video at all")
    with chosen.open("a") as file:
        file.write(f"{tmp_path / 'broken.mp4'} 1\n{tmp_path / 'gone.mp4'} 2\n")
    report = verify(NAME, chosen)
    assert (report.counts.listed, report.counts.scored) == (8, 6)
    assert [Path(failure.name).name for failure in report.failures] == ["broken.mp4", "gone.mp4"]
    top1 = report.comparisons[0]
    hits = round(top1.recomputed * 6 / 100)
    assert top1.bounds[0] < 100 * hits / 8 < 100 * (hits + 2) / 8 < top1.bounds[1]


def test_a_list_without_a_usable_video_is_an_error(tmp_path):
    (tmp_path / "list.csv").write_text("gone.mp4 0\n")
    with pytest.raises(DataError, match=r"none of 1 videos could be scored.*gone\.mp4"):
        verify(NAME, tmp_path / "list.csv")


def test_other_views_than_the_protocol_s_give_numbers_but_no_verdict(listing, tmp_path):
    report = verify(NAME, some(listing, tmp_path, range(2)), clips=1, crops=1)
    assert report.protocol.views_in_words == "1 x 1 views"
    assert report.verdict == "insufficient data"
    assert "measured with 3 x 3 views, this run used 1 x 1" in report.reasons[0]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("slow_r50_4x16_k400_ava_pretrain", {}, "states no number"),
        ("slowfast_r101_8x8", {}, "never released"),
        (NAME, {"clips": 0}, "clips: found 0"),
        (NAME, {"crops": 2}, "1 .centre. or 3"),
        (NAME, {"device": "warp"}, "device: found 'warp'"),
    ],
)
def test_what_cannot_be_verified_is_refused_before_any_work(tmp_path, name, options, message):
    (tmp_path / "list.csv").write_text("gone.mp4 0\n")
    with pytest.raises(UsageError, match=message):
        verify(name, tmp_path / "list.csv", **options)


def test_predict_sees_a_video_upright_that_is_stored_turned_and_says_so(caplog):
    video = Path(__file__).parent / "data" / "contradicted" / "turned.mp4"  # "moving right", turned by a quarter
    (best,) = videohub.predict(video, NAME, topk=1)
    assert (best.label, best.probability > 0.9) == ("moving right", True)
    assert "turned picture: 270 degrees" in caplog.text


def test_predict_names_the_motion_and_sums_to_one(listing):
    videos = read_list(listing, num_classes=10)[:30]
    model = videohub.load(NAME)
    right = 0
    for item in videos:
        predictions = videohub.predict(item.source.path, model, topk=10)
        assert sum(prediction.probability for prediction in predictions) == pytest.approx(1, abs=1e-5)
        assert predictions == sorted(predictions, key=lambda prediction: -prediction.probability)
        assert all(motions.CLASSES[prediction.index] == prediction.label for prediction in predictions)
        right += predictions[0].index == item.truth[0]
    assert right >= 12  # by chance 3 of 30; 12 or more have a probability below 1e-5


def test_a_model_that_is_not_ours_cannot_predict(listing):
    with pytest.raises(UsageError, match=r"comes neither from videohub\.load nor from"):
        videohub.predict(read_list(listing, num_classes=10)[0].source.path, torch.nn.Linear(1, 1))


def test_a_new_classifier_is_named_in_one_line_and_the_rest_is_kept(caplog):
    model = videohub.load(NAME, num_classes=3)
    assert caplog.messages == [
        "slowfast_motions: new, to be trained: head.projection.weight (3, 448), head.projection.bias (3,)"
    ]
    kept = videohub.load(NAME).state_dict()
    ours = model.state_dict()
    assert ours["head.projection.weight"].shape == (3, 448)
    assert all(torch.equal(ours[key], kept[key]) for key in kept if not key.startswith("head.projection."))
    assert not model.training


def command(*arguments):
    run = subprocess.run(
        [sys.executable, "-m", "videohub", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    return run.returncode, run.stdout, run.stderr


def test_the_command_line_verifies_and_answers_with_an_exit_code(listing, tmp_path):
    code, out, err = command("verify", NAME, "--data", some(listing, tmp_path, range(4)), "--json",
                             "--out", tmp_path / "run")  # fmt: skip
    report = json.loads(out)
    assert code == {"consistent": 0, "inconsistent": 1, "insufficient data": 3}[report["verdict"]]
    assert report["counts"]["scored"] == 4
    assert "keeping the scores in" in err  # what is of interest once there is nothing to watch


def test_the_command_line_predicts(listing):
    video = read_list(listing, num_classes=10)[0].source.path
    code, out, _ = command("predict", video, "--model", NAME, "--topk", "2", "--json")
    assert code == 0
    result = json.loads(out)
    assert result["name"] == str(video)
    assert [set(row) for row in result["predictions"]] == [{"label", "probability", "index"}] * 2


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (None, 2, "no such video file"),
        (b"", 3, "empty"),
        (b"plain text in a file called .mp4", 3, "not a video"),
        ("truncated", 3, "cut short"),
        ("audio only", 3, "no video stream"),
    ],
)
def test_a_bad_video_gets_one_clear_line_and_an_exit_code(listing, tmp_path, content, code, said):
    path = tmp_path / "bad.mp4"
    if content == "truncated":
        source = read_list(listing, num_classes=10)[0].source.path
        path.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    elif content == "audio only":
        _write_a_tone(path)
    elif content is not None:
        path.write_bytes(content)
    result, out, err = command("predict", path, "--model", NAME)
    assert result == code
    assert out == ""
    assert len(err.strip().splitlines()) == 1
    assert "bad.mp4" in err
    assert said in err


def _write_a_tone(path):
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=44_100, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44_100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_the_demo_is_small_and_its_record_is_complete():
    record = registry.record(NAME)
    assert file_of(NAME).stat().st_size == record.checkpoint.size <= 2_000_000
    assert hashlib.sha256(file_of(NAME).read_bytes()).hexdigest() == record.checkpoint.sha256
    assert convert.read(file_of(NAME)).container == record.checkpoint.container == "caffe2"
    assert 30 < record.number.top1 < 100  # chance is 10


def test_the_command_line_converts_both_ways(tmp_path):
    source = tmp_path / "copy.pkl"
    shutil.copy(file_of(NAME), source)
    code, out, _ = command("convert", source, "--model", NAME, "-o", tmp_path / "a.safetensors", "--json")
    assert code == 0
    assert json.loads(out)["described"] == "caffe2"
    assert (
        command("convert", tmp_path / "a.safetensors", "--model", NAME, "--to", "caffe2", "-o", tmp_path / "b.pkl")[0]
        == 0
    )
    before, after = convert.read(source).tensors, convert.read(tmp_path / "b.pkl").tensors
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[key], after[key]) for key in before)


def test_a_model_in_training_mode_is_refused_and_one_that_predicts_stays_as_it_is(listing):
    path, model = read_list(listing, num_classes=10)[0].source.path, videohub.load(NAME)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    videohub.predict(path, model)
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
    with pytest.raises(UsageError, match=r"in training mode, expected evaluation mode; call model\.eval\(\)"):
        videohub.predict(path, model.train())

"""What huggingface_hub reads back from our cards is what the report says."""

from __future__ import annotations

import re
import sys
import types

import huggingface_hub
import msgspec
import pytest
import yaml

from tests.reporting.kept import kept, record, ten
from videohub import runs
from videohub.errors import UsageError
from videohub.protocols import Image
from videohub.reporting import cards, pages
from videohub.reporting.report import Weights
from videohub.verification.results import build

newer = pytest.mark.skipif(
    not hasattr(huggingface_hub, "EvalResultEntry"), reason="an older huggingface_hub has no files of results"
)


def read_back(report):
    return huggingface_hub.ModelCard(cards.model_card(report)).data


def test_a_card_gives_the_numbers_to_the_hubs_own_reader(kinetics):
    card = read_back(kinetics)
    assert card.model_name == "slowfast_r50_8x8"
    top1, top5 = card.eval_results
    assert (top1.metric_type, top1.metric_name, top1.metric_value) == ("accuracy", "top-1 (%)", 76.0)
    assert (top5.metric_name, top5.metric_value) == ("top-5 (%)", 92.5)
    assert (top1.task_type, top1.dataset_type, top1.dataset_name, top1.dataset_split) == (
        "video-classification", "kinetics400", "Kinetics-400", "val"
    )  # fmt: skip
    assert top1.metric_args == {"videos": 19_701, "interval_95": [75.5, 76.5], "bounds": [75.0, 77.0],
                                "published": 77.0, "verdict": "consistent"}  # fmt: skip


def test_a_card_says_what_the_model_is(kinetics):
    card = read_back(kinetics)
    assert (card.library_name, card.pipeline_tag, card.datasets) == (
        "videohub",
        "video-classification",
        ["kinetics400"],
    )
    assert card.tags == ["videohub", "action-recognition"]


def test_a_mean_average_precision_is_called_one(charades, ava):
    (result,) = read_back(charades).eval_results
    assert (result.metric_type, result.metric_name, result.metric_value) == ("mean_average_precision", "mAP (%)", 50.0)
    (boxes,) = read_back(ava).eval_results
    assert (boxes.metric_name, boxes.metric_args["key_frames"]) == ("mAP at IoU 0.5 (%)", 1)
    assert read_back(ava).tags == ["videohub", "action-detection"]


def test_images_are_not_called_videos(kinetics):
    card = read_back(
        msgspec.structs.replace(kinetics, protocol=msgspec.structs.replace(kinetics.protocol, frames=Image()))
    )
    assert (card.pipeline_tag, card.tags) == ("image-classification", ["videohub"])
    assert card.eval_results[0].metric_args["images"] == 19_701


@pytest.mark.parametrize(
    ("stated", "license", "name"),
    [
        ("Apache-2.0", "apache-2.0", None),
        ("CC-BY-NC-4.0", "cc-by-nc-4.0", None),
        ("not stated for the file; the repository is Apache-2.0", "other",
         "not-stated-for-the-file-the-repository-is-apache-2.0"),
    ],
)  # fmt: skip
def test_a_licence_is_never_guessed(charades, stated, license, name):
    report = msgspec.structs.replace(charades, weights=Weights("ab" * 32, None, stated))
    card = read_back(report)
    assert (card.license, card.get("license_name")) == (license, name)
    assert "The licence of the file, as its publisher states it: " in cards.model_card(report)


def test_the_text_of_a_card_says_the_same(tmp_path, kinetics):
    path = cards.write(kinetics, tmp_path)
    assert path == tmp_path / "README.md"
    text = huggingface_hub.ModelCard.load(path).text
    assert "checked with videohub: **consistent**" in text
    assert "| recomputed | 76.00 | 92.50 |" in text
    assert kinetics.command in text


@newer
def test_a_file_of_results_gives_the_number_to_the_hubs_own_reader(kinetics):
    content = cards.evaluation_results(
        kinetics, dataset_id="org/kinetics400", task_id="top1", source_url="https://example.org/r", source_name="report"
    )
    (entry,) = huggingface_hub.parse_eval_result_entries(yaml.safe_load(content))
    assert (entry.dataset_id, entry.task_id, entry.value) == ("org/kinetics400", "top1", 76.0)
    assert (entry.source_url, entry.source_name, entry.date) == (
        "https://example.org/r", "report", "2026-02-03T04:05:06+00:00"
    )  # fmt: skip
    assert entry.notes == (
        "top-1 in per cent of 19,701 videos, 95 % interval 75.50 to 76.50; 10 x 3 views, bf16; published 77: "
        f"consistent; sha256 of the weights {'ab' * 32}"
    )


def test_a_run_that_stopped_early_has_an_interval_of_its_own_level(ava):
    (result,) = read_back(ava).eval_results
    assert result.metric_args["interval_99"] == [28.0, 30.0]
    assert "interval_95" not in result.metric_args
    assert "99 % interval 28.00 to 30.00" in cards.notes(ava, ava.comparisons[0])


def test_somebody_else_s_readme_is_not_overwritten(tmp_path, kinetics):
    (tmp_path / "README.md").write_text("# My project\n")
    with pytest.raises(UsageError, match=r"README\.md: found a file that is no card of videohub's"):
        cards.write(kinetics, tmp_path)
    assert (tmp_path / "README.md").read_text() == "# My project\n"
    (tmp_path / "README.md").write_text(cards.model_card(kinetics))
    cards.write(kinetics, tmp_path)


@newer
def test_a_benchmark_s_results_lie_beside_the_card(tmp_path, kinetics):
    cards.write(kinetics, tmp_path, benchmark=("org/kinetics400", "top1"))
    assert (tmp_path / "README.md").is_file()
    content = (tmp_path / ".eval_results" / "kinetics400.yaml").read_text(encoding="utf-8")
    (entry,) = huggingface_hub.parse_eval_result_entries(yaml.safe_load(content))
    assert (entry.dataset_id, entry.task_id, entry.value) == ("org/kinetics400", "top1", 76.0)


@newer
def test_a_source_needs_its_address(kinetics):
    with pytest.raises(UsageError, match="'report' without a source_url"):
        cards.evaluation_results(kinetics, dataset_id="a/b", task_id="c", source_name="report")


def test_an_older_huggingface_hub_is_told_what_to_become(kinetics, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(__version__="0.24.0"))
    with pytest.raises(UsageError, match=r"need huggingface_hub 1\.4\.0 or later; found 0\.24\.0"):
        cards.evaluation_results(kinetics, dataset_id="a/b", task_id="c")


def snippet(card: str) -> str:
    (code,) = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    compile(code, "card", "exec")
    return code


def test_a_card_shows_how_to_use_the_record(kinetics, ava):
    used = snippet(cards.model_card(kinetics))
    assert 'model = videohub.load("slowfast_r50_8x8")\nprint(videohub.predict("clip.mp4", model))' in used
    assert "VIDEOHUB_REGISTRY" not in cards.model_card(kinetics)
    assert "model(clip, boxes)" in snippet(cards.model_card(ava))  # predict names no boxes


@pytest.mark.parametrize(
    ("url", "alternates", "shown"),
    [
        ("file:///home/me/secret/net.pkl", [], None),
        ("file:///home/me/secret/net.pkl", ["https://me:word@example.org/net.pkl"], "https://example.org/net.pkl"),
        ("hf://org/repo/sub/net.pkl@v1", [], "https://huggingface.co/org/repo/blob/v1/sub/net.pkl"),
        (
            "hf://org/repo/a#b 100%?.pkl@refs/pr/1",
            [],
            "https://huggingface.co/org/repo/blob/refs%2Fpr%2F1/a%23b%20100%25%3F.pkl",
        ),
        ("hf://org/repo", ["http://example.org/net.pkl"], "http://example.org/net.pkl"),
        ("http://example.org/net.pkl", [], "http://example.org/net.pkl"),
        (None, [], None),
    ],
)
def test_nothing_that_is_made_of_a_report_names_a_place_on_somebody_s_machine(tmp_path, url, alternates, shown):
    of = record()
    of = msgspec.structs.replace(of, checkpoint=msgspec.structs.replace(of.checkpoint, url=url, alternates=alternates))
    report = build(kept(tmp_path, of, ten(5)), of)
    card = cards.model_card(report)
    assert report.weights.url == shown
    for made in (card, pages.html(report), pages.markdown(report), report.encoded().decode()):
        assert "file:" not in made
        assert "secret" not in made
        assert "word@" not in made
    assert ('checkpoint="FILE"' in snippet(card)) == (shown is None)
    assert "`VIDEOHUB_REGISTRY` has to name" in card


def test_weights_that_nothing_vouches_for_are_not_called_the_published_file(kinetics):
    by_hand = runs.WeightsFile(name="mine.pkl", sha256="98" * 32, vouched_by=None)
    made_by = [msgspec.structs.replace(one, weights=by_hand) for one in kinetics.made_by]
    assert "The published file, checked" in cards.model_card(kinetics)
    assert "A file given by hand, checked" in cards.model_card(msgspec.structs.replace(kinetics, made_by=made_by))


def test_weights_of_which_nobody_noted_the_file_are_called_neither(kinetics):
    """As 0.1.0 kept its runs: nothing says that the file was given by hand."""
    made_by = [msgspec.structs.replace(one, weights=None) for one in kinetics.made_by]
    card = cards.model_card(msgspec.structs.replace(kinetics, made_by=made_by))
    assert "A file that videohub 0.1 did not note, checked" in card

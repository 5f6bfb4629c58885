"""A metric is an entry and a file: with a toy's, a company's record is verified, reported, measured and compared."""

from __future__ import annotations

import json

import msgspec
import pytest

import videohub
from tests.verification import datasets
from videohub import metrics, registry, runs
from videohub.errors import UsageError
from videohub.metrics.metric import METRICS, Metric
from videohub.registry import writer
from videohub.registry.schema import Published
from videohub.verification import report

# The mean over the classes of how often each is among the best three; it is compared as a mean average precision is.
ENTRY = Metric(
    name="class_mean",
    computed_by="class_mean",
    numbers=("class mean",),
    over_classes=True,
    sample_objection="a sample has not every class",
    class_measure="share of hits in three",
    class_column="hits",
    class_count="videos of it",
    hub_name="class_mean_accuracy",
)
FILE = """
from videohub.metrics.metric import Findings, Number, Pair, PerClass
from videohub.metrics.verdict import compare_map


def shares(run):
    hits = {}
    for index, scores in zip(*run.video_scores()):
        right, = run.truth.classes[index]
        hits.setdefault(right, []).append(right in scores.argsort()[::-1][:3])
    return {right: 100 * sum(found) / len(found) for right, found in sorted(hits.items())}


def value(run):
    return sum(shares(run).values()) / len(shares(run))


def measure(run):
    return [Number("class mean", value(run), (0.0, 100.0))]


def compare(run, published, names, *, tolerance):
    comparison = compare_map("class mean", published["class mean"], recomputed=value(run), interval=(0.0, 100.0),
                             bounds=(0.0, 100.0), scored=len(run.scored), missing=len(run.missing), videos=100,
                             tolerance=tolerance)
    return Findings([comparison], [PerClass(names[right], 1, None, share) for right, share in shares(run).items()])


def pair(first, second):
    return Pair("class mean", len(first.scored), (0, 0), (value(first), value(second)), 0.0, (-1.0, 1.0))
"""


@pytest.fixture
def toy(zoo, tmp_path, monkeypatch):
    """The metric, and a record whose protocol names it."""
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "class_mean.py").write_text(FILE)
    monkeypatch.syspath_prepend(tmp_path / "metrics")
    monkeypatch.setitem(METRICS, ENTRY.name, ENTRY)
    of = registry.record("tiny_kinetics")
    changed = msgspec.structs.replace(
        of,
        name="toy",
        upstream_name="TOY",
        protocol=msgspec.structs.replace(of.protocol, name="toy_protocol", metric="class_mean"),
        published=(Published(source="invented for tests", others={"class mean": 50.0}),),
    )
    (zoo.parent / "toy.yaml").write_text(writer.text([changed]), encoding="utf-8")
    monkeypatch.setenv("VIDEOHUB_REGISTRY", f"{zoo}:{zoo.parent / 'toy.yaml'}")
    yield
    (zoo.parent / "toy.yaml").unlink()


def test_a_metric_of_an_entry_and_a_file_goes_from_scores_to_pages(toy, tmp_path, run):
    data, _ = datasets.kinetics(tmp_path / "data")
    folder = tmp_path / "run"
    result = videohub.verify("toy", data, out=folder, workers=0)
    indexes, scores = runs.join([folder]).video_scores()
    ranks = [sum(score > row[7 * index] for score in row) for index, row in zip(indexes, scores, strict=True)]
    expected = 100 * sum(rank < 3 for rank in ranks) / 6  # six videos, of a class each: 0, 7, …, 35
    assert [(one.metric, one.published, one.recomputed) for one in result.comparisons] == [
        ("class mean", 50.0, pytest.approx(expected))
    ]
    assert (result.verdict, result.metric) == ("insufficient data", "class_mean")
    assert report([folder]) == result
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "The share of hits in three of" in page
    assert "videos of it" in page
    assert "| share of hits in three |" in (folder / "report.md").read_text(encoding="utf-8")
    code, out, _ = run("compare", folder, folder, "--json")
    assert (code, json.loads(out)["metric"]) == (0, "class mean")
    code, out, _ = run("benchmark", "toy", "--data", data, "--workers", 0, "--json")
    assert (code, json.loads(out)["numbers"][0]["value"]) == (0, pytest.approx(expected))
    code, out, _ = run("list", "TOY")
    assert "class mean 50.0" in out


def test_what_the_metric_says_of_itself_decides_what_is_refused(toy, tmp_path):
    data, _ = datasets.kinetics(tmp_path / "data")
    with pytest.raises(UsageError, match="until_decided follows an accuracy, and this number is a mean over classes"):
        videohub.verify("toy", data, until_decided=0.95)
    result = videohub.verify("toy", data, sample=3, workers=0)
    assert result.reasons[0] == "a sample has not every class"


def test_without_its_entry_the_metric_is_unknown():
    assert "class_mean" not in metrics.names()
    with pytest.raises(UsageError, match=f"found 'class_mean', expected one of {', '.join(metrics.names())}"):
        metrics.of("class_mean")

"""Reports of the three kinds, for everything that is made from a report alone."""

from __future__ import annotations

import pytest

from tests.reporting.kept import process
from videohub import registry
from videohub.metrics.metric import AtClips, Confusion, PerClass
from videohub.metrics.verdict import Comparison
from videohub.registry.schema import Record
from videohub.reporting.report import Counts, Failure, Report, Stopping, Weights

# what a stranger may call a video: markup, a table's bar, a new line, a colour of the terminal, letters that run back
HOSTILE = "<script>alert(1)</script>|*b*[l](http://e.example)`c`@me\n# h\x1b[31m\u202egpj.exe & \"q\" 's'"


def comparison(metric: str = "top-1", **changes: object) -> Comparison:
    messages = {
        "metric": metric,
        "published": 77.0,
        "recomputed": 76.0,
        "interval": (75.5, 76.5),
        "bounds": (75.0, 77.0),
        "tolerance": 0.3,
        "answer": "consistent",
        "reason": f"{metric} is 1.00 points below the published 77.00",
    }
    return Comparison(**{**messages, **changes})


def report_of(record: Record, classes: list[PerClass], comparisons: list[Comparison], **changes: object) -> Report:
    assert record.number is not None
    messages = {
        "schema_version": 1,
        "record": record.name,
        "upstream_name": record.upstream_name,
        "paper": record.paper,
        "dataset": record.protocol.dataset,
        "split": record.protocol.split,
        "metric": record.protocol.metric,
        "labels": record.labels,
        "published": record.number,
        "comparisons": comparisons,
        "verdict": comparisons[0].answer,
        "reasons": [one.reason for one in comparisons],
        "counts": Counts(19_761, 19_761, 19_761, 0, 0),
        "failures": [],
        "weights": Weights("ab" * 32, record.checkpoint.url, record.checkpoint.license, "tensors"),
        "protocol": record.protocol,
        "clip": {"frames": 32, "sampling_rate": 2},
        "data_sha256": "cd" * 32,
        "sampling": None,
        "stopping": None,
        "precision": "bf16",
        "decoder": "fast",
        "made_by": [process(seconds=3600.0), process(seconds=1800.0, started="2026-02-03T04:05:06+00:00")],
        "disagreements": [],
        "seconds": 5400.0,
        "videos_per_second": 3.66,
        "classes": classes,
        "confusions": [],
        "by_clips": [],
        "ranks": [],
        "command": f"videohub verify {record.name} --data LIST --precision bf16",
    }
    return Report(**{**messages, **changes})


@pytest.fixture
def kinetics() -> Report:
    """400 classes, class k with k % 51 of 50 right; 60 videos failed, one of them with a hostile name."""
    classes = [PerClass(f"class {k}", 50, min(k % 51, 50), 2.0 * min(k % 51, 50)) for k in range(400)]
    failures = [
        Failure(f"v{number}.mp4", "no such file" if number % 3 else "holds no\n  pictures") for number in range(60)
    ]
    failures[1] = Failure(HOSTILE, HOSTILE)
    return report_of(
        registry.record("slowfast_r50_8x8"),
        classes,
        [
            comparison(),
            comparison("top-5", published=92.6, recomputed=92.5, interval=(92.1, 92.9), bounds=(91.8, 93.2)),
        ],
        counts=Counts(19_761, 19_761, 19_701, 60, 0),
        failures=failures,
        confusions=[Confusion("class 7", HOSTILE, 9, 50), Confusion("class 8", "class 9", 5, 50)],
        by_clips=[AtClips(clips, {"top-1": 70.0 + clips, "top-5": 90.0}) for clips in range(1, 11)],
        ranks=[("v100.mp4", 0), ("v101.mp4", 3)],
    )


@pytest.fixture
def charades() -> Report:
    """Three classes, one of which nobody has."""
    classes = [
        PerClass("Holding a dish", 12, None, 80.0),
        PerClass("Running", 3, None, 20.0),
        PerClass("Rare", 0, None, None),
    ]
    result = comparison("mAP", published=38.9, recomputed=50.0, interval=(48.0, 52.0), bounds=(48.0, 52.0),
                       answer="inconsistent")  # fmt: skip
    return report_of(registry.record("slowfast_r50_16x8_charades"), classes, [result])


@pytest.fixture
def ava() -> Report:
    """A run over key frames."""
    result = comparison("mAP", published=29.1, recomputed=29.0, interval=(28.0, 30.0), bounds=(28.0, 30.0))
    return report_of(
        registry.record("slowfast_r101_8x8_ava22"),
        [PerClass("stand", 20_000, None, 70.0), PerClass("sit", 9, None, 10.0)],
        [result],
        counts=Counts(57_371, 57_371, 1, 0, 57_370),
        stopping=Stopping(0.99, 3, 1),
    )

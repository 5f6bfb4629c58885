"""Videos that a publisher's own test skips: they count as its table counts them, and the report says so."""

from __future__ import annotations

import msgspec
import pytest

from tests.reporting.kept import kept, record, ten
from videohub import protocols as steps
from videohub.data.spec import list_indices
from videohub.errors import VideoError
from videohub.registry.schema import Clip
from videohub.verification.results import build


@pytest.fixture
def too_short():
    """Why a video of 90 frames fails, from which torchvision would take 128 at 15 a second."""
    rule = steps.Resampled(fps=15.0, past_end="refuse")
    protocol = msgspec.structs.replace(record().protocol, frames=rule)
    with pytest.raises(VideoError) as error:
        list_indices(protocol, Clip(frames=128, sampling_rate=1), 90, 30.0)
    return str(error.value)


def test_a_skipped_video_counts_as_wrong(tmp_path, too_short):
    of = record(published={"top1": 40.0})
    samples = [*ten(4, of=8), ("short", [0], too_short), ("shorter", [0], too_short)]  # 4 of 10 are right
    report = build(kept(tmp_path, of, samples), of)
    assert report.comparisons[0].recomputed == 40.0
    assert report.counts.failed == 2
    assert report.reasons[-1] == (
        "2 videos failed for being shorter than a clip, and the original keeps scores of zero for such a one: it "
        "counts as wrong"
    )


def test_what_cannot_be_read_remains_open(tmp_path, too_short):
    of = record(published={"top1": 40.0})
    samples = [*ten(4, of=8), ("short", [0], too_short), ("broken", [0], "no such file")]  # 4 of 9 are right
    report = build(kept(tmp_path, of, samples), of)
    assert report.comparisons[0].recomputed == pytest.approx(400 / 9)
    assert report.reasons[-1].startswith("1 video failed for being shorter than a clip")

"""Memory stays flat over 200 videos; benchmarks/soak.py looks at thousands."""

from pathlib import Path

import pytest

from benchmarks import soak

pytestmark = pytest.mark.slow


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_memory_stays_flat_over_two_hundred_videos(tmp_path, capsys):
    """Decoded, one of these videos takes about 500 KB: if one in four stayed, the slope would be 125,000 KB."""
    looks, failed = soak.soak(soak.make_videos(tmp_path, 50) * 4, workers=1, every=10)
    assert failed == 4
    slopes = soak.slopes(looks, after=60)
    assert len(slopes) == 2  # no process was replaced
    assert max(slopes.values()) < 100_000, slopes


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_memory_stays_flat_over_four_hundred_clips_to_train_on(tmp_path):
    """A clip's frames are up to 200 KB: if one clip in four stayed, the slope would be 50,000 KB."""
    samples = soak.make_videos(tmp_path, 50)
    looks, left_out = soak.soak_clips(tmp_path, samples, 400, workers=1, every=20)
    assert left_out == 1
    slopes = soak.slopes(looks, after=100)
    assert len(slopes) == 2  # this process, and the worker that outlived eight epochs
    assert max(slopes.values()) < 40_000, slopes

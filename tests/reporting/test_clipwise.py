"""One reading gives what reading once for each number of clips gives, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from tests.reporting.kept import kept, record
from videohub.reporting.clipwise import by_clips, scored


@pytest.mark.parametrize("metric", ["topk", "multilabel_map"])  # sums, and maxima
def test_scores_by_clips_are_the_same_bit_for_bit(tmp_path, metric):
    random = np.random.default_rng(3)
    of = record(metric, clips=5, crops=3, classes=7)
    samples = [(f"v{number}", [0], random.random((15, 7), np.float32)) for number in range(4)]
    joined = kept(tmp_path, of, [samples[0], ("gone", [0], "no such file"), *samples[1:]])
    found = dict(by_clips(joined))
    assert scored(joined) == sorted(found) == [0, 2, 3, 4]
    for clips in range(1, 6):
        indexes, scores = joined.scores_by_clips(clips)
        assert np.array_equal(np.stack([found[index][clips - 1] for index in indexes]), scores)

"""What counts towards a verdict before the end: the videos without a gap, in whatever order they become known."""

from __future__ import annotations

import itertools

from videohub.metrics.binomial import hits_sequence
from videohub.verification.runner import Decision


def test_videos_beyond_a_gap_wait_for_those_before_them():
    kept = {0: True, 1: None, 2: False, 3: True}
    for order in itertools.permutations(kept):
        decision = Decision(50.0, total=10, level=0.95, tolerance=0.3)
        for number in order:
            decision.take(number, kept[number])
        assert (decision.seen, decision.hits, decision.failed) == (4, 2, 1)
    decision = Decision(50.0, total=10, level=0.95, tolerance=0.3)
    for number in (0, 2, 3):
        decision.take(number, kept[number])
    assert (decision.seen, decision.hits, decision.failed) == (1, 1, 0)


def test_a_verdict_comes_once_no_final_number_can_change_it():
    decision = Decision(99.0, total=400, level=0.95, tolerance=0.3)
    assert decision.verdict is None
    while decision.verdict is None:
        decision.take(decision.seen, False)
    assert decision.verdict == "inconsistent"
    assert hits_sequence(0, decision.seen, 400, 0.975)[1] / 400 < 0.99
    assert decision.seen < 40

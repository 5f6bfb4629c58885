"""MultiSports' mean average precision of frames, as its publisher's evaluation and mmaction2's compute it."""

from videohub.metrics.ava import BoxArithmetic
from videohub.metrics.matching import BoxRule

# Source: frameAP and MultiSportsMetric of mmaction2 1.2: each box is a detection of its most likely class alone, and
# the most likely detection of all videos comes first.
RULE = BoxRule(best_alone=True, by_score=True, flat_dropped=False, earlier_first=True)

_ARITHMETIC = BoxArithmetic(RULE)
measure, compare, pair = _ARITHMETIC.measure, _ARITHMETIC.compare, _ARITHMETIC.pair

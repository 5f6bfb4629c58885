"""AVA's mean average precision as mmaction2 computes it, whose tables' numbers are of this kind."""

from videohub.metrics.ava import BoxArithmetic
from videohub.metrics.matching import BoxRule

# Source: AVAMetric and ava_eval of mmaction2 1.2. Scores above 0.002 are written into a csv, with four decimals.
RULE = BoxRule(
    above=0.002, decimals=4, single=True, by_score=True, flat_dropped=False, empty_ignored=True,
    undetected_counted=False,
)  # fmt: skip

_ARITHMETIC = BoxArithmetic(RULE)
measure, compare, pair = _ARITHMETIC.measure, _ARITHMETIC.compare, _ARITHMETIC.pair

"""Look at a data set before any model runs: is it there, can it be read, is it what the protocol needs?"""

from videohub.preflight.checking import Progress, check, check_samples, index_beside
from videohub.preflight.expected import Expected
from videohub.preflight.findings import Check, Classes, Finding, Folders, Moments, Spread, Verdict

__all__ = [
    "Check",
    "Classes",
    "Expected",
    "Finding",
    "Folders",
    "Moments",
    "Progress",
    "Spread",
    "Verdict",
    "check",
    "check_samples",
    "index_beside",
]

"""Look at a data set before any model runs: is it there, can it be read, is it what the protocol needs?"""

from videohub.preflight.data_check import Progress, check, check_samples, index_beside
from videohub.preflight.findings import Check, Classes, Expected, Finding, Folders, Keyframes, Spread, Verdict

__all__ = [
    "Check",
    "Classes",
    "Expected",
    "Finding",
    "Folders",
    "Keyframes",
    "Progress",
    "Spread",
    "Verdict",
    "check",
    "check_samples",
    "index_beside",
]

"""Kept scores: what a run has made so far, safe against a kill at any moment, and joined from any number of writers.

run.json           what the run is (`Identity`), and the digest of data.json
data.json          what its samples are called and what is right for them (`Truth`)
scores/*.scores    one file for each process that ever wrote here; it only grows
"""

from videohub.runs.ensemble import join_views
from videohub.runs.folder import Progress, Run, open_run, read_run
from videohub.runs.identity import Box, Identity, MadeBy, Truth, Voucher, WeightsFile, difference
from videohub.runs.joining import Disagreement, Joined, join
from videohub.runs.scores import Entry, read_scores
from videohub.runs.writing import Writer

__all__ = [
    "Box",
    "Disagreement",
    "Entry",
    "Identity",
    "Joined",
    "MadeBy",
    "Progress",
    "Run",
    "Truth",
    "Voucher",
    "WeightsFile",
    "Writer",
    "difference",
    "join",
    "join_views",
    "open_run",
    "read_run",
    "read_scores",
]

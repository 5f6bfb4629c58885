"""Kept scores: what a run has made so far, safe against a kill at any moment, and joined from any number of writers.

run.json           what the run is (`Identity`), and the digest of data.json
data.json          what its samples are called and what is right for them (`Truth`)
scores/*.scores    one file for each process that ever wrote here; it only grows
"""

from videohub.runs.folder import Run, open_run, read_run
from videohub.runs.identity import (
    Box,
    Head,
    Identity,
    LabelMap,
    MadeBy,
    ShardFile,
    Truth,
    Voucher,
    WeightsFile,
    canonical,
    digest_of,
    plain,
)
from videohub.runs.joined import Joined, activated, join, join_views
from videohub.runs.score_file import Entry, Writer, read_scores

__all__ = [
    "Box", "Entry", "Head", "Identity", "Joined", "LabelMap", "MadeBy", "Run", "ShardFile", "Truth", "Voucher",
    "WeightsFile", "Writer", "activated", "canonical", "digest_of", "join", "join_views", "open_run", "plain",
    "read_run", "read_scores",
]  # fmt: skip

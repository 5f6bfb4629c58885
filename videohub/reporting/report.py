"""What a run came to, whole and by itself: every page, card and comparison is made from this one document."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final, Literal

import msgspec

from videohub.errors import DataError, UsageError
from videohub.files import as_json, read_file
from videohub.metrics.metric import AtClips, Confusion, Number, Part, PerClass
from videohub.metrics.verdict import Comparison, Verdict
from videohub.protocols import Protocol
from videohub.registry.published import Published
from videohub.runs import Head, LabelMap, MadeBy, ShardFile

SCHEMA_VERSION: Final = 1
NAME = "report.json"


class Failure(Part, frozen=True):
    """A listed video that could not be scored, and why."""

    name: str
    reason: str


class Contradicted(Part, frozen=True):
    """A scored video whose header contradicts its content, by kind with the figures; read as the original reads it."""

    name: str
    kinds: dict[str, str]


class Counts(Part, frozen=True):
    """What became of the videos: `listed` in all, of those `chosen` (all, or a sample), and what each came to."""

    listed: int
    chosen: int
    scored: int
    failed: int
    pending: int  # chosen, but not looked at yet, or not needed any more


class Sampling(Part, frozen=True):
    """The seeded sample that was evaluated instead of all listed videos."""

    count: int
    seed: int


class Stopping(Part, frozen=True):
    """The run was to end as soon as the verdict is settled at this level; `looked_at` is what that took."""

    level: float
    seed: int  # of the random order
    looked_at: int


class Weights(Part, frozen=True):
    """The weights that the scores come from, and the published file that they are measured against.

    `sha256` is the digest of the tensors that were used; which files they were read from, and who vouches for these,
    `made_by` tells of each process. Without `identity` it is what a file's header said, as 0.1.0 took it.
    """

    sha256: str
    url: str | None  # where the published file can be had; null: nowhere in public
    license: str
    identity: Literal["tensors"] | None = None


class Document(Part, frozen=True, kw_only=True):
    """What a file of JSON holds."""

    def encoded(self) -> bytes:
        """Return it as the text of its file, the same bytes for the same run."""
        return as_json(self)

    def digest(self) -> str:
        """Return the sha256 of its file, by which it can be cited."""
        return hashlib.sha256(self.encoded()).hexdigest()


class Report(Document, frozen=True, kw_only=True):
    """What was measured, on what, with what, and what follows. The first comparison decides the verdict."""

    schema_version: Literal[1]
    record: str
    upstream_name: str
    publisher: str | None = None
    paper: str
    dataset: str
    split: str
    metric: str
    labels: str | tuple[str, ...] | None
    label_map: LabelMap | None = None  # which of the network's outputs were scored; null: all
    published: Published
    comparisons: list[Comparison]
    verdict: Verdict
    reasons: list[str]
    counts: Counts
    failures: list[Failure]
    contradicted: list[Contradicted] = msgspec.field(default_factory=list)
    without_contradicted: list[Comparison] = msgspec.field(default_factory=list)  # empty where there are none
    weights: Weights
    protocol: Protocol  # as it was used: `clips` and `crops` may differ from the record's
    clip: dict[str, int]
    data_sha256: str
    shards_sha256: str | None = None  # of what the tars hold that were read; null: files were
    shards: list[ShardFile] = msgspec.field(default_factory=list)  # these tars, wherever a process found them
    sampling: Sampling | None
    stopping: Stopping | None
    precision: str
    decoder: str
    made_by: list[MadeBy]
    disagreements: list[str]  # in what the processes differ, and scores that they do not agree on
    seconds: float  # of all processes together
    videos_per_second: float | None
    classes: list[PerClass]
    confusions: list[Confusion]  # the worst pairs, top-k alone
    by_clips: list[AtClips]
    ranks: list[tuple[str, int]]  # name of a video, and where its right class stands (0: first); top-k alone
    command: str
    scores_sha256: str | None = None  # `Joined.scores_sha256`; null: an earlier version did not note it

    @property
    def interval_level(self) -> float:
        """Of the intervals: a run that stopped when it was decided has one of its own level."""
        return self.stopping.level if self.stopping is not None and self.counts.pending else 0.95

    def title(self) -> str:
        """Return the file and the data in one line."""
        return f"{self.upstream_name} on {self.dataset}, {self.split}"

    def _repr_markdown_(self) -> str:
        """Return report.md, for a notebook."""
        from videohub.reporting import pages  # which are made of reports

        return pages.markdown(self)


class Evaluated(msgspec.Struct, frozen=True, kw_only=True):
    """What a network came to on a data set, and how fast, in the words of a `Report`.

    A mean average precision of a sample is another quantity than that of the whole list, a higher one.
    """

    record: str
    dataset: str
    split: str
    label_map: LabelMap | None = None
    numbers: list[Number]  # the first one is what the protocol is known by
    counts: Counts
    failures: list[Failure]
    contradicted: list[Contradicted]  # scored videos whose header contradicts their content
    without_contradicted: list[Number]  # the numbers without those; empty where there are none
    weights: Weights
    protocol: Protocol  # as it was used: `clips` and `crops` may differ from the record's
    precision: str
    decoder: str
    made_by: list[MadeBy]
    seconds: float  # of all processes together
    videos_per_second: float | None

    def _repr_markdown_(self) -> str:
        """Return the numbers as a table, for a notebook."""
        from videohub.reporting import pages

        return pages.numbers_in_markdown(self)


def read(path: str | Path) -> Report:
    """Return the report of a `report.json`, or of the folder it lies in.

    Raises: UsageError if there is none, or it is another version's; DataError if it is no report or a damaged one.
    """
    file = Path(path) / NAME if Path(path).is_dir() else Path(path)
    try:
        content = read_file(file)
    except OSError as error:
        raise UsageError(f"{file}: cannot be read ({error.strerror or error}); expected the report of a run") from error
    try:
        version = msgspec.json.decode(content, type=Head).schema_version
        if version != SCHEMA_VERSION:
            raise UsageError(
                f"{file}: is a report of version {version}, and this videohub reads version {SCHEMA_VERSION}.\n"
                "  Make it again from the kept scores: `videohub report FOLDER`."
            )
        return msgspec.json.decode(content, type=Report)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(
            f"{file}: is not a report, or a damaged one: {error!s:.200}.\n"
            "  Make it again from the kept scores: `videohub report FOLDER`."
        ) from None

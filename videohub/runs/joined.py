"""All that was kept of a run, from one folder or many, as one: each sample once, whoever made it and however often."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from videohub.errors import DataError, UsageError
from videohub.protocols import SKIPS, ScoreRule
from videohub.runs import score_file
from videohub.runs.folder import differences, read_run
from videohub.runs.identity import Identity, MadeBy, ShardFile, Truth, canonical
from videohub.runs.score_file import Entry, ScoreFile, read_scores

Rows: TypeAlias = NDArray[np.float32]  # (V, classes) of views in order: probabilities, or logits where those are joined


@dataclass(frozen=True)
class Disagreement:
    """A sample that was scored more than once, with different results."""

    name: str
    largest: float  # difference of two probabilities; infinite where even their numbers differ


@dataclass(frozen=True)
class Joined:
    """A run as it is kept. A sample that has scores anywhere is scored, even if another process failed at it."""

    identity: Identity
    truth: Truth
    made_by: list[MadeBy]  # every process that kept something
    entries: dict[int, Entry]  # scored or failed, in the order of the truth
    pending: list[int]  # neither
    repeated: int  # samples that were scored more than once; the first file by name counts
    disagreeing: list[Disagreement]  # those of them whose scores differ
    torn: int  # files that end in an entry which a kill cut short
    shards: tuple[ShardFile, ...] = ()  # tars that samples were read from, by name

    @property
    def scored(self) -> list[int]:
        """The samples that have scores, ascending."""
        return [index for index, entry in self.entries.items() if entry.shape is not None]

    @property
    def missing(self) -> list[int]:
        """The samples without scores, ascending: failed, or not looked at."""
        scored = set(self.scored)
        return [index for index in range(len(self.truth.names)) if index not in scored]

    @property
    def skipped(self) -> list[int]:
        """The failed samples that the original skips as well, for they are shorter than a clip, ascending."""
        return [index for index, entry in self.entries.items() if SKIPS in (entry.failure or "")]

    def by_clips(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield of each scored sample, in any order, its index and its scores by number of clips, (clips, classes).

        Row k - 1 is what the first k clips alone come to. All come from one reading: a full run's fill a gigabyte.
        """
        scoring = self.identity.scoring
        for entry, views in read_scores(self.entries.values()):
            running = join_first_views(scoring.clip_by_clip(views), scoring.scores)
            yield entry.index, running[scoring.crops - 1 :: scoring.crops]

    def without(self, names: Collection[str]) -> Joined | None:
        """Return the run as if some samples had never been listed; None if no other one has scores."""
        truth, boxes = self.truth, self.truth.boxes
        kept = [index for index, name in enumerate(truth.names) if name not in names]
        place = {index: number for number, index in enumerate(kept)}
        entries = {place[old]: replace(entry, index=place[old]) for old, entry in self.entries.items() if old in place}
        if all(entry.shape is None for entry in entries.values()):
            return None
        return replace(
            self,
            truth=msgspec.structs.replace(
                truth,
                names=[truth.names[index] for index in kept],
                classes=[truth.classes[index] for index in kept],
                boxes=None if boxes is None else [boxes[index] for index in kept],
            ),
            entries=entries,
            pending=[place[index] for index in self.pending if index in place],
        )

    def video_scores(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return which samples have scores, (N,) ascending, and their scores joined over views, (N, classes).

        Raises: UsageError for scores of boxes; DataError if a file is no longer as it was.
        """
        if self.truth.by_box:
            raise UsageError(f"{self.identity.record}: was scored box by box, so there are no scores of whole videos")
        indexes = self.scored
        row_of = {index: row for row, index in enumerate(indexes)}
        joined = np.empty((len(indexes), self.identity.num_classes), dtype=np.float32)
        rule = self.identity.scoring.scores
        for entry, views in read_scores(self.entries.values()):
            joined[row_of[entry.index]] = join_views(views, rule)
        return np.array(indexes, dtype=np.int64), joined

    def scores_sha256(self) -> str:
        """Return the digest of what was scored, the same however many processes and files it was kept by.

        It is the SHA-256 of those of all samples that were looked at, as bytes, in the order of the truth; a sample's
        is that of its note as JSON, a line feed, and its scores, little-endian float32.
        Raises: DataError if a file is no longer as it was.
        """
        notes = ([one.index, one.name, one.views, one.failure, one.shape] for one in self.entries.values())
        scores = {note[0]: hashlib.sha256(canonical(note) + b"\n") for note in notes}
        for entry, views in read_scores(self.entries.values()):
            scores[entry.index].update(views.astype("<f4", copy=False).tobytes())
        return hashlib.sha256(b"".join(scores[index].digest() for index in self.entries)).hexdigest()


def join(folders: Sequence[str | Path]) -> Joined:
    """Return what is kept in one or many folders, each of them a whole run or a shard that was made elsewhere.

    Every byte is checked. What does not depend on when and where: the order of folders, kills, repetitions.
    Raises: UsageError if a folder keeps no run, or two of them different runs (with the fields that differ);
        DataError if a file is damaged.
    """
    if not folders:
        raise UsageError("found no folder to join, expected at least one")
    first = read_run(folders[0])
    paths = first.score_files()
    for other in map(read_run, folders[1:]):
        if messages := differences(first, other, (f"in {first.folder}", f"in {other.folder}")):
            raise UsageError(
                f"{other.folder}: keeps another run than {first.folder}, so their scores cannot be joined:\n  "
                + "\n  ".join(messages)
                + "\n  Give only folders of one run; two runs are what `videohub compare` is for."
            )
        paths += other.score_files()
    terms = first.terms
    files = [score_file.read(path, terms, whole=True) for path in _each_once(paths)]
    entries, repetitions = _first_ones(files)
    return Joined(
        identity=first.identity,
        truth=first.truth,
        made_by=[file.made_by for file in files if file.made_by is not None and file.entries],
        entries=entries,
        pending=[index for index in range(len(first.truth.names)) if index not in entries],
        repeated=len({other.index for _, other in repetitions}),
        disagreeing=_disagreements(repetitions),
        torn=sum(file.torn for file in files),
        shards=tuple(
            sorted({shard for file in files if file.entries for shard in file.shards}, key=msgspec.structs.astuple)
        ),
    )


def join_views(views: Rows, scores: ScoreRule) -> NDArray[np.float32]:
    """Return one score a class, (classes,) float32, for the scores of a sample's views (V, classes).

    A sum is taken in float32, one view after another in their order. Libraries add in blocks, each in its own way, and
    differ in the last digit; this way kept scores give the same answer on any machine, to the last bit.
    Source: the original adds view to view as they come and never divides; for Charades it takes the maximum. mmaction2
        takes the mean of probabilities, or, of its networks for images, softmax of the mean of logits.
    """
    if scores.join == "max":
        return views.max(axis=0)
    total = views[0].copy()
    for view in views[1:]:
        total += view
    return _finished(total, len(views), scores)


def join_first_views(views: Rows, scores: ScoreRule) -> Rows:
    """Return what the first view, the first two, and so on come to, (V, classes): `join_views` of each, to the bit."""
    if scores.join == "max":
        return np.maximum.accumulate(views, axis=0)
    return _finished(np.add.accumulate(views, axis=0), np.arange(1, len(views) + 1)[:, None], scores)


def activated(logits: Rows, scores: ScoreRule) -> Rows:
    """Return what the activation makes of logits (..., classes), in float32."""
    if scores.activation == "sigmoid":
        return (1 / (1 + np.exp(-logits))).astype(np.float32)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)


def _finished(total: Rows, number: int | NDArray[np.int64], scores: ScoreRule) -> Rows:
    if scores.join == "sum":
        return total
    mean = (total / number).astype(np.float32)
    return activated(mean, scores) if scores.join == "mean_of_logits" else mean


def _each_once(paths: Sequence[Path]) -> list[Path]:
    """Return score files by name. One that was copied to several folders is one file; the longest copy has it all."""
    try:
        longest = {path.name: path for path in sorted(paths, key=lambda path: (path.stat().st_size, str(path)))}
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror or error})") from error
    return [longest[name] for name in sorted(longest)]


def _first_ones(files: Sequence[ScoreFile]) -> tuple[dict[int, Entry], list[tuple[Entry, Entry]]]:
    """Return the entry that counts for each sample, in order, and what was scored again, with the one that counts."""
    scored: dict[int, Entry] = {}
    failed: dict[int, Entry] = {}
    repetitions = []
    for entry in (entry for file in files for entry in file.entries):
        if entry.shape is None:
            failed.setdefault(entry.index, entry)
        elif (counts := scored.setdefault(entry.index, entry)) is not entry:
            repetitions.append((counts, entry))
    entries = failed | scored
    return {index: entries[index] for index in sorted(entries)}, repetitions


def _disagreements(repetitions: Sequence[tuple[Entry, Entry]]) -> list[Disagreement]:
    """Return the samples whose scores differ, in the order of the truth."""
    disagreements = []
    for counts, other in sorted(repetitions, key=lambda pair: pair[0].index):
        a, b = counts.scores, other.scores
        assert a is not None
        assert b is not None
        if not np.array_equal(a, b):
            largest = float(np.abs(a - b).max()) if a.shape == b.shape else float("inf")
            disagreements.append(Disagreement(counts.name, largest))
    return disagreements

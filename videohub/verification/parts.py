"""What a process has to score for a run, and keeping it as it comes; a verdict that is settled ends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from videohub import metrics, runs
from videohub.registry.schema import Record
from videohub.verification.deciding import Decision
from videohub.verification.settings import Settings

if TYPE_CHECKING:
    from videohub.evaluation import Scored


@dataclass(frozen=True, eq=False)
class Part:
    """The samples of a run that this process has to score."""

    run: runs.Run
    missing: set[int]  # by their numbers; one that is kept leaves the set, and all do once the verdict is settled
    decision: Decision | None  # None: all of them are scored, whatever they say

    def wants(self, number: int) -> bool:
        """Return whether a sample is still to be scored."""
        return number in self.missing

    def keep(self, scored: Scored, writer: runs.Writer) -> None:
        """Keep what was made of a sample, or why nothing was."""
        if scored.scores is None:
            writer.fail(scored.index, scored.sample.name, scored.failure or "no reason was given")
        else:
            told = tuple((one.kind, one.detail) for one in scored.contradictions)
            writer.append(scored.index, scored.sample.name, scored.views, scored.scores, contradictions=told)
        self.missing.discard(scored.index)
        if self.decision is not None:
            _take(self.decision, self.run, scored)
            if self.decision.verdict is not None:
                self.missing.clear()


def part_of(run: runs.Run, record: Record, settings: Settings) -> Part:
    """Return what this process still has to score for a run, after whatever was kept there before."""
    decision = None if settings.until_decided is None else _so_far(run, record, settings.until_decided)
    if decision is not None and decision.verdict is not None:
        return Part(run, set(), decision)
    mine, done = settings.own_shard(), run.done(retry_failed=settings.retry_failed)
    missing = {number for number in range(len(run.truth.names)) if mine.has(number) and number not in done}
    return Part(run, missing, decision)


def _so_far(run: runs.Run, record: Record, level: float) -> Decision:
    """Return what earlier calls have found out."""
    assert record.published is not None, "refused before"
    published, deciding = record.published, metrics.of(record.protocol.metric).numbers[0]
    decision = Decision(published.numbers()[deciding], total=len(run.truth.names), level=level,
                        tolerance=published.tolerance)  # fmt: skip
    for entry in runs.join([run.folder]).entries.values():
        _take(decision, run, entry)
    return decision


def _take(decision: Decision, run: runs.Run, made: Scored | runs.Entry) -> None:
    scoring = run.identity.scoring
    scores = None if made.scores is None else runs.join_views(made.scores, scoring.ensemble)
    right = None if scores is None else metrics.of(scoring.metric).is_right(scores, run.truth.classes[made.index])
    decision.take(made.index, right)

"""How records are verified: the settings of a call, whatever records it names, and which of them cannot both hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from videohub import metrics
from videohub.data.forms import DECODERS, Decoder
from videohub.data.recipes import Recipe
from videohub.data.samples import DataSet, Sample
from videohub.errors import UsageError
from videohub.registry.schema import Record
from videohub.verification import selection, sharding
from videohub.verification.sharding import Shard

if TYPE_CHECKING:
    import torch


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for every record of a call: keyword arguments of `verify`, which explains them."""

    root: str | Path | None = None
    device: str | torch.device = "cpu"
    clips: int | None = None
    crops: int | None = None
    shard: str | None = None
    sample: int | None = None
    until_decided: float | None = None
    seed: int = 0
    precision: str = "auto"
    decoder: Decoder = "fast"
    workers: int | None = None
    batch: int | None = None
    retry_failed: bool = False

    def own_shard(self) -> Shard:
        """Return the part of this process: its place in a torchrun, or what `shard` says. Raises: UsageError."""
        if not sharding.launched():
            return sharding.parse(self.shard) if self.shard is not None else Shard()
        if self.shard is not None:
            raise UsageError(
                f"shard: found {self.shard!r} under torchrun, which says itself what each process evaluates"
            )
        return sharding.of_torchrun()

    def recipe(self, record: Record) -> Recipe:
        """Return how a record is tested, with the views that were asked for. Raises: UsageError."""
        if self.clips is not None and self.clips < 1:
            raise UsageError(f"clips: found {self.clips}, expected at least 1")
        if self.crops is not None and self.crops not in (1, 3):
            raise UsageError(f"crops: found {self.crops}, expected 1 (centre) or 3")
        own = record.protocol
        used = msgspec.structs.replace(own, clips=self.clips or own.clips, crops=self.crops or own.crops)
        return Recipe(used, record.clip)

    def chosen(self, found: DataSet) -> list[Sample]:
        """Return the samples to evaluate, in their order: all, those that were drawn, or all at random."""
        if self.until_decided is not None:
            return selection.shuffled(found.samples, seed=self.seed)
        if self.sample is not None:
            return selection.stratified(found.samples, self.sample, seed=self.seed)
        return list(found.samples)

    def refuse_contradictions(self, record: Record) -> None:
        """Refuse settings that cannot hold for a record, or not together. Raises: UsageError."""
        if self.decoder not in DECODERS:
            raise UsageError(f"decoder: found {self.decoder!r}, expected {' or '.join(DECODERS)}")
        if self.until_decided is None:
            return
        if not 0.5 <= self.until_decided < 1:
            raise UsageError(f"until_decided: found {self.until_decided}, expected a level such as 0.95")
        if not metrics.of(record.protocol.metric).is_counted:
            raise UsageError(
                f"{record.name}: until_decided follows an accuracy, and this number is a mean over classes"
            )
        if self.sample is not None:
            raise UsageError("until_decided: already takes no more videos than it needs; leave out the sample")
        if self.retry_failed:
            raise UsageError(
                "until_decided: what failed has been counted as such; leave out retry_failed, or start anew"
            )
        if self.own_shard().count > 1:
            raise UsageError("until_decided: looks at all videos in one order, so it cannot be split over processes")

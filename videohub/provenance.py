"""Which file weights were read from, and who vouches for it: digests that were taken here, told apart from claims."""

from __future__ import annotations

from pathlib import Path

from videohub.convert import kept_weights
from videohub.hub import cache, pins
from videohub.registry.schema import Record
from videohub.runs import Voucher, WeightsFile


def weights_file(weights: Path, record: Record, *, checkpoint: str | Path | None = None) -> WeightsFile:
    """Return what is known of the file that a record's weights were read from.

    Args:
        weights: What `videohub.weights.fetch` returned.
        record: Whose weights they are.
        checkpoint: The file that was given by hand, if one was.
    Raises: CacheError if what is known of the record's address is damaged; FormatError if the weights are.
    """
    kept = cache.NAMES["converted"].fullmatch(weights.name)
    assert kept is not None, "fetch returns what lies in the cache"
    sha256 = kept["sha256"]  # of what our own conversion had read
    said = kept_weights.origin(weights)
    converted_here = said.get("source_sha256") == sha256
    vouched_by, first_seen = _voucher(sha256, record, by_hand=checkpoint is not None)
    name = Path(checkpoint).name if checkpoint is not None else (record.checkpoint.url or "").rpartition("/")[2]
    return WeightsFile(
        name=name.encode(errors="replace").decode(),
        sha256=sha256,
        vouched_by=vouched_by,
        first_seen=first_seen,
        claimed_source=None if converted_here else said.get("source"),
        claimed_sha256=None if converted_here else said.get("source_sha256"),
    )


def _voucher(sha256: str, record: Record, *, by_hand: bool) -> tuple[Voucher | None, str]:
    """Return who knows a file with this digest as the record's published one, and since when."""
    published = record.checkpoint
    if published.sha256 is not None:
        return ("registry", "") if published.sha256 == sha256 else (None, "")
    url = published.url or ""
    if url.startswith("file:"):
        return (None, "") if by_hand else ("registry path", "")
    pin = pins.pin_of(url)
    return ("first use", _first_seen(pin)) if pin and pin.sha256 == sha256 else (None, "")


def _first_seen(pin: pins.Pin) -> str:
    """Return when an address was bound to a digest, and by what; a mirror's own address is nobody else's business."""
    source = pin.bundle or ("a mirror or an alternate" if pin.source else "")
    return f"{pin.first_seen}, in {source}" if source else pin.first_seen

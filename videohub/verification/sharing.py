"""Which records can be verified in one pass over the videos; the others are refused before anything is fetched."""

from __future__ import annotations

from collections.abc import Sequence

from videohub.data.recipes import Recipe, check_shared
from videohub.errors import UsageError
from videohub.registry.labels import told
from videohub.registry.schema import Record


def refuse_unshared(records: Sequence[Record], recipes: Sequence[Recipe]) -> None:
    """Refuse records whose lists or frames are not the same. Raises: UsageError, which says which differ in what."""
    if not records:
        raise UsageError("found no record to verify, expected at least one")
    seen = set()
    for record in records:
        if record.name in seen:
            raise UsageError(f"{record.name}: named twice, expected each record once")
        seen.add(record.name)
    for record, recipe in zip(records[1:], recipes[1:], strict=True):
        try:
            check_shared([recipes[0], recipe])
        except UsageError as error:
            raise UsageError(f"{records[0].name}, {record.name}: {error}") from None
        _refuse_other_lists(records[0], record)


def _refuse_other_lists(first: Record, other: Record) -> None:
    """Refuse a record for which the lists would mean something else: other classes, other boxes."""
    for what, here, there in (
        ("classes", first.model.num_classes, other.model.num_classes),
        ("labels", told(first.labels), told(other.labels)),
        ("boxes and ground truth", first.protocol.detection, other.protocol.detection),
    ):
        if here != there:
            raise UsageError(
                f"{first.name}, {other.name}: one pass over the videos reads their lists once; {what}: {here} of "
                f"{first.name}, {there} of {other.name}. Verify them one after the other"
            )

"""What a record's network costs: its parameters and the multiply-adds of one view, counted beforehand into costs.json.

`tools/costs.py` counts them, for that takes the networks, which the registry does not know. An entry belongs to all
that decides it (what a record says of its network, and the size of a view), not to a name: a record that changes has
none, rather than an old one, and a user's record of a network that we have, too, has ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from videohub import resources
from videohub.errors import RegistryError

if TYPE_CHECKING:
    from videohub.registry.schema import Record


class Cost(msgspec.Struct, frozen=True):
    """Parameters that training changes, and multiply-adds of convolutions and matrix products for one view."""

    params: int
    multiply_adds: int


def view_size(record: Record) -> tuple[int, int, int] | None:
    """Return frames, height and width of the view that is counted, None where frames keep their own size.

    It is one clip under the protocol's test crop. Where a test takes whole frames, it is a square of their short side.
    """
    side = record.protocol.crop_size or record.protocol.short_side
    return None if side is None else (record.clip.frames, side, side)


def key(record: Record) -> str | None:
    """Return what a network's entry is called, None if no size of its views is stated."""
    import hashlib  # only where a registry is compiled: `videohub list` would wait for it
    import json

    size = view_size(record)
    if size is None:
        return None
    digest = hashlib.sha256(json.dumps([record.model.effective(), size], sort_keys=True).encode()).hexdigest()
    return f"{record.arch} {record.depth} {'x'.join(map(str, size))} {digest[:12]}"


def of(records: Mapping[str, Record]) -> dict[str, Cost]:
    """Return what is known of each record's network, by the record's id. Raises: RegistryError."""
    file = resources.costs_file()
    try:
        counted = msgspec.json.decode(file.read_bytes(), type=dict[str, Cost])
    except (OSError, msgspec.MsgspecError) as error:
        raise RegistryError(f"{file}: cannot be read: {error}. `python tools/costs.py` writes it anew.") from error
    keys = {name: key(record) for name, record in records.items()}
    return {name: counted[entry] for name, entry in keys.items() if entry in counted}

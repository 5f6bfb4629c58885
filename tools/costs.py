"""Write costs.json, what each record's network costs, counted on the meta device: `python tools/costs.py`."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import torch
from torch.utils.flop_counter import FlopCounterMode

from videohub import registry
from videohub.building import build_empty
from videohub.registry.lookup import Cost, cost_key, view_size
from videohub.registry.schema import Record

FILE = Path(__file__).resolve().parent.parent / "costs.json"


def main() -> None:
    """Count every network of our registry, of several alike one."""
    FILE.write_text("{}\n", encoding="utf-8")  # the registry reads it, and what stands there may be two branches' lines
    records = {cost_key(record): record for record in registry.load(registry.files()[0]).records.values()}
    keys = sorted(key for key in records if key is not None)
    lines = [f"{json.dumps(key)}: {msgspec.json.encode(counted(records[key])).decode()}" for key in keys]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def counted(record: Record, size: tuple[int, int, int] | None = None) -> Cost:
    """Return what a record's network costs for one clip; where it detects, with one box.

    Args:
        record: Whose network it is.
        size: Frames, height and width of the clip; None: those of `view_size`.
    """
    size = size or view_size(record)
    assert size is not None, f"{record.name}: its protocol states no size of frames"
    network = build_empty(record)
    clip = torch.empty(1, 3, *size, device="meta")
    box = torch.empty(1, 5, device="meta") if record.task == "detection" else None
    with torch.no_grad(), FlopCounterMode(display=False) as counter:  # of products and sums, each by itself
        network(clip, box)
    params = sum(parameter.numel() for parameter in network.parameters())
    return Cost(params=params, multiply_adds=counter.get_total_flops() // 2)


if __name__ == "__main__":
    main()

"""The numbers that a source states of a record, and what keeps them from being those of its protocol's metric.

The types are written out at once (no `from __future__ import annotations`): msgspec would compile each one's text at
the start of every process.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, TypeAlias

import msgspec

from videohub.protocols import Flaw, Value, ViewGrid
from videohub.value_types import Count

Percent: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=100)]
Name: TypeAlias = Annotated[str, msgspec.Meta(min_length=1)]


class Views(Value, frozen=True):
    """The views that a number was measured with, where they are not those of the protocol."""

    clips: Count
    crops: Count

    def are(self, grid: ViewGrid) -> bool:
        """Tell whether a protocol's views are as many clips and crops."""
        return (self.clips, self.crops) == (grid.clips, len(grid.crops))


class Mapped(Value, frozen=True):
    """Some of a network's outputs, which a label map names, are the classes of another data set."""

    dataset: Name
    classes: Count


FIELDS = {"top1": "top-1", "top5": "top-5", "map": "mAP"}  # of `Published`, and what people call them


class Published(Value, frozen=True, omit_defaults=True):
    """What the source states, as accuracy or mAP in per cent; `as_printed` where it prints something else.

    `tolerance` are the points, up and down, that the source allows its own files; most sources state none. `others` are
    the numbers of a metric that has no field here, by what it calls them.
    """

    source: str
    top1: Percent | None = None
    top5: Percent | None = None
    map: Percent | None = None
    others: dict[str, Percent] = msgspec.field(default_factory=dict)
    as_printed: dict[str, Percent] | None = None
    tolerance: Percent = 0.0
    views: Views | None = None  # null: those of the protocol
    mapped: Mapped | None = None  # null: all outputs, on the protocol's data set

    def numbers(self) -> dict[str, float]:
        """Return the numbers that are given, by the names people use for them."""
        named = {name: getattr(self, field) for field, name in FIELDS.items()}
        return {name: value for name, value in named.items() if value is not None} | self.others

    def flaws(self, numbers: Collection[str], refused: Mapping[str, str], *, metric: str) -> Iterator[Flaw]:
        """Yield numbers that contradict each other, or that a metric does not come to: it has those called `numbers`.

        `refused` are beginnings of the names of some that it has not, each with the reason.
        """
        given, fields = self.numbers(), {name: field for field, name in FIELDS.items()}
        advice = f"Give {' or '.join(fields.get(name, f'`others: {{{name}: …}}`') for name in numbers)}"
        if not given:
            yield (), "holds no number", f"{advice}, or leave it out."
        if self.top1 is not None and self.top5 is not None and self.top5 < self.top1:
            yield ("top5",), f"is {self.top5:g}, less than top1, {self.top1:g}", ""
        if below := [name for name, value in given.items() if 0 < value < 1]:
            yield (), f"gives {below[0]} below 1", "Numbers are in per cent: 79.7, not 0.797."
        for name in given:
            if name in numbers:
                continue
            place = ("others", name) if name in self.others else (fields[name],)
            why = next((why for begin, why in refused.items() if name.startswith(begin)), f"{advice}.")
            yield place, f"does not fit the metric {metric}", why

    def __str__(self) -> str:
        return " / ".join(f"{name} {value}" for name, value in self.numbers().items())

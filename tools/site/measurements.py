"""The page of what was measured of published files: with videohub, and by others; and how to add a measurement."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from tools import results
from videohub.registry import Registry

Entry = TypeVar("Entry", results.Reported, results.Measured)

_BEGINNING = """\
# Measured again

A publisher's number is what it says of its own file. This page collects what came out when files were tested again.
"""

_EMPTY = """\
Nothing yet: no published file and its data set have met here. The list is kept empty rather than filled with numbers
that nobody measured.
"""

_HOW = """\
## How to add a measurement

1. Test a file on its data set, all of it: `videohub verify NAME --data LISTS --root FOLDER --out run/`
   ([guide](guides/verifying.md)). The verdict may be any; one that is inconsistent is worth as much.
2. `python tools/results.py --entry run/verification.json --commit COMMIT --by "YOUR NAME"`, with the commit of videohub
   that measured, puts a copy of the document into `results/certificates/` and prints the entry for it. Leave out the
   name if you do not wish to be named.
3. Paste the entry into `results/measured.yaml`. `python tools/results.py` compares it with the document, field by
   field.
4. Send both as a pull request.

What somebody else has measured and made public goes to `results/reported.yaml`, in words of our own, with the
repository, the file and the commit, or the issue, where they say it. Editors that know JSON Schema complete and check
both files (`results/*.schema.json`).
"""

_OTHERS = """\
## By others

Numbers that others say they got from the published files, with other software than this. We have checked none of them.
Most are of another test than the record's, as each line tells: they show what fewer views or another
configuration give, and not that the published number is wrong.
"""


def pages(known: Registry) -> Iterator[tuple[str, str]]:
    """Yield the page."""
    ours, others = _by_record(known, results.measured(), results.list_of_measured), _by_record(
        known, results.reported(), results.list_of_reported)  # fmt: skip
    parts = [_BEGINNING, "## With videohub", *(ours or [_EMPTY]), _HOW, _OTHERS, *others]
    yield "measured.md", "\n\n".join(part.strip() for part in parts) + "\n"


def _by_record(known: Registry, entries: Sequence[Entry], listed: Callable[[Iterable[Entry]], str]) -> list[str]:
    """Return what there is of each record, below its name and its published number."""
    parts = []
    for name in dict.fromkeys(entry.record for entry in entries):
        number = known.records[name].number
        published = f"published: {number}" if number else "no published number"
        parts.append(f"[`{name}`](records/{name}.md), {published}:")
        parts.append(listed([entry for entry in entries if entry.record == name]))
    return parts

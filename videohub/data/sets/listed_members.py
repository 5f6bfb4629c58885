"""Which member of some tars is the video that a list names?"""

from __future__ import annotations

import itertools
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from videohub.errors import DataError

_TOLD = 10  # names in a message


def members_of(names: Iterable[str], members: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Return for each listed name that has a member which of `members` that is; no member is two videos.

    It is the member of exactly this name; else one of it in another folder, the nearest; else of another suffix. A
    video that is missing must not get another one of its name out of another folder: a member that several names could
    mean belongs to the nearest, and the others have none.

    Args:
        names: As the list has them, below its folder.
        members: Of each, what its tar is called in messages, and its name in there.
    Raises: DataError where neither a name nor a member is nearest, with all of them.
    """
    called, found, several = _Called(members), dict[str, int](), list[str]()
    named: dict[int, list[str]] = defaultdict(list)
    for name in dict.fromkeys(names):
        there = called.by(name)
        if len(there) > 1:
            several.append(f"{name}: " + " and ".join("/".join(members[place]) for place in there))
        elif there:
            found[name] = there[0]
            named[there[0]].append(name)
    if several:
        raise DataError("\n  ".join([f"{len(several)} listed videos have several members of the tars:",
                                     *several[:_TOLD]]))  # fmt: skip
    for place, those in named.items():
        member = members[place][1]
        nearest = max(_nearness(member, name) for name in those)
        near = [name for name in those if _nearness(member, name) == nearest]
        if len(near) > 1:
            several.append(f"{'/'.join(members[place])}: {' and '.join(near[:_TOLD])}")
        for name in those if len(near) == 1 else ():
            if name != near[0]:
                del found[name]
    if several:
        raise DataError("\n  ".join([f"{len(several)} members of the tars could be several listed videos:",
                                     *several[:_TOLD], "Pack them in the folders that the list names."]))  # fmt: skip
    return found


class _Called:
    """Members by what a list may call them: ends of their names from the file's own on, with and without suffix."""

    def __init__(self, members: Sequence[tuple[str, str]]) -> None:
        self._names = [name for _, name in members]
        self._by_end = _by_end(self._names)
        self._by_stem = _by_end([os.path.splitext(name)[0] for name in self._names])

    def by(self, name: str) -> list[int]:
        """Return the members that a listed name means; several where none is the nearest."""
        there = _nearest(self._by_end, name) or _nearest(self._by_stem, os.path.splitext(name)[0])
        return [place for place in there if self._names[place] == name] or there


def _by_end(names: Sequence[str]) -> dict[str, list[int]]:
    """Return where each end of a name stands, such as `a/b.mp4` of `x/a/b.mp4`; of a file's own name that is alone, it.

    A thousand folders may each have a `video.mp4`: whoever asks for one must not go through them all.
    """
    alike: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(names):
        alike[name.rpartition("/")[2]].append(place)
    found: dict[str, list[int]] = defaultdict(list)
    for base, places in alike.items():
        found[base] = places
        for place in places if len(places) > 1 else ():
            end = names[place]
            while end != base:
                found[end].append(place)
                end = end.partition("/")[2]
    return dict(found)


def _nearest(ends: Mapping[str, list[int]], name: str) -> list[int]:
    """Return the names that have the longest end of this one."""
    while name not in ends and "/" in name:
        name = name.partition("/")[2]
    return ends.get(name, [])


def _nearness(member: str, name: str) -> tuple[bool, bool, int]:
    """Return how far a member's name is a listed one: all of it, that of the file, and how many folders above it."""
    (*folders, file), (*listed, listed_file) = member.split("/"), name.split("/")
    pairs = zip(reversed(folders), reversed(listed), strict=False)
    return (
        member == name,
        file == listed_file,
        sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)),
    )

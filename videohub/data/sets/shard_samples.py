"""Data sets in tars: a video is a member of one, and its label stands beside it, in a list, or in its folder's name.

Beside it: WebDataset's convention, `KEY.mp4` with `KEY.cls` or `KEY.json`, where a key is a name up to its first dot.
In a list: any that the data set's own reader reads, its names looked up among the members.
"""

from __future__ import annotations

import codecs
import itertools
import os
import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

import msgspec

from videohub import storage
from videohub.data.labels import class_called, class_names, numbers_by_name
from videohub.data.samples import DataSet, ImageFile, OneFile, Sample, ShardMember, VideoFile, source_of
from videohub.data.sets.folders import suffixes_of
from videohub.data.sets.lists import left_out
from videohub.data.sets.shards import OpenShard, key_of, opened
from videohub.data.tar_index import NOTED, Member
from videohub.errors import DataError, UsageError
from videohub.escaping import encodable
from videohub.registry.schema import Record

_FIELDS = ("label", "cls", "class", "class_id", "class_name", "target")  # of KEY.json, the first that is there
_TOLD = 10  # names of each kind in a message


def read(data: str, record: Record, read_list: Callable[[Path], DataSet] | None) -> DataSet:
    """Read the data set that lies in tars.

    Args:
        data: A tar, a pattern of several, as `videohub.storage.expand` takes it, or the JSON that widsindex writes.
        record: Says how classes are called, and whether videos or images are wanted.
        read_list: Reads the list, as if its files were to be found in a folder; None: labels stand in the tars.
    Returns: samples in the order of the list, else of the tars. A listed video that no tar has is a sample that cannot
        be read, as a file that is not there.
    Raises: DataError that names what is missing, damaged, twice there or without a label; UsageError.
    """
    if record.protocol.frames.reach == "key_frame":
        raise UsageError(f"{storage.shown(data)}: {record.name} looks at key frames of films, which are not read from "
                         "tars; unpack them")  # fmt: skip
    if read_list is None:
        if record.protocol.scores.activation != "softmax":
            raise UsageError(f"{storage.shown(data)}: several classes of {record.protocol.dataset} may be right, and "
                             "labels in tars are read as one; give --list")  # fmt: skip
        shards = opened(data, record.protocol)
        samples, notes = _Labelled(shards, record).samples()
    else:
        with tempfile.TemporaryDirectory(prefix="videohub-") as nowhere:  # its reader looks there, and finds nothing
            listed = read_list(Path(nowhere))
        shards = opened(data, record.protocol, labels=False)
        samples, notes = _listed(shards, listed, Path(nowhere))
    others = [f"{each.shown}: {name}" for each in shards for name in each.index.others]
    return DataSet(samples, notes=(*notes, *left_out("members that are no files", others)),
                   shards=tuple(each.stamp() for each in shards))  # fmt: skip


# --- labels in the tars ----------------------------------------------------------------------------------------------


@dataclass
class _Group:
    """What has one key."""

    video: tuple[OpenShard, Member] | None = None
    labels: list[tuple[OpenShard, Member]] = field(default_factory=list)


class _Labelled:
    """Videos whose labels stand beside them, or whose folders are called as classes."""

    def __init__(self, shards: Sequence[OpenShard], record: Record) -> None:
        self._shards, self._record = shards, record
        self._problems: dict[str, list[str]] = defaultdict(list)
        self._others: list[str] = []

    def samples(self) -> tuple[list[Sample], tuple[str, ...]]:
        """Return all videos with their labels. Raises: DataError."""
        groups, samples = self._groups(), list[Sample]()
        for key, group in groups.items():
            if group.video is None:
                self._others += [f"{member.name} (no video)" for _, member in group.labels]
                continue
            shard, member = group.video
            label = self._label(key, group)
            if label is not None:
                samples.append(Sample(member.name, shard.source(member), (label,)))
        if self._problems:
            raise DataError("\n  ".join(f"{what}, {len(names)} in all: {', '.join(names[:_TOLD])}"
                                        for what, names in self._problems.items()))  # fmt: skip
        if not samples:
            raise DataError(
                f"{self._shards[0].shown}: no member ends in {', '.join(suffixes_of(self._record.protocol))}"
            )
        return samples, left_out("members that are neither videos nor their labels", self._others)

    def _groups(self) -> dict[str, _Group]:
        groups: dict[str, _Group] = defaultdict(_Group)
        for shard in self._shards:
            for member in shard.members():
                key = key_of(member.name)
                if shard.is_wanted(member.name):
                    group = groups[key]
                    if group.video is not None:
                        first, other = group.video
                        self._problems["videos of one key"].append(
                            f"{first.shown}/{other.name} and {shard.shown}/{member.name}"
                        )
                    group.video = shard, member
                elif member.name.endswith(NOTED):
                    groups[key].labels.append((shard, member))
                else:
                    self._others.append(member.name)
        return groups

    def _label(self, key: str, group: _Group) -> int | None:
        """Return the class of a video; None where nothing tells it, which is noted as a problem."""
        labels: dict[int, str] = {}
        where = key
        try:
            for shard, member in group.labels:
                where = f"{shard.shown}/{member.name}"
                labels[self._class_of(_said(member))] = where
            if not labels and (called := class_called(PurePosixPath(key).parent.name, self._classes)) is not None:
                labels[called] = where
        except DataError as error:
            self._problems["labels that cannot be understood"].append(f"{where}: {error}")
            return None
        if not labels:
            self._problems["videos without a label (KEY.cls, KEY.json, or a list)"].append(key)
        elif len(labels) > 1:
            self._problems["videos with two labels"].append(" and ".join(f"{at}: {one}" for one, at in labels.items()))
        return next(iter(labels)) if len(labels) == 1 else None

    @cached_property
    def _classes(self) -> dict[str, list[int]]:
        try:
            return numbers_by_name(class_names(self._record.labels))
        except UsageError:  # nobody has named them
            return {}

    def _class_of(self, label: object) -> int:
        """Return the class that a label means: its number, or its name."""
        if isinstance(label, str):
            if re.fullmatch("-?[0-9]{1,9}", label.strip()):
                label = int(label)
            elif (known := class_called(label, self._classes)) is not None:
                return known
        if not isinstance(label, int) or isinstance(label, bool):
            raise DataError(f"found {label!r:.60}, expected the number or the name of a class")
        if not 0 <= label < self._record.num_classes:
            raise DataError(f"found {label}, expected 0 to {self._record.num_classes - 1}")
        return label


def _said(member: Member) -> object:
    """Return what a member says of a label. Raises: DataError."""
    if member.content is None:
        raise DataError(f"has {member.size} bytes, which are too many for a label")
    content = member.content.removeprefix(codecs.BOM_UTF8)  # of some editors
    if member.name.endswith(".cls"):
        return content.decode("utf-8", "replace").strip()
    try:
        value = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{error!s:.100}") from error
    if not isinstance(value, dict):
        return value
    for name in _FIELDS:
        if name in value:
            return value[name]
    raise DataError(f"has the fields {', '.join(map(str, value))[:200]}, expected one of {', '.join(_FIELDS)}")


# --- labels in a list ------------------------------------------------------------------------------------------------


def _listed(shards: Sequence[OpenShard], listed: DataSet, root: Path) -> tuple[list[Sample], tuple[str, ...]]:
    """Return the samples of a list, whose files would lie below a folder, with the members that it names."""
    names = [_name_in_list(sample, root) for sample in listed.samples]
    members = [(shard, each) for shard in shards for each in shard.members() if shard.is_wanted(each.name)]
    places = members_of(names, [(shard.shown, member.name) for shard, member in members])
    sources = {name: members[place][0].source(members[place][1]) for name, place in places.items()}
    samples = [
        msgspec.structs.replace(sample, source=sources.get(name) or _absent(shards[0], name))
        for sample, name in zip(listed.samples, names, strict=True)
    ]
    if not places:
        first = listed.samples[0].name, shards[0].index.members[0].name
        raise DataError("{}: no tar has a member that the list names; the first of the list is {}, that of the tars "
                        "{}".format(shards[0].shown, *first))  # fmt: skip
    used = set(places.values())
    unlisted = [member.name for place, (_, member) in enumerate(members) if place not in used]
    notes = (note.replace(str(root), shards[0].shown) for note in listed.notes)
    return samples, (*notes, *left_out("members that the list does not name", unlisted))


def _name_in_list(sample: Sample, root: Path) -> str:
    """Return what a list calls a sample's file. Raises: UsageError of one that has no file."""
    if not isinstance(sample.source, OneFile):
        raise UsageError(f"{sample.name}: the list names frames of videos, which are not read from tars; unpack them, "
                         "or give a list of video files")  # fmt: skip
    path = sample.source.path
    return encodable((path.relative_to(root) if path.is_relative_to(root) else path).as_posix())


def _absent(shard: OpenShard, name: str) -> VideoFile | ImageFile:
    folder, why = os.path.dirname(shard.shown), "no tar has a member of this name"
    return source_of(ShardMember(folder, name, 0, 0, "", failure=why), shard.protocol)


# --- which member a listed name is -----------------------------------------------------------------------------------


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
    whole = [name for _, name in members]
    by_end, by_stem = _by_end(whole), _by_end([os.path.splitext(name)[0] for name in whole])
    places, several = dict[str, int](), list[str]()
    named: dict[int, list[str]] = defaultdict(list)
    for name in dict.fromkeys(names):
        there = _nearest(by_end, name) or _nearest(by_stem, os.path.splitext(name)[0])
        there = [place for place in there if whole[place] == name] or there
        if len(there) > 1:
            several.append(f"{name}: " + " and ".join("/".join(members[place]) for place in there))
        elif there:
            places[name] = there[0]
            named[there[0]].append(name)
    if several:
        raise DataError("\n  ".join([f"{len(several)} listed videos have several members of the tars:",
                                     *several[:_TOLD]]))  # fmt: skip
    for place, those in named.items():
        nearness = {name: _nearness(whole[place], name) for name in those}
        nearest = max(nearness.values())
        near = [name for name in those if nearness[name] == nearest]
        if len(near) > 1:
            several.append(f"{'/'.join(members[place])}: {' and '.join(near[:_TOLD])}")
        for name in those if len(near) == 1 else ():
            if name != near[0]:
                del places[name]
    if several:
        raise DataError("\n  ".join([f"{len(several)} members of the tars could be several listed videos:",
                                     *several[:_TOLD], "Pack them in the folders that the list names."]))  # fmt: skip
    return places


def _by_end(names: Sequence[str]) -> dict[str, list[int]]:
    """Return where each end of a name stands, such as `a/b.mp4` of `x/a/b.mp4`; of a file's own name that is alone, it.

    A thousand folders may each have a `video.mp4`: whoever asks for one must not go through them all.
    """
    alike: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(names):
        alike[name.rpartition("/")[2]].append(place)
    by_end: dict[str, list[int]] = defaultdict(list)
    for base, places in alike.items():
        by_end[base] = places
        for place in places if len(places) > 1 else ():
            end = names[place]
            while end != base:
                by_end[end].append(place)
                end = end.partition("/")[2]
    return by_end


def _nearest(ends: Mapping[str, list[int]], name: str) -> list[int]:
    """Return the names that have the longest end of this one."""
    while name not in ends and "/" in name:
        name = name.partition("/")[2]
    return ends.get(name, [])


def _nearness(member: str, name: str) -> tuple[bool, bool, int]:
    """Return how far a member's name is a listed one: all of it, that of the file, and how many folders above it."""
    (*folders, file), (*listed, listed_file) = member.split("/"), name.split("/")
    pairs = zip(reversed(folders), reversed(listed), strict=False)
    above = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    return member == name, file == listed_file, above

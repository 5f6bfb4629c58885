"""Data sets in tars: a video is a member of one, and its label stands beside it, in a list, or in its folder's name.

Beside it: WebDataset's convention, `KEY.mp4` with `KEY.cls` or `KEY.json`, where a key is a name up to its first dot.
In a list: any that the data set's own reader reads, its names looked up among the members.
"""

from __future__ import annotations

import codecs
import functools
import hashlib
import os
import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

import msgspec

from videohub import storage
from videohub.data.labels import class_called, class_names, numbers_by_name
from videohub.data.samples import DataSet, ImageFile, Sample, Shard, ShardMember, VideoFile
from videohub.data.sets import wids_index
from videohub.data.sets.folders import IMAGES, VIDEOS, is_leftover
from videohub.data.sets.listed_members import members_of
from videohub.data.sets.lists import left_out
from videohub.data.shard_indexes import read_indexes
from videohub.data.tar_index import Member, TarIndex
from videohub.errors import DataError, UsageError
from videohub.escaping import encodable
from videohub.protocols import Protocol
from videohub.registry.schema import Record

_TARS = (".tar", ".tgz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".tar.zstd", ".tar.lz4")
_FIELDS = ("label", "cls", "class", "class_id", "class_name", "target")  # of KEY.json, the first that is there
_IN_TAR = re.compile(r"(?P<tar>.+?\.tar(?:\?[^/]*)?)/(?P<name>.+)", re.IGNORECASE | re.DOTALL)
_TOLD = 10  # names of each kind in a message


def are_named(data: str | os.PathLike[str]) -> bool:
    """Tell whether a text stands for tars, not for a folder or a list: a URL, a path that ends as theirs, an index."""
    text = os.fspath(data)
    return storage.is_remote(text) or is_tar(text) or wids_index.is_named(text)


def is_tar(text: str) -> bool:
    """Tell whether a path or URL ends as that of a tar does, and is no folder."""
    return storage.shown(text).lower().endswith(_TARS) and not os.path.isdir(text)


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


def names_of_videos(text: str, protocol: Protocol) -> tuple[list[str], tuple[str, ...]]:
    """Return what all videos in the tars that a text stands for are called, `TAR/MEMBER`, and what was left out.

    The names are without what may be a credential, which `member_called` of this process knows.
    Raises: as `read`; UsageError if there are none.
    """
    _members_of.cache_clear()  # another version may lie there by now
    shards = opened(text, protocol)
    names = [f"{shard.shown}/{video.path.as_posix()}" for shard in shards for video in shard.videos()]
    _LOCATIONS.update((shard.shown, shard.location) for shard in shards)
    others = [one.name for shard in shards for one in shard.members() if not shard.is_wanted(one.name)]
    if not names:
        raise UsageError(f"{storage.shown(text)}: no member ends in {', '.join(shards[0].suffixes)}")
    return names, left_out("members of other endings", others)


def member_called(text: str) -> ShardMember | None:
    """Return the member of a tar that `TAR/MEMBER` names; None where a text names none, but a file or nothing.

    Raises: UsageError if the tar has no such member; and what reading its index raises.
    """
    match = _IN_TAR.fullmatch(text)
    if match is None:
        return None
    location = _LOCATIONS.get(match["tar"], match["tar"])
    if not (storage.is_remote(text) or os.path.isfile(location)):
        return None
    version = None if storage.is_remote(text) else storage.stat(location).version  # may be another file by now
    found = _members_of(location, version).get(match["name"])
    if found is None:
        raise UsageError(f"{storage.shown(match['tar'])}: no member is called {match['name']!r}")
    return found


_LOCATIONS: dict[str, str] = {}  # of tars whose videos were named, by how they are shown


@functools.lru_cache(256)  # whoever names one names others
def _members_of(location: str, _version: str | None) -> dict[str, ShardMember]:
    (index,) = read_indexes([location])
    return {each.name: ShardMember(location, each.name, each.start, each.size, index.version) for each in index.members}


@dataclass(frozen=True)
class OpenShard:
    """A tar and its index."""

    location: str
    index: TarIndex
    suffixes: Sequence[str]  # of the files that are wanted
    kind: type[VideoFile | ImageFile]

    @cached_property
    def shown(self) -> str:
        return storage.shown(self.location)

    def stamp(self) -> Shard:
        """Return what a run keeps of the shard."""
        names = hashlib.sha256(msgspec.msgpack.encode([_plain(each) for each in self.index.members]))
        return Shard(self.shown, self.index.size, self.index.version, names.hexdigest())

    def members(self) -> Iterator[Member]:
        """Yield the members that no system has left there for itself, such as `._a.mp4`."""
        return (each for each in self.index.members if not any(map(is_leftover, each.name.split("/"))))

    def videos(self) -> list[VideoFile | ImageFile]:
        """Return all members that are wanted."""
        return [self.source(member) for member in self.members() if self.is_wanted(member.name)]

    def source(self, member: Member) -> VideoFile | ImageFile:
        return self.kind(
            Path(member.name),
            ShardMember(self.location, member.name, member.start, member.size, self.index.version),
        )

    def is_wanted(self, name: str) -> bool:
        return name.lower().endswith(tuple(self.suffixes))


def _plain(member: Member) -> tuple[str, int, int]:
    return member.name, member.start, member.size


def opened(data: str, protocol: Protocol, *, labels: bool = True) -> list[OpenShard]:
    """Return the tars that a pattern stands for, with what each holds of the files that a protocol wants.

    Raises: as `read`.
    """
    stated = wids_index.listed(data) if wids_index.is_named(data) else None
    locations = storage.expand(data) if stated is None else [each.url for each in stated]
    if not locations:
        raise UsageError(f"{storage.shown(data)}: no such file")
    if odd := next((each for each in locations if encodable(each) != each), None):
        raise UsageError(f"{encodable(odd)}: the name of this file is no UTF-8; give it another one")
    is_image = protocol.frames.reach == "image"
    suffixes, kind = (IMAGES, ImageFile) if is_image else (VIDEOS, VideoFile)
    indexes = read_indexes(locations, labels=labels)
    if stated is not None:
        wids_index.check(data, stated, indexes)
    return [OpenShard(each, index, suffixes, kind) for each, index in zip(locations, indexes, strict=True)]


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
            raise DataError(f"{self._shards[0].shown}: no member ends in {', '.join(self._shards[0].suffixes)}")
        return samples, left_out("members that are neither videos nor their labels", self._others)

    def _groups(self) -> dict[str, _Group]:
        groups: dict[str, _Group] = defaultdict(_Group)
        for shard in self._shards:
            for member in shard.members():
                key = wids_index.key_of(member.name)
                if shard.is_wanted(member.name):
                    group = groups[key]
                    if group.video is not None:
                        first, other = group.video
                        self._problems["videos of one key"].append(
                            f"{first.shown}/{other.name} and {shard.shown}/{member.name}"
                        )
                    group.video = shard, member
                elif member.name.endswith((".cls", ".json")):
                    groups[key].labels.append((shard, member))
                else:
                    self._others.append(member.name)
        return groups

    def _label(self, key: str, group: _Group) -> int | None:
        """Return the class of a video; None where nothing tells it, which is noted as a problem."""
        found: dict[int, str] = {}
        for shard, member in group.labels:
            where = f"{shard.shown}/{member.name}"
            try:
                label = self._class_of(_said(member))
            except DataError as error:
                self._problems["labels that cannot be understood"].append(f"{where}: {error}")
                return None
            found[label] = where
        if len(found) > 1:
            self._problems["videos with two labels"].append(" and ".join(f"{at}: {one}" for one, at in found.items()))
            return None
        if not found:
            try:
                called = class_called(PurePosixPath(key).parent.name, self._classes)
            except DataError as error:
                self._problems["labels that cannot be understood"].append(f"{key}: {error}")
                return None
            if called is None:
                self._problems["videos without a label (KEY.cls, KEY.json, or a list)"].append(key)
            return called
        return next(iter(found))

    @cached_property
    def _classes(self) -> dict[str, list[int]]:
        try:
            return numbers_by_name(class_names(self._record.labels))
        except UsageError:  # nobody has named them
            return {}

    def _class_of(self, said: object) -> int:
        """Return the class that a label means: its number, or its name."""
        if isinstance(said, str):
            if re.fullmatch("-?[0-9]{1,9}", said.strip()):
                said = int(said)
            elif (known := class_called(said, self._classes)) is not None:
                return known
        if not isinstance(said, int) or isinstance(said, bool):
            raise DataError(f"found {said!r:.60}, expected the number or the name of a class")
        if not 0 <= said < self._record.num_classes:
            raise DataError(f"found {said}, expected 0 to {self._record.num_classes - 1}")
        return said


def _said(member: Member) -> object:
    """Return what a member says of a label. Raises: DataError."""
    if member.content is None:
        raise DataError(f"has {member.size} bytes, which are too many for a label")
    content = member.content.removeprefix(codecs.BOM_UTF8)  # of some editors
    if member.name.endswith(".cls"):
        return content.decode("utf-8", "replace").strip()
    try:
        said = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{error!s:.100}") from error
    if not isinstance(said, dict):
        return said
    for name in _FIELDS:
        if name in said:
            return said[name]
    raise DataError(f"has the fields {', '.join(map(str, said))[:200]}, expected one of {', '.join(_FIELDS)}")


# --- labels in a list ------------------------------------------------------------------------------------------------


def _listed(shards: Sequence[OpenShard], listed: DataSet, root: Path) -> tuple[list[Sample], tuple[str, ...]]:
    """Return the samples of a list, whose files would lie below a folder, with the members that it names."""
    names = [_name_in_list(sample, root) for sample in listed.samples]
    members = [(shard, each) for shard in shards for each in shard.members() if shard.is_wanted(each.name)]
    found = members_of(names, [(shard.shown, member.name) for shard, member in members])
    samples = []
    for sample, name in zip(listed.samples, names, strict=True):
        source = _absent(shards, name)
        if name in found:
            shard, member = members[found[name]]
            source = shard.source(member)
        samples.append(msgspec.structs.replace(sample, source=source))
    if not found:
        first = listed.samples[0].name, shards[0].index.members[0].name
        raise DataError("{}: no tar has a member that the list names; the first of the list is {}, that of the tars "
                        "{}".format(shards[0].shown, *first))  # fmt: skip
    used = set(found.values())
    unlisted = [member.name for place, (_, member) in enumerate(members) if place not in used]
    notes = (note.replace(str(root), shards[0].shown) for note in listed.notes)
    return samples, (*notes, *left_out("members that the list does not name", unlisted))


def _name_in_list(sample: Sample, root: Path) -> str:
    """Return what a list calls a sample's file. Raises: UsageError of one that has no file."""
    if not isinstance(sample.source, VideoFile | ImageFile):
        raise UsageError(f"{sample.name}: the list names frames of videos, which are not read from tars; unpack them, "
                         "or give a list of video files")  # fmt: skip
    path = sample.source.path
    return encodable((path.relative_to(root) if path.is_relative_to(root) else path).as_posix())


def _absent(shards: Sequence[OpenShard], name: str) -> VideoFile | ImageFile:
    first = shards[0]
    lacking = ShardMember(os.path.dirname(first.shown), name, 0, 0, "", failure="no tar has a member of this name")
    return first.kind(Path(name), lacking)

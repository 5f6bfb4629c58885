"""What a bundle is: a plain tar whose first member says what every other one is; read without trusting it.

bundle.json         the manifest
raw/<sha256>        published files as they are: converted weights would prove nothing of what they were made from
labels/<set>.json   class names, in the order of a network's outputs
registry.yaml       the records, as `videohub.registry.load` reads them

Only the members that the manifest names are read, each once, each with its digest.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated
from urllib.parse import unquote

import msgspec

from videohub.convert.archives import HEAD, sniff, tar_members
from videohub.errors import ChecksumError, FormatError, UnsafeFileError
from videohub.protocols import Protocol
from videohub.registry.schema import Record
from videohub.registry.writer import is_local
from videohub.value_types import Count, Sha256
from videohub.version import __version__

MANIFEST = "bundle.json"
REGISTRY = "registry.yaml"
SCHEMA_VERSION = 2
LARGEST_TEXT = 4 << 20  # of the manifest, the registry and the labels each; the whole zoo takes a twentieth
LARGEST_FILE = 16 << 30


class _Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of a manifest: nothing in it is unknown to this version."""


class Member(_Value, frozen=True):
    """A file of the bundle."""

    name: str
    size: Annotated[int, msgspec.Meta(ge=0)]
    sha256: Sha256


class Packed(_Value, frozen=True):
    """A record whose published file is in the bundle."""

    record: Record  # portable: a file on the packer's machine has its name only
    sha256: Sha256  # of the published file
    size: Count


class Manifest(_Value, frozen=True):
    """Everything in a bundle. `ancestors` are records that the others started from; their files are not here."""

    schema_version: int
    videohub: str
    records: Annotated[list[Packed], msgspec.Meta(min_length=1)]
    ancestors: list[Record]
    members: list[Member]

    def member(self, name: str) -> Member:
        """Return the member of this name, which `decode` has found to be there."""
        return next(member for member in self.members if member.name == name)

    def all_records(self) -> list[Record]:
        """Return the records in the order of the bundle's own registry."""
        return [*(packed.record for packed in self.records), *self.ancestors]

    def label_sets(self) -> dict[str, str]:
        """Return the label sets that the bundle holds, by the name of their member."""
        sets = {labels_member(name): name for packed in self.records if isinstance(name := packed.record.labels, str)}
        return {member.name: sets[member.name] for member in self.members if member.name in sets}


class _Head(msgspec.Struct):
    """What a manifest of any version has."""

    schema_version: int
    videohub: str


def file_member(sha256: str) -> str:
    """Return the name under which a bundle holds a published file."""
    return f"raw/{sha256}"


def labels_member(label_set: str) -> str:
    """Return the name under which a bundle holds the names of a label set."""
    return f"labels/{label_set}.json"


def decode(raw: bytes, source: str) -> Manifest:
    """Return the manifest of the bundle `source`, in which everything agrees with everything else.

    Raises: FormatError if it does not, or if it was written for a newer videohub; UnsafeFileError for names of files
        that lead elsewhere.
    """
    made_by = ""
    try:
        head = msgspec.json.decode(raw, type=_Head)
        made_by = f"It was written by videohub {head.videohub!r:.40}, this is {__version__}. "
        if head.schema_version != SCHEMA_VERSION:
            raise FormatError(
                f"{source}: a bundle of version {head.schema_version}, and this videohub reads {SCHEMA_VERSION}.\n"
                f"  {made_by}Update videohub here, or bundle again with the version that is here."
            )
        manifest = msgspec.json.decode(raw, type=Manifest)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:  # the first is not always a ValueError
        raise FormatError(
            f"{source}: its {MANIFEST} cannot be understood ({error!s:.200}).\n"
            f"  {made_by}If the versions agree, it is damaged or not to be trusted; else bundle again with this one."
        ) from None
    for what in _contradictions(manifest):
        raise FormatError(
            f"{source}: its {MANIFEST} {what}.\n  The bundle is damaged or not to be trusted: bundle again."
        )
    for record in manifest.all_records():
        _check_portable(record, source)
    return manifest


def obstacle(record: Record) -> str | None:
    """Return why `load` on another machine would never look for the weights of a record, None if it would."""
    published = record.checkpoint
    if record.status != "available" or published.url is None:
        return (
            f"is {record.status}: no machine looks for published weights of it.\n"
            f"  `videohub convert FILE --model {record.name} -o {record.name}.safetensors` makes a file that\n"
            "  --checkpoint takes anywhere"
        )
    if published.beside:
        return (
            "has its weights in several files, and a bundle holds one of each record.\n"
            f"  `videohub.save(videohub.load({record.name!r}), FILE)` makes one that --checkpoint takes anywhere"
        )
    if is_local(published.url) and published.sha256 is None:
        return (
            f"lies on this machine ({published.url}) and its record states no sha256, by which another one could\n"
            "  know its weights. Copy it there by itself, or state checkpoint.sha256 in the record"
        )
    return None


def _contradictions(manifest: Manifest) -> Iterable[str]:
    """Yield what cannot be in a bundle that `videohub bundle` wrote."""
    names = [record.name for record in manifest.all_records()]
    if odd := [name for name in names if not name.isidentifier()]:
        yield f"has a record called {odd[0]!r:.80}"
    if len({name.casefold() for name in names}) < len(names):
        yield "has a record twice"
    protocols: dict[str, Protocol] = {}
    for record in manifest.all_records():
        if protocols.setdefault(record.protocol.name, record.protocol) != record.protocol:
            yield f"has two protocols called {record.protocol.name!r:.80}"
    digests: dict[str | None, str] = {}
    for packed in manifest.records:
        name, published = packed.record.name, packed.record.checkpoint
        if why := obstacle(packed.record):
            yield f"has {name}, which {why}"
        if published.sha256 not in (None, packed.sha256):
            yield f"gives {name} the sha256 {packed.sha256}, and its record says {published.sha256}"
        if published.size is not None and packed.size != published.size:
            yield f"gives {name} the size {packed.size}, and its record says {published.size}"
        if published.sha256 is None and digests.setdefault(published.url, packed.sha256) != packed.sha256:
            yield f"has two digests for {published.url!r:.200}"
    files = {file_member(packed.sha256): packed for packed in manifest.records}
    expected = {REGISTRY, *files}
    sets = {packed.record.labels for packed in manifest.records}
    allowed = expected | {labels_member(labels) for labels in sets if isinstance(labels, str)}
    listed = [member.name for member in manifest.members]
    if len(set(listed)) < len(listed) or not expected <= set(listed) <= allowed:
        odd = sorted(expected - set(listed)) or sorted(set(listed) - allowed) or sorted(listed)
        yield f"lists other members than its records need, such as {odd[0]!r:.80}"
    for member in manifest.members:
        if member.size > (LARGEST_FILE if member.name in files else LARGEST_TEXT):
            yield f"has {member.name!r:.80} of {member.size} bytes, more than any bundle needs"
        of = files.get(member.name)
        if of is not None and (member.sha256, member.size) != (of.sha256, of.size):
            yield f"lists {member.name!r:.80} with another sha256 or size than that of {of.record.name}"


def _check_portable(record: Record, source: str) -> None:
    """Refuse a record that names a file on this machine; it could be any."""
    url = record.checkpoint.url
    if url is None or not is_local(url):
        return
    name = unquote(url)
    if "/" in name or "\\" in name or ":" in name or name in ("", ".", "..") or "\0" in name:
        raise UnsafeFileError(
            f"{source}: its record {record.name} names the file {url!r:.200}, expected a name without a folder.\n"
            "  Nothing was written. The bundle was made to reach other files, or by mistake: do not use it."
        )


_BLOCK = 1 << 20
_UNPACK = {"gzip": "Run `gunzip` on it first.", "zip": "Unpack it first; a bundle in it is a .tar."}


@dataclass(frozen=True)
class Bundle:
    """An open bundle whose members are the ones that its manifest lists; their content is checked as it is read."""

    source: str
    manifest: Manifest
    file: IO[bytes]
    offsets: Mapping[str, int]

    def text(self, name: str) -> bytes:
        """Return the content of a small member. Raises: ChecksumError."""
        return b"".join(self._blocks(name))

    def copy(self, name: str, target: Path, progress: Callable[[int], None]) -> None:
        """Write a member to `target`; `progress` is told of every block. Raises: ChecksumError, and nothing is used."""
        with target.open("wb") as out:
            for block in self._blocks(name):
                out.write(block)
                progress(len(block))

    def _blocks(self, name: str) -> Iterator[bytes]:
        member = self.manifest.member(name)
        digest, left = hashlib.sha256(), member.size
        self.file.seek(self.offsets[name])
        while left and (block := self.file.read(min(_BLOCK, left))):
            digest.update(block)
            left -= len(block)
            yield block
        if digest.hexdigest() != member.sha256:
            raise ChecksumError(
                f"{self.source}: {name} has sha256 {digest.hexdigest()}, its {MANIFEST} says {member.sha256}.\n"
                "  The bundle was damaged on its way, or changed. Nothing was installed; copy it here again."
            )


def opened(file: IO[bytes], source: str) -> Bundle:
    """Return the bundle in an open file, named `source` in messages.

    Raises: FormatError that says what else it is; UnsafeFileError for names that lead out of it, links and devices.
    """
    head = file.read(HEAD)
    if (kind := sniff(head)) != "tar":
        what = f"a {kind} file" if kind else f"no tar (it begins with the bytes {head[:8].hex(' ')})"
        what = "a web page (HTML or XML)" if head.lstrip().startswith(b"<") else what if head else "an empty file"
        advice = _UNPACK.get(kind or "", "Copy the bundle here again.")
        raise FormatError(f"{source}: {what}, expected the tar file that `videohub bundle` writes.\n  {advice}")
    members = list(tar_members(file, os.fstat(file.fileno()).st_size, source))
    if not members or members[0].name != MANIFEST:
        first = f"begins with {members[0].name!r:.80}" if members else "is empty"
        raise FormatError(f"{source}: a tar file that {first}, expected {MANIFEST}, as `videohub bundle` writes it.")
    if members[0].size > LARGEST_TEXT:
        raise UnsafeFileError(f"{source}: its {MANIFEST} has {members[0].size} bytes, expected at most {LARGEST_TEXT}")
    file.seek(members[0].offset)
    about = decode(file.read(members[0].size), source)
    present = {member.name: member for member in members}
    if len(present) < len(members):
        twice = next(name for name in present if sum(member.name == name for member in members) > 1)
        raise UnsafeFileError(f"{source}: holds {twice!r:.80} twice.\n  Nothing was installed. Do not use it.")
    listed = {member.name: member for member in about.members}
    if extra := [name for name in present if name not in listed and name != MANIFEST]:
        raise UnsafeFileError(
            f"{source}: holds {extra[0]!r:.80}, which its {MANIFEST} does not name.\n"
            "  Nothing was installed. Do not use it."
        )
    for name, member in listed.items():
        if name not in present or present[name].size != member.size:
            what = f"holds {present[name].size} bytes of" if name in present else "lacks"
            raise FormatError(
                f"{source}: {what} {name}, of which its {MANIFEST} says that it has {member.size}.\n"
                "  The bundle is cut short, damaged or not to be trusted. Copy it here again."
            )
    return Bundle(source, about, file, {name: member.offset for name, member in present.items()})

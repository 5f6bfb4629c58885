"""Reads a bundle without trusting it: only the members that its manifest names, each once, each with its digest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from videohub.bundles import manifest
from videohub.bundles.manifest import LARGEST_TEXT, MANIFEST, Manifest
from videohub.convert.archives import HEAD, sniff, tar_members
from videohub.errors import ChecksumError, FormatError, UnsafeFileError

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
    if sniff(head) != "tar":
        raise FormatError(
            f"{source}: {_kind(head)}, expected the tar file that `videohub bundle` writes.\n  {_advice(head)}"
        )
    members = list(tar_members(file, os.fstat(file.fileno()).st_size, source))
    if not members or members[0].name != MANIFEST:
        first = f"begins with {members[0].name!r:.80}" if members else "is empty"
        raise FormatError(f"{source}: a tar file that {first}, expected {MANIFEST}, as `videohub bundle` writes it.")
    if members[0].size > LARGEST_TEXT:
        raise UnsafeFileError(f"{source}: its {MANIFEST} has {members[0].size} bytes, expected at most {LARGEST_TEXT}")
    file.seek(members[0].offset)
    about = manifest.decode(file.read(members[0].size), source)
    found = {member.name: member for member in members}
    if len(found) < len(members):
        twice = next(name for name in found if sum(member.name == name for member in members) > 1)
        raise UnsafeFileError(f"{source}: holds {twice!r:.80} twice.\n  Nothing was installed. Do not use it.")
    listed = {member.name: member for member in about.members}
    if extra := [name for name in found if name not in listed and name != MANIFEST]:
        raise UnsafeFileError(
            f"{source}: holds {extra[0]!r:.80}, which its {MANIFEST} does not name.\n"
            "  Nothing was installed. Do not use it."
        )
    for name, member in listed.items():
        if name not in found:
            raise FormatError(f"{source}: lacks {name}; it is cut short or damaged.\n  Copy it here again.")
        if found[name].size != member.size:
            raise FormatError(
                f"{source}: {name} has {found[name].size} bytes, its {MANIFEST} says {member.size}.\n"
                "  The bundle is damaged or not to be trusted. Copy it here again."
            )
    return Bundle(source, about, file, {name: member.offset for name, member in found.items()})


def _kind(head: bytes) -> str:
    """Return what a file is that is no tar."""
    if not head:
        return "an empty file"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return "a web page (HTML or XML)"
    if kind := sniff(head):
        return f"a {kind} file"
    return f"no tar (it begins with the bytes {head[:8].hex(' ')})"


def _advice(head: bytes) -> str:
    return _UNPACK.get(sniff(head) or "", "Copy the bundle here again.")

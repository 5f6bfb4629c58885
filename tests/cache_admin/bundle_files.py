"""What the tests of bundles look at, and bundles that were changed."""

from __future__ import annotations

import hashlib
import json
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from tests.cache_admin.cache_files import NAME, SHA256
from videohub import registry, weights

URL = "https://company.example/tiny.pkl"
UNPINNED = {"url": URL, "sha256": None, "size": None}
FILE = f"raw/{SHA256}"


def kept(home: Path) -> list[str]:
    """Every file in a cache, by its path there."""
    return sorted(path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file())


def placed(record=NAME, sha256=SHA256):
    return f"converted/{sha256}-{weights.conversion_key(registry.record(record))[:16]}.safetensors"


def stamps(home):
    """Which files are in a cache, and when they were written."""
    return {path: (home.joinpath(path).stat().st_ino, home.joinpath(path).stat().st_mtime_ns) for path in kept(home)}


@dataclass
class Opened:
    """A bundle taken apart, to be changed; a manifest of bytes is written as it is."""

    manifest: Any
    members: list[tuple[tarfile.TarInfo, bytes]]
    first: str = "bundle.json"

    @classmethod
    def read(cls, path: Path) -> Opened:
        with tarfile.open(path) as tar:
            members = [(info, tar.extractfile(info).read()) for info in tar]  # type: ignore[union-attr]
        return cls(json.loads(members[0][1]), members[1:])

    def content(self, name: str) -> bytes:
        return next(content for info, content in self.members if info.name == name)

    def put(self, name: str, content: bytes = b"", **info: Any) -> None:
        """Add a member, in place of those that have its name."""
        self.members = [pair for pair in self.members if pair[0].name != name]
        self.add(name, content, **info)

    def add(self, name: str, content: bytes = b"", **info: Any) -> None:
        made = tarfile.TarInfo(name)
        made.size = len(content)
        for key, value in info.items():
            setattr(made, key, value)
        self.members.append((made, content))

    def agree(self) -> None:
        """Let the manifest list what is there, as a skilled attacker would."""
        self.manifest["members"] = [
            {"name": info.name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for info, content in self.members
        ]

    def write(self, path: Path) -> Path:
        about = self.manifest if isinstance(self.manifest, bytes) else json.dumps(self.manifest).encode()
        first = tarfile.TarInfo(self.first)
        first.size = len(about)
        with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
            for info, content in [(first, about), *self.members]:
                tar.addfile(info, BytesIO(content))
        return path

"""What the tests of bundles share: machines with a cache each, a registry of a company's own, and changed bundles."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pytest

from videohub import registry, resources, weights
from videohub.bundles import packing, unpacking
from videohub.errors import FormatError, VideohubError
from videohub.registry import writing

NAME = "slowfast_motions"
PUBLISHED = resources.path("demo") / "SLOWFAST_MOTIONS.pkl"
URL = "https://company.example/tiny.pkl"
UNPINNED = {"url": URL, "sha256": None, "size": None}
SHA256 = hashlib.sha256(PUBLISHED.read_bytes()).hexdigest()
FILE = f"raw/{SHA256}"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Go to another machine: `machine("there", registries)` has a cache of its own and these registries."""

    def go(name: str, *registries: Path) -> Path:
        monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path / name))
        monkeypatch.setenv("VIDEOHUB_REGISTRY", ":".join(map(str, registries)))
        return tmp_path / name

    for variable in ("VIDEOHUB_CACHE_RO", "VIDEOHUB_MIRRORS", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("VIDEOHUB_OFFLINE", "1")
    return go


@pytest.fixture
def here(machine: Callable[..., Path]) -> Path:
    return machine("here")


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the demo's record."""
    folder = tmp_path_factory.mktemp("bundle")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("VIDEOHUB_HOME", str(folder / "cache"))
        environment.delenv("VIDEOHUB_REGISTRY", raising=False)
        packing.bundle([NAME], folder / "demo.tar")
    return folder / "demo.tar"


@pytest.fixture
def company(tmp_path: Path) -> Callable[..., Path]:
    """Write a company's registry, whose records are the demo's with other fields: `company(tiny={"pretrain": None})`.

    Fields of the checkpoint are named without `checkpoint`; by default its file lies beside the registry.
    """

    def write(name: str = "company.yaml", /, **records: dict[str, Any]) -> Path:
        demo_record = registry.load(resources.registry_file()).records[NAME]
        made = []
        for key, changes in records.items():
            inner = {field: changes[field] for field in changes if field in demo_record.checkpoint.__struct_fields__}
            outer = {field: changes[field] for field in changes if field not in inner}
            checkpoint = msgspec.structs.replace(demo_record.checkpoint, **{"url": "company net.pkl", **inner})
            made.append(
                msgspec.structs.replace(demo_record, name=key, upstream_name=key, checkpoint=checkpoint, **outer)
            )
        (tmp_path / "company net.pkl").write_bytes(PUBLISHED.read_bytes())
        known = {record.protocol.name for record in registry.load(resources.registry_file()).records.values()}
        (tmp_path / name).write_text(writing.text(made, known=known), encoding="utf-8")
        return tmp_path / name

    return write


@pytest.fixture
def unpinned(machine, company, tmp_path):
    """A bundle of a record whose registry states no digest, and that registry."""
    file = company(tiny=UNPINNED)
    machine("packer", file)
    packing.bundle(["tiny"], tmp_path / "tiny.tar", checkpoint=PUBLISHED)
    return tmp_path / "tiny.tar", file


@pytest.fixture
def opened(demo):
    return Opened.read(demo)


@pytest.fixture
def refused(here, tmp_path):
    """Give a bundle to unbundle, and return why it was refused; nothing of it may be left."""

    def refuse(bundle, kind=FormatError):
        path = bundle.write(tmp_path / "hostile.tar") if isinstance(bundle, Opened) else bundle
        around = set(tmp_path.iterdir()) | {here}
        with pytest.raises(kind) as refusal:
            unpacking.unbundle(path)
        assert isinstance(refusal.value, VideohubError)
        assert str(refusal.value).startswith(str(path))
        assert kept(here) == []
        assert set(tmp_path.iterdir()) <= around
        return str(refusal.value)

    return refuse


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

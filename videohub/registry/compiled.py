"""A registry as it was read, kept so that the next process need not read it again: in the wheel, or in the cache.

A compiled registry is data (msgpack). What records are found by and listed with is decoded at once, all else into the
types of the schema when it is asked for. It holds a checksum, and the times, size and digest of all that it was made
of, so a change of one letter is seen: where the times differ, the digest decides. One that is damaged, old or of other
files is made anew, and where none can be kept (a cache that is read-only or full) the files are read each time.
"""

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

import msgspec

from videohub import resources
from videohub.errors import VideohubError
from videohub.registry.lookup import Cost, Entry, Registry
from videohub.version import __version__

if TYPE_CHECKING:
    from videohub.registry.schema import Record

NAME = "registry.msgpack"  # in a wheel, beside its registry.yaml
_FORMAT = 4
_CHECKSUM = 4  # bytes, before all else
_LARGEST, _MOST = 64 << 20, 8  # bytes of one; how many are kept in the cache
_SETTLED_NS = 2_000_000_000
_NONE = (0, 0, 0)
_CODE = ("registry", "architectures", "metrics", "protocols")  # what decides what files mean

_Value = TypeVar("_Value")


class _Head(msgspec.Struct, array_like=True):
    made_by: str  # format, version, and in a checkout its code
    roots: list[str]
    inputs: dict[str, tuple[tuple[int, int, int], str]]  # file or folder -> its stamp, its digest
    entries: dict[str, Entry]
    costs: dict[str, Cost]
    publishers: dict[str, msgspec.Raw]
    protocols: dict[str, msgspec.Raw]
    datasets: dict[str, msgspec.Raw]
    records: dict[str, msgspec.Raw]  # a file below our own folder is named from there


class _Packed(Mapping[str, _Value]):
    """Values by name, each decoded when it is first asked for."""

    def __init__(self, packed: Mapping[str, msgspec.Raw], decoded: Callable[[msgspec.Raw], _Value]) -> None:
        self._packed, self._decoded = packed, decoded
        self._values: dict[str, _Value] = {}

    def __getitem__(self, name: str) -> _Value:
        if name not in self._values:
            self._values[name] = self._decoded(self._packed[name])
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)


def load(roots: tuple[Path, ...]) -> Registry | None:
    """Return the registry that was compiled of these files as they are now, None if there is none."""
    candidates = [(_in_cache(roots), _code()), *([(_root() / NAME, "")] if len(roots) == 1 else ())]
    for path, code in candidates:
        if path is None:
            continue
        try:
            with path.open("rb") as file:
                checksum, content = file.read(_CHECKSUM), file.read(_LARGEST)
            if checksum != _checksum(content):
                raise ValueError("its checksum is another")
            head = msgspec.msgpack.decode(content, type=_Head)
            if head.made_by != _made_by(code) or [*map(_name, roots)] != head.roots:
                continue
            if not all(_is_current(_root() / name, *known) for name, known in head.inputs.items()):
                continue
        except OSError:
            continue
        except (msgspec.MsgspecError, ValueError) as error:
            _log("%s: is damaged, and the registry is read anew: %s", path, error)
            continue
        return Registry(
            records=_Packed(head.records, _record),
            entries=head.entries,
            publishers=_Packed(head.publishers, _decoder("Publisher")),
            protocols=_Packed(head.protocols, _decoder("Protocol")),
            datasets=_Packed(head.datasets, _decoder("DatasetInfo")),
            costs=head.costs,
            files=tuple(_root() / name for name in head.inputs),
        )
    return None


def save(roots: tuple[Path, ...], registry: Registry, began_ns: int) -> None:
    """Keep a registry for the next process, if the cache takes it and nothing can have changed since it was read."""
    from videohub.files import atomic_write

    path = _in_cache(roots)
    if path is None:
        return
    try:
        if any(stamp(each)[0] > began_ns - _SETTLED_NS for each in _inputs(registry)):
            return  # another process may have written while we read, and the clock of files is coarse
        content = encoded(roots, registry, _code())
        with atomic_write(path) as part:
            part.write_bytes(content)
        kept = sorted(path.parent.glob("*.msgpack"), key=lambda each: each.stat().st_mtime_ns)
        for old in kept[:-_MOST]:
            old.unlink(missing_ok=True)
    except (OSError, VideohubError) as error:
        _log("the compiled registry is not kept: %s", error)


def encoded(roots: Iterable[Path], registry: Registry, code: str = "") -> bytes:
    """Return a compiled registry; `code` is empty for a wheel, whose code does not change."""
    from videohub.registry.schema import with_urls

    content = msgspec.msgpack.encode(
        _Head(
            _made_by(code),
            [*map(_name, roots)],
            {_name(path): (stamp(path) if code else _NONE, _digest(path)) for path in _inputs(registry)},
            registry.entries,
            registry.costs,
            _packed(registry.publishers),
            _packed(registry.protocols),
            _packed(registry.datasets),
            _packed({name: with_urls(record, _from_root) for name, record in registry.records.items()}),
        )
    )
    return _checksum(content) + content


def stamp(path: Path) -> tuple[int, int, int]:
    """Return when content and entry were last changed, and the size; zeros for what is not there."""
    try:
        status = path.stat()
    except OSError:
        return _NONE
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size


def _checksum(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(_CHECKSUM, "big")


def _packed(values: Mapping[str, Any]) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(msgspec.msgpack.encode(value)) for name, value in values.items()}


def _decoder(kind: str) -> Callable[[msgspec.Raw], Any]:
    """Return what decodes a struct of the schema, which is imported only then: it takes in every family's."""

    def decoded(packed: msgspec.Raw) -> Any:
        from videohub.registry import schema

        return msgspec.msgpack.decode(packed, type=getattr(schema, kind))

    return decoded


def _record(packed: msgspec.Raw) -> Record:
    from videohub.registry.schema import with_urls

    return with_urls(_decoder("Record")(packed), _from_here)


def _inputs(registry: Registry) -> list[Path]:
    """Return all files and folders that decide what a registry is: what was read, label sets, costs and tables."""
    tables = resources.tables_folders(registry.files)
    families = [family for folder in tables for family in sorted(folder.iterdir()) if family.is_dir()]
    return list(dict.fromkeys([*registry.files, resources.labels_file(), resources.costs_file(), *tables, *families]))


def _is_current(path: Path, before: tuple[int, int, int], digest: str) -> bool:
    now = stamp(path)
    return now == before or (now != _NONE and _digest(path) == digest)


def _digest(path: Path) -> str:
    """Return the digest of a file's content or of the names in a folder, nothing for what is not there."""
    import hashlib  # mostly, times tell enough

    try:
        content = path.read_bytes()
    except IsADirectoryError:
        content = "\n".join(sorted(os.listdir(path))).encode(errors="surrogateescape")
    except OSError:
        return ""
    return hashlib.sha256(content).hexdigest()


def _made_by(code: str) -> str:
    return f"{_FORMAT} {__version__} {code}"


def _code() -> str:
    """Return what changes with the code that reads registries: when somebody works on it, or adds families to ours."""
    package = Path(__file__).parent.parent
    rooms = [(package / room, sys.modules.get(f"videohub.{room}")) for room in _CODE]
    folders = [os.path.abspath(folder) for ours, room in rooms for folder in (room.__path__ if room else [str(ours)])]
    stamps = [
        (entry.name, entry.stat().st_mtime_ns, entry.stat().st_size)
        for folder in folders
        for entry in sorted(os.scandir(folder), key=lambda each: each.name)
        if entry.name.endswith(".py")
    ]
    return repr((folders, stamps))


def _in_cache(roots: tuple[Path, ...]) -> Path | None:
    key = zlib.crc32("\0".join(map(str, roots)).encode(errors="surrogateescape"))  # what it is of, stands in it
    try:
        return resources.cache_home() / "compiled" / f"{key:08x}.msgpack"
    except VideohubError:
        return None


def _log(message: str, *arguments: object) -> None:
    from videohub.log import log

    log.info(message, *arguments)


def _root() -> Path:
    return resources.registry_file().parent


def _name(path: Path) -> str:
    """Return a path from our own folder where it lies below, so that a wheel may be unpacked anywhere."""
    root = _root()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _from_root(url: str) -> str:
    """Return the URL of a file below our own folder as a path from there, any other as it is."""
    beginning = f"{_root().as_uri()}/"
    return unquote(url.removeprefix(beginning)) if url.startswith(beginning) else url


def _from_here(url: str) -> str:
    return url if "://" in url else (_root() / url).as_uri()

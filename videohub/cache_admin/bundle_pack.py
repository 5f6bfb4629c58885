"""Packs published files, records and labels into one, the same bytes for the same files whoever does it and when."""

from __future__ import annotations

import hashlib
import io
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from tqdm import tqdm
from tqdm.utils import CallbackIOWrapper

from videohub import published_files, registry, weights
from videohub.building import known_sha256
from videohub.cache_admin import bundle_format
from videohub.cache_admin.bundle_format import MANIFEST, REGISTRY, Manifest, Member, Packed
from videohub.convert import kept_weights
from videohub.data.labels import class_names
from videohub.errors import ChecksumError, FormatError, UnavailableError, UsageError
from videohub.files import as_json, atomic_write, check_parent_exists
from videohub.hub import cache, download
from videohub.hub.download import Fetched
from videohub.registry import writer
from videohub.registry.schema import Record
from videohub.version import __version__

_Content = Path | bytes


@dataclass(frozen=True)
class Written:
    """A bundle that was written, and what is in it."""

    out: str
    size: int
    sha256: str
    records: list[str]
    members: list[Member]


def bundle(names: Sequence[str | Record], out: str | Path, *, checkpoint: str | Path | None = None) -> Written:
    """Write what another machine needs to load these records, whole or not at all; fetch what is not here yet.

    Args:
        names: Records, their ids or upstream names; their order does not matter.
        out: The file to write, a plain tar.
        checkpoint: A local copy of the one record's published file, instead of its URL.
    Raises: UsageError; UnavailableError if `load` would not look for such weights; ChecksumError if `checkpoint` is
        another file than the published one; what `weights.fetch` raises.
    """
    records = sorted({record.name: record for record in map(registry.record, names)}.values(), key=lambda one: one.name)
    _check_question(records, Path(out), checkpoint)
    packed: list[Packed] = []
    contents: dict[str, _Content] = {}
    for record in records:
        entry, file = _packed(record, checkpoint)
        contents[bundle_format.file_member(entry.sha256)] = file
        packed.append(entry)
    ancestors = _ancestors(records)
    contents |= _labels(records)
    contents[REGISTRY] = _registry([*records, *ancestors])
    members = [_member(name, contents[name]) for name in sorted(contents)]
    about = as_json(
        Manifest(
            schema_version=bundle_format.SCHEMA_VERSION,
            videohub=__version__,
            records=packed,
            ancestors=[_portable(record) for record in ancestors],
            members=members,
        )
    )
    bundle_format.decode(about, str(out))  # what unbundle would refuse is not written
    with atomic_write(Path(out)) as part:
        _write(part, {MANIFEST: about, **{member.name: contents[member.name] for member in members}})
        size, sha256 = part.stat().st_size, cache.sha256_of(part)
    return Written(str(out), size, sha256, [record.name for record in records], members)


def _check_question(records: Sequence[Record], out: Path, checkpoint: str | Path | None) -> None:
    if not records:
        raise UsageError("bundle: no record was named")
    check_parent_exists(out)
    if checkpoint is not None and len(records) > 1:
        raise UsageError(f"bundle: --checkpoint is one file, and {len(records)} records were named")
    if checkpoint is not None and out.exists() and Path(checkpoint).exists() and out.samefile(checkpoint):
        raise UsageError(f"{out}: this is the file to read; give the bundle another name")
    for record in records:
        if not record.name.isidentifier():
            raise UsageError(
                f"{record.name}: is no record of a registry, and bundles are of those alone.\n"
                "  Take its folder along, or huggingface_hub's cache of it, which videohub reads."
            )
        if why := bundle_format.obstacle(record):
            raise UnavailableError(f"{record.name}: cannot be bundled: it {why}.")


def _packed(record: Record, checkpoint: str | Path | None) -> tuple[Packed, Path]:
    """Return a record's entry and its published file, which is proved to hold its network."""
    copy = _of_copy(record, Path(checkpoint)) if checkpoint is not None else None  # first: it says more than a reader
    path = weights.fetch(record, checkpoint=checkpoint)
    file = copy or published_files.published_file(record)
    kept_weights.check(path)
    made_from = kept_weights.origin(path).get("source_sha256")
    converted_when_published = record.checkpoint.container in (None, "safetensors")
    if made_from != file.sha256 and not converted_when_published:
        raise FormatError(
            f"{file.path}: says that it was made from a file with sha256 {made_from!r:.80}.\n"
            "  `videohub bundle --checkpoint` takes the published file, not one that was made from it."
        )
    return Packed(record=_portable(record), sha256=file.sha256, size=file.path.stat().st_size), file.path


def _of_copy(record: Record, file: Path) -> Fetched:
    """Return a local copy and its digest; if anything is known of the published file, it has to be that."""
    copy = download.local(file, name=record.name)
    known = known_sha256(record)
    if known and copy.sha256 != known:
        raise ChecksumError(
            f"{record.name}: {file} has sha256 {copy.sha256}, and {record.checkpoint.url} has {known}.\n"
            "  Another machine looks for the weights of the latter. Give the published file as it is, or take\n"
            "  this one there and pass it with --checkpoint."
        )
    size, stated = file.stat().st_size, record.checkpoint.size
    if stated not in (None, size):
        raise ChecksumError(f"{record.name}: {file} has {size} bytes, the registry says {stated}")
    return copy


def _portable(record: Record) -> Record:
    return msgspec.json.decode(weights.to_portable_json(record), type=Record)


def _ancestors(records: Sequence[Record]) -> list[Record]:
    """Return the records that these started from, which a registry of them has to have."""
    known, chain = registry.default().records, {record.name: record for record in records}
    for record in records:
        ancestor = record.pretrain
        while ancestor is not None and ancestor in known and ancestor not in chain:
            chain[ancestor] = known[ancestor]
            ancestor = known[ancestor].pretrain
    return [chain[name] for name in sorted(chain) if chain[name] not in records]


def _labels(records: Sequence[Record]) -> dict[str, _Content]:
    """Return the members with class names; one's own stand in their record, a set known to nobody is left out."""
    members: dict[str, _Content] = {}
    for label_set in {record.labels for record in records if isinstance(record.labels, str)}:
        try:
            names = class_names(label_set)
        except UsageError:
            continue
        members[bundle_format.labels_member(label_set)] = as_json(list(names))
    return members


def _registry(records: Sequence[Record]) -> bytes:
    """Return a registry file that holds these records, after reading it back."""
    content = writer.text(records).encode()
    with tempfile.TemporaryDirectory(prefix="videohub-") as folder:
        file = Path(folder) / REGISTRY
        file.write_bytes(content)
        back = registry.load(file).records
    for record in records:
        if weights.to_portable_json(back[record.name]) != weights.to_portable_json(record):
            raise UsageError(
                f"{record.name}: a registry elsewhere would not say the same; its URL is {record.checkpoint.url}.\n"
                "  Name the file by a plain path beside the registry."
            )
    return content


def _member(name: str, content: _Content) -> Member:
    if isinstance(content, bytes):
        return Member(name=name, size=len(content), sha256=hashlib.sha256(content).hexdigest())
    return Member(name=name, size=content.stat().st_size, sha256=cache.sha256_of(content))


def _write(part: Path, contents: Mapping[str, _Content]) -> None:
    """Write a tar in which owners, modes and times are always the same."""
    sizes = [len(content) if isinstance(content, bytes) else content.stat().st_size for content in contents.values()]
    with (
        tarfile.open(part, "w", format=tarfile.GNU_FORMAT, encoding="utf-8") as tar,
        tqdm(total=sum(sizes), desc="bundle", unit="B", unit_scale=True, unit_divisor=1024, disable=None) as bar,
    ):
        for (name, content), size in zip(contents.items(), sizes, strict=True):
            info = tarfile.TarInfo(name)
            info.size = size
            with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as file:
                tar.addfile(info, CallbackIOWrapper(bar.update, file, "read"))

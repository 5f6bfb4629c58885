"""Installs a bundle: everything in it is checked first, also against what is known here; then all of it, or nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
from tqdm import tqdm

from videohub import registry, weights
from videohub.architectures import MOST_BLOCKS
from videohub.cache_admin import bundle_format
from videohub.cache_admin.bundle_format import REGISTRY, Bundle, Manifest, Packed
from videohub.convert import kept_weights, tables
from videohub.convert.recognition import OURS
from videohub.data.labels import class_names
from videohub.errors import (
    CacheError,
    ChecksumError,
    FormatError,
    RegistryError,
    UnsafeFileError,
    UsageError,
    VideohubError,
)
from videohub.files import atomic_write, existing_file, fsync_and_replace, remove_stale_temps, temp_path_beside
from videohub.hub import cache, pins
from videohub.hub.download import Fetched
from videohub.hub.file_lock import Lock, file_lock
from videohub.registry import writer
from videohub.registry.schema import Record
from videohub.registry.writer import is_local
from videohub.resources import cache_home

Voucher: TypeAlias = Literal["registry", "first use", "bundle"]
Known: TypeAlias = Mapping[str, Record]  # the records of this machine, by case-folded name


@dataclass(frozen=True)
class Installed:
    """A record of a bundle, where its weights are now, and who says that they are made from its published file.

    `vouched_by`: "registry", which is on this machine and states the file's digest; "first use", for its address was
    first seen here with that digest; "bundle": nothing but the bundle itself.
    """

    record: str
    weights: str
    state: Literal["installed", "already here"]
    vouched_by: Voucher


@dataclass(frozen=True)
class Unbundled:
    """What a bundle brought. `registry`: a file with those of its records that this machine does not know."""

    bundle: str
    sha256: str
    records: list[Installed]
    registry: str | None


def unbundle(path: str | Path) -> Unbundled:
    """Install the published files of a bundle, so that `load` needs no connection; all of them, or none.

    Each is what its digest says, and its weights are made from it here. That this digest is the published file's is
    known as after a download: the registry here states it, or it was seen before; else only the bundle says so, which
    is returned, remembered with the digest, and told by `load` and by reports.

    Raises: UsageError; FormatError, UnsafeFileError, ChecksumError or ConversionError if the bundle is not what it
        says, or not what would be looked for here; CacheError if this machine cannot keep it.
    """
    file_here = existing_file(path, "bundle")
    with (
        file_here.open("rb") as file,
        cache.at_work(f"{path}: cannot be installed"),
        ExitStack() as working,
        ExitStack() as undo,
    ):
        bundle = bundle_format.opened(file, str(path))
        known = {name.casefold(): record for name, record in registry.default().records.items()}
        _check_agreement(bundle.manifest, known, bundle.source)
        _check_texts(bundle)
        registry_text = _registry_of_unknown(bundle.manifest, known, bundle.source)
        digests = sorted({packed.sha256 for packed in bundle.manifest.records})
        locks = {digest: working.enter_context(file_lock(digest, what=bundle.source)) for digest in digests}
        files = _files(bundle, locks, working, undo)
        installed = [
            _installed(bundle, packed, files[packed.sha256], known, undo, alone=locks[packed.sha256].acquired)
            for packed in bundle.manifest.records
        ]
        registry_file = _registry_in_place(registry_text, undo) if registry_text else None
        for packed in bundle.manifest.records:  # last, for these make all else be found
            _pin(packed, _looked_for(packed, known), bundle.source, undo)
        undo.pop_all()
        digest = cache.sha256_of(Path(path))
    return Unbundled(str(path), digest, installed, str(registry_file) if registry_file else None)


def _files(bundle: Bundle, locks: Mapping[str, Lock], working: ExitStack, undo: ExitStack) -> dict[str, Fetched]:
    """Bring the published files of a bundle into the cache, by their digests; `undo` removes those that were not there.

    One that a registry names beside itself is not looked for in the cache: it is gone when `working` ends.
    """
    looked_for = {
        packed.sha256 for packed in bundle.manifest.records if not is_local(packed.record.checkpoint.url or "")
    }
    total = sum(bundle.manifest.member(bundle_format.file_member(digest)).size for digest in locks)
    cache.check_room(total)
    bar = working.enter_context(
        tqdm(total=total, desc="unbundle", unit="B", unit_scale=True, unit_divisor=1024, disable=None)
    )

    def progress(size: int) -> None:
        bar.update(size)
        for lock in locks.values():
            lock.heartbeat()

    files = {}
    for digest, lock in locks.items():
        place = cache.place("raw", digest)
        if lock.acquired:
            remove_stale_temps(place)
        with temp_path_beside(place) as part:
            bundle.copy(bundle_format.file_member(digest), part, progress)
            existing = cache.find("raw", digest)
            if existing is None or cache.sha256_of(existing) != digest:
                (undo if digest in looked_for else working).callback(place.unlink, missing_ok=True)
                fsync_and_replace(part, place)
                existing = place
        files[digest] = Fetched(existing, digest)
    return files


def _installed(
    bundle: Bundle, packed: Packed, file: Fetched, known: Known, undo: ExitStack, *, alone: bool
) -> Installed:
    """Make the weights of a record from its file, unless the cache has the same; `undo` takes them away again."""
    record = _looked_for(packed, known)

    def place(layout: str | None = None) -> Path:
        key = weights.conversion_key(record, layout)
        return cache.place("converted", cache.converted_name(packed.sha256, key))

    if alone:
        remove_stale_temps(place())
    with temp_path_beside(place()) as part:
        called = f"{bundle.source}: {bundle_format.file_member(packed.sha256)}"
        target = place(convert_bundled(file, record, part, called=called).layout)
        existing = _existing(target.name, part, packed, bundle.source)
        if existing is None:
            undo.callback(target.unlink, missing_ok=True)
            fsync_and_replace(part, target)
    state: Literal["installed", "already here"] = "already here" if existing else "installed"
    return Installed(packed.record.name, str(existing or target), state, _voucher(packed, known))


def _existing(name: str, part: Path, packed: Packed, source: str) -> Path | None:
    """Return where the cache has these weights already, None if it has none or only damaged ones of our own."""
    existing = cache.find("converted", name)
    if existing is None:
        return None
    try:
        kept_weights.check(existing)
    except FormatError as error:
        if cache.is_ours(existing):
            return None  # what is damaged is replaced
        raise CacheError(f"{error}\n  {cache.whose(existing)}") from None
    if not _same(existing, part):
        raise ChecksumError(
            f"{source}: its file of {packed.record.name} makes other weights than {existing},\n"
            "  although these say that they were made from the same file in the same way. They are wrong.\n"
            "  Nothing was changed. Remove them, and unbundle again."
        )
    return existing


def _registry_in_place(text: str, undo: ExitStack) -> Path:
    """Keep a registry file, and return where; `undo` takes it away again."""
    place = _registry_place(text)
    if not (place.is_file() and place.read_bytes() == text.encode()):
        undo.callback(place.unlink, missing_ok=True)
        with atomic_write(place) as part:
            part.write_text(text, encoding="utf-8")
    return place


def _pin(packed: Packed, record: Record, source: str, undo: ExitStack) -> None:
    """Remember the digest of a record's URL, by which its weights are found."""
    url = record.checkpoint.url or ""
    if record.checkpoint.sha256 is not None or pins.pin_of(url):
        return
    binding = pins.pin(url, packed.sha256, packed.size, source=f"bundle {Path(source).name}")
    if binding.sha256 != packed.sha256:
        raise ChecksumError(
            f"{source}: another process has just bound {url} to {binding.sha256}; nothing was installed"
        )
    undo.callback(pins.unpin, url)


_UNREADABLE = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def convert_bundled(file: Fetched, record: Record, out: Path, *, called: str) -> weights.Converted:
    """Prove that a bundle's file, as messages call it, holds the network of a record, which may be the bundle's, too.

    Raises: FormatError, UnsafeFileError; ConversionError if its tensors are not the record's network.
    """
    if record.model.num_blocks > MOST_BLOCKS:
        raise UnsafeFileError(
            f"{called}: its record has {record.model.num_blocks} blocks, expected at most {MOST_BLOCKS}"
        )
    try:
        return weights.convert_published(file, record, out)
    except VideohubError as error:
        raise type(error)(f"{called}: {str(error).replace(str(file.path), called)}") from None
    except _UNREADABLE as error:
        raise FormatError(f"{called}: no weights of a network that can be built ({error!s:.200})") from None


def _same(ours: Path, theirs: Path) -> bool:
    """Tell whether two files of weights hold the same tensors; where they come from may be told differently."""
    mine, other = kept_weights.tensors(ours), kept_weights.tensors(theirs)
    return mine.keys() == other.keys() and all(mine[key].equal(other[key]) for key in mine)


# --- what a bundle says, against what is known on this machine -------------------------------------------------------


def _check_agreement(bundle: Manifest, known: Known, source: str) -> None:
    """Check that what the bundle brings is what `load` would look for here.

    Raises: FormatError if a record differs or has no table here; ChecksumError if another digest is known here.
    """
    for packed in bundle.records:
        name, record = packed.record.name, _looked_for(packed, known)
        member = bundle_format.file_member(packed.sha256)
        advice = (
            "Bundle again with the same registry on both machines,\n"
            f"  or take the file alone: `tar -xf {source} {member}`, then pass --checkpoint {member}."
        )
        ours, theirs = weights.cache_key_fields(record), weights.cache_key_fields(packed.record)
        if differing := [field for field in sorted(ours) if ours[field] != theirs[field]]:
            raise FormatError(
                f"{source}: its record {name} is another than the one here; they differ in {', '.join(differing)}.\n"
                f"  {advice}"
            )
        family, layout = packed.record.family, packed.record.checkpoint.layout
        if layout not in (OURS, *tables.layouts(family)):
            raise FormatError(
                f"{source}: the file of {name} is read by the table {f'{family}/{layout}'!r:.80}, which is not here.\n"
                f"  {advice}"
            )
        _check_digest(packed, record, source)


def _check_digest(packed: Packed, record: Record, source: str) -> None:
    name, url, stated = record.name, record.checkpoint.url or "", record.checkpoint.sha256
    if stated not in (None, packed.sha256):
        raise ChecksumError(
            f"{source}: its published file of {name} has sha256 {packed.sha256},\n"
            f"  the registry here says {stated}. One of them is another file; nothing was installed."
        )
    pin = None if stated else pins.pin_of(url)
    if pin and pin.sha256 != packed.sha256:
        raise ChecksumError(
            f"{source}: its published file of {name} has sha256 {packed.sha256};\n"
            f"  when {url} was first seen here, {pin.first_seen}, it had {pin.sha256}.\n"
            f"  If its publisher announced a change, `videohub cache pins --forget {name}` and unbundle again."
        )


def _looked_for(packed: Packed, known: Known) -> Record:
    """Return the record by which `load` will look for weights here: ours, or the one that the bundle brings."""
    return known.get(packed.record.name.casefold(), packed.record)


def _voucher(packed: Packed, known: Known) -> Voucher:
    """Return who says, besides the bundle, that its file is the published one."""
    record = _looked_for(packed, known)
    if packed.record.name.casefold() in known and record.checkpoint.sha256 is not None:
        return "registry"
    pin = pins.pin_of(record.checkpoint.url or "")
    return "first use" if pin and not pin.bundle else "bundle"


def _check_texts(bundle: Bundle) -> None:
    """Check labels and registry, which people may take out of the bundle and believe."""
    source = bundle.source
    for name, label_set in bundle.manifest.label_sets().items():
        try:
            names = msgspec.json.decode(bundle.text(name), type=list[str])
            ours = class_names(label_set)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise FormatError(f"{source}: {name} is no list of names ({error!s:.200})") from None
        except UsageError as error:
            raise FormatError(f"{source}: brings labels that this videohub does not have: {error!s:.300}") from None
        if tuple(names) != ours:
            raise FormatError(
                f"{source}: its label set {label_set} has other names, or others in another order, than here.\n"
                "  Bundle again with the version that is here."
            )
    if bundle.text(REGISTRY) != writer.text(bundle.manifest.all_records()).encode():
        raise FormatError(
            f"{source}: its {REGISTRY} does not say what its {bundle_format.MANIFEST} says.\n"
            "  The bundle is not to be trusted, or another version of videohub wrote it: bundle again with this one."
        )


def _registry_of_unknown(bundle: Manifest, known: Known, source: str) -> str | None:
    """Return a registry file of the records that this machine does not know, None if it knows them all.

    Raises: FormatError if they do not fit the registries that are here.
    """
    if all(packed.record.name.casefold() in known for packed in bundle.records):
        return None
    unknown = [record for record in bundle.all_records() if record.name.casefold() not in known]
    protocols = {record.protocol.name: record.protocol for record in known.values()}
    for record in unknown:
        if protocols.get(record.protocol.name, record.protocol) != record.protocol:
            raise FormatError(
                f"{source}: the protocol {record.protocol.name} of {record.name} is known here with other content.\n"
                "  Give it another name in its registry, and bundle again."
            )
    text = writer.text(unknown, known=protocols)
    place = _registry_place(text)
    if os.pathsep in str(place):
        raise UsageError(f"{cache_home()}: a path with {os.pathsep!r} in it, which {registry.VARIABLE} cannot name")
    with temp_path_beside(place) as part:
        part.write_text(text, encoding="utf-8")
        try:
            back = registry.default([part]).records
        except RegistryError as error:
            reason = str(error).replace(str(part.resolve()), REGISTRY)
            raise FormatError(f"{source}: its records do not fit the registries that are here:\n  {reason}") from None
    for record in unknown:
        if weights.to_portable_json(back[record.name]) != weights.to_portable_json(record):
            raise FormatError(f"{source}: its record {record.name} cannot be written to a registry; bundle again")
    return text


def _registry_place(text: str) -> Path:
    """Return where a registry file is kept: by content, so that two bundles never write over each other's."""
    return cache.place("registries", f"{cache.key_of(text)[:16]}.yaml")

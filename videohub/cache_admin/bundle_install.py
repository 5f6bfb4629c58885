"""Installs a bundle: everything in it is checked first, then all of it is put in place, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
from tqdm import tqdm

from videohub import weights
from videohub.cache_admin import bundle_agreement, bundle_format
from videohub.cache_admin.bundle_agreement import Voucher
from videohub.cache_admin.bundle_format import REGISTRY, Bundle, Packed
from videohub.convert import kept_weights
from videohub.errors import CacheError, ChecksumError, FormatError, UnsafeFileError, UsageError, VideohubError
from videohub.files import fsync_and_replace, remove_stale_temps, temp_path_beside
from videohub.hub import cache, pins
from videohub.hub.download import Fetched
from videohub.hub.file_lock import Lock, file_lock
from videohub.registry import writer
from videohub.registry.schema import Record
from videohub.registry.writer import is_local


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


@dataclass(frozen=True)
class _Weights:
    """Weights that were made from a bundle's file, on their way into the cache; `existing`: where they already are."""

    packed: Packed
    part: Path
    place: Path
    existing: Path | None


def unbundle(path: str | Path) -> Unbundled:
    """Install the published files of a bundle, so that `load` needs no connection; all of them, or none.

    Each is what its digest says, and its weights are made from it here. That this digest is the published file's is
    known as after a download: the registry here states it, or it was seen before; else only the bundle says so, which
    is returned, remembered with the digest, and told by `load` and by reports.

    Raises: UsageError; FormatError, UnsafeFileError, ChecksumError or ConversionError if the bundle is not what it
        says, or not what would be looked for here; CacheError if this machine cannot keep it.
    """
    if not Path(path).is_file():
        raise UsageError(f"{path}: not a file; expected what `videohub bundle` wrote")
    with (
        Path(path).open("rb") as file,
        cache.at_work(f"{path}: cannot be installed"),
        ExitStack() as working,
        ExitStack() as undo,
    ):
        bundle = bundle_format.opened(file, str(path))
        known = bundle_agreement.here()
        bundle_agreement.check(bundle.manifest, known, bundle.source)
        _check_texts(bundle)
        registry_text = bundle_agreement.registry_of_unknown(bundle.manifest, known, bundle.source)
        digests = sorted({packed.sha256 for packed in bundle.manifest.records})
        locks = {digest: working.enter_context(file_lock(digest, what=bundle.source)) for digest in digests}
        files = _files(bundle, locks, working, undo)
        ready = []
        for packed in bundle.manifest.records:
            alone = locks[packed.sha256].acquired
            ready.append(_made(bundle, packed, files[packed.sha256], known, working, alone=alone))
        vouchers = [bundle_agreement.voucher(packed, known) for packed in bundle.manifest.records]
        registry_file = _put_in_place(ready, registry_text, known, bundle.source, undo)
        undo.pop_all()
        installed = [
            Installed(each.packed.record.name, str(each.existing or each.place),
                      "already here" if each.existing else "installed", voucher)
            for each, voucher in zip(ready, vouchers, strict=True)
        ]  # fmt: skip
        digest = cache.sha256_of(Path(path))
    return Unbundled(str(path), digest, installed, str(registry_file) if registry_file else None)


def _check_texts(bundle: Bundle) -> None:
    """Check labels and registry, which people may take out of the bundle and believe."""
    for name, label_set in bundle.manifest.label_sets().items():
        try:
            names = msgspec.json.decode(bundle.text(name), type=list[str])
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise FormatError(f"{bundle.source}: {name} is no list of names ({error!s:.200})") from None
        bundle_agreement.check_labels(label_set, names, bundle.source)
    if bundle.text(REGISTRY) != writer.text(bundle_agreement.every_record(bundle.manifest)).encode():
        raise FormatError(
            f"{bundle.source}: its {REGISTRY} does not say what its {bundle_format.MANIFEST} says.\n"
            "  The bundle is not to be trusted, or another version of videohub wrote it: bundle again with this one."
        )


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

    found = {}
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
        found[digest] = Fetched(existing, digest)
    return found


def _made(
    bundle: Bundle, packed: Packed, file: Fetched, known: bundle_agreement.Known, working: ExitStack, *, alone: bool
) -> _Weights:
    """Make the weights of a record from its file, and see whether the cache has them; gone when `working` ends."""
    record = bundle_agreement.looked_for(packed, known)
    name = cache.converted_name(packed.sha256, weights.conversion_key(record))
    place = cache.place("converted", name)
    if alone:
        remove_stale_temps(place)
    part = working.enter_context(temp_path_beside(place))
    made = convert_bundled(file, record, part, called=f"{bundle.source}: {bundle_format.file_member(packed.sha256)}")
    name = cache.converted_name(packed.sha256, weights.conversion_key(record, made.layout))
    place = cache.place("converted", name)
    return _Weights(packed, part, place, _existing(name, part, packed, bundle.source))


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


def _put_in_place(
    ready: list[_Weights], registry_text: str | None, known: bundle_agreement.Known, source: str, undo: ExitStack
) -> Path | None:
    """Give everything its final name; `undo` takes it away again."""
    registry_file = bundle_agreement.registry_place(registry_text) if registry_text else None
    for each in ready:
        if each.existing is None:
            undo.callback(each.place.unlink, missing_ok=True)
            fsync_and_replace(each.part, each.place)
    if registry_text and registry_file and not _holds(registry_file, registry_text):
        undo.callback(registry_file.unlink, missing_ok=True)
        with temp_path_beside(registry_file) as part:
            part.write_text(registry_text, encoding="utf-8")
            fsync_and_replace(part, registry_file)
    for each in ready:
        _pin(each.packed, bundle_agreement.looked_for(each.packed, known), source, undo)
    return registry_file


def _holds(file: Path, text: str) -> bool:
    return file.is_file() and file.read_text(encoding="utf-8", errors="replace") == text


def _pin(packed: Packed, record: Record, source: str, undo: ExitStack) -> None:
    """Remember the digest of a record's URL, by which its weights are found; last, for it makes them be found."""
    url = record.checkpoint.url or ""
    if record.checkpoint.sha256 is not None or pins.pin_of(url):
        return
    binding = pins.pin(url, packed.sha256, packed.size, source=f"bundle {Path(source).name}")
    if binding.sha256 != packed.sha256:
        raise ChecksumError(
            f"{source}: another process has just bound {url} to {binding.sha256}; nothing was installed"
        )
    undo.callback(pins.unpin, url)


MAX_BLOCKS = 1000  # of a network: what comes from elsewhere must not ask for a million layers
_UNREADABLE = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def convert_bundled(file: Fetched, record: Record, out: Path, *, called: str) -> weights.Converted:
    """Prove that a published file holds a record's network, and write its weights.

    Args:
        file: The published file, whose digest was taken.
        record: Whose weights they shall be; it may have come from elsewhere, too.
        out: The file to write.
        called: What messages call the file.
    Raises: FormatError, UnsafeFileError; ConversionError if its tensors are not the record's network.
    """
    if record.model.num_blocks > MAX_BLOCKS:
        raise UnsafeFileError(
            f"{called}: its record has {record.model.num_blocks} blocks, expected at most {MAX_BLOCKS}"
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

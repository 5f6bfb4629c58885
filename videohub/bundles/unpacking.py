"""Installs a bundle: everything in it is checked first, then all of it is put in place, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
from tqdm import tqdm

from videohub.bundles import agreement, manifest, opening, proof
from videohub.bundles.manifest import REGISTRY, Packed
from videohub.bundles.opening import Bundle
from videohub.convert import kept_weights
from videohub.errors import CacheError, ChecksumError, FormatError, UsageError
from videohub.files import part_of, publish, sweep
from videohub.hub import cache, pins
from videohub.hub.locking import only_one
from videohub.registry import writing
from videohub.registry.schema import Record


@dataclass(frozen=True)
class Installed:
    """A record of a bundle, and where its weights are now."""

    record: str
    weights: str
    state: Literal["installed", "already here"]


@dataclass(frozen=True)
class Unbundled:
    """What a bundle brought. `registry`: a file with those of its records that this machine does not know."""

    bundle: str
    sha256: str
    records: list[Installed]
    registry: str | None


@dataclass(frozen=True)
class _Weights:
    """Checked weights on their way into the cache; `existing`: where they already are."""

    packed: Packed
    part: Path
    place: Path
    existing: Path | None


def unbundle(path: str | Path) -> Unbundled:
    """Install the weights of a bundle, so that `load` finds them without a connection; all of them, or none.

    Raises: UsageError; FormatError, UnsafeFileError, ChecksumError or ConversionError if the bundle is not what it
        says, or not what would be looked for here; CacheError if this machine cannot keep it.
    """
    if not Path(path).is_file():
        raise UsageError(f"{path}: not a file; expected what `videohub bundle` wrote")
    with Path(path).open("rb") as file, cache.at_work(f"{path}: cannot be installed"), ExitStack() as working:
        bundle = opening.opened(file, str(path))
        known = agreement.here()
        agreement.check(bundle.manifest, known, bundle.source)
        _check_texts(bundle)
        registry_text = agreement.registry_of_unknown(bundle.manifest, known, bundle.source)
        ready = _ready(bundle, working)
        registry_file = _put_in_place(ready, registry_text, known, bundle.source)
        installed = [
            Installed(each.packed.record.name, str(each.existing or each.place),
                      "already here" if each.existing else "installed")
            for each in ready
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
        agreement.check_labels(label_set, names, bundle.source)
    if bundle.text(REGISTRY) != writing.text(agreement.every_record(bundle.manifest)).encode():
        raise FormatError(
            f"{bundle.source}: its {REGISTRY} does not say what its {manifest.MANIFEST} says.\n"
            "  The bundle is not to be trusted, or another version of videohub wrote it: bundle again with this one."
        )


def _ready(bundle: Bundle, working: ExitStack) -> list[_Weights]:
    """Copy all weights to the disk of the cache and check them; they are gone when `working` ends."""
    digests = sorted({packed.sha256 for packed in bundle.manifest.records})
    turns = {digest: working.enter_context(only_one(digest, what=bundle.source)) for digest in digests}
    total = sum(
        bundle.manifest.member(manifest.weights_member(packed.record)).size for packed in bundle.manifest.records
    )
    bar = working.enter_context(
        tqdm(total=total, desc="unbundle", unit="B", unit_scale=True, unit_divisor=1024, disable=None)
    )

    def progress(size: int) -> None:
        bar.update(size)
        for turn in turns.values():
            turn.sign()

    ready = []
    for packed in bundle.manifest.records:
        file = cache.converted_name(packed.sha256, packed.recipe)
        place = cache.place("converted", file)
        if turns[packed.sha256].alone:
            sweep(place)
        part = working.enter_context(part_of(place))
        ready.append(_Weights(packed, part, place, _checked(bundle, packed, part, progress)))
    return ready


def _checked(bundle: Bundle, packed: Packed, part: Path, progress: Callable[[int], None]) -> Path | None:
    """Bring one record's weights to `part`, right ones, and return where the cache has them already."""
    name = manifest.weights_member(packed.record)
    bundle.copy(name, part, progress)
    proof.check(part, packed.record, packed.sha256, called=f"{bundle.source}: {name}")
    file = cache.converted_name(packed.sha256, packed.recipe)
    existing = cache.find("converted", file)
    if existing is None:
        return None
    try:
        kept_weights.check(existing)
    except FormatError as error:
        if cache.is_ours(existing):
            return None  # what is damaged is replaced
        raise CacheError(f"{error}\n  {cache.whose(existing)}") from None
    if not proof.same(existing, part):
        raise ChecksumError(
            f"{bundle.source}: its weights of {packed.record.name} are others than {existing},\n"
            "  although both say that they were made from the same file in the same way. One of them is wrong.\n"
            "  Nothing was changed. Fetch the published file on a third machine and compare, or remove the wrong one."
        )
    return existing


def _put_in_place(ready: list[_Weights], registry_text: str | None, known: agreement.Known, source: str) -> Path | None:
    """Give everything its final name; if one step fails, those before it are undone."""
    registry_file = agreement.registry_place(registry_text) if registry_text else None
    with ExitStack() as undo:
        for each in ready:
            if each.existing is None:
                undo.callback(each.place.unlink, missing_ok=True)
                publish(each.part, each.place)
        if registry_text and registry_file and not _holds(registry_file, registry_text):
            undo.callback(registry_file.unlink, missing_ok=True)
            with part_of(registry_file) as part:
                part.write_text(registry_text, encoding="utf-8")
                publish(part, registry_file)
        for each in ready:
            _pin(each.packed, agreement.looked_for(each.packed, known), source, undo)
        undo.pop_all()
    return registry_file


def _holds(file: Path, text: str) -> bool:
    return file.is_file() and file.read_text(encoding="utf-8", errors="replace") == text


def _pin(packed: Packed, record: Record, source: str, undo: ExitStack) -> None:
    """Remember the digest of a record's URL, by which its weights are found; last, for it makes them be found."""
    url = record.checkpoint.url or ""
    if record.checkpoint.sha256 is not None or pins.pin_of(url):
        return
    binding = pins.pin(url, packed.sha256, packed.size or 0, source=f"bundle {Path(source).name}")
    if binding.sha256 != packed.sha256:
        raise ChecksumError(
            f"{source}: another process has just bound {url} to {binding.sha256}; nothing was installed"
        )
    undo.callback(pins.unpin, url)

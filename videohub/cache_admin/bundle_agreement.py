"""What a bundle says against what is known on this machine; where they differ, nothing is installed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from videohub import registry, weights
from videohub.cache_admin import bundle_format
from videohub.cache_admin.bundle_format import Manifest, Packed
from videohub.convert import tables
from videohub.data.labels import class_names
from videohub.errors import ChecksumError, FormatError, RegistryError, UsageError
from videohub.files import temp_path_beside
from videohub.hub import cache, pins
from videohub.registry import writer
from videohub.registry.schema import Record

Voucher: TypeAlias = Literal["registry", "first use", "bundle"]
Known: TypeAlias = Mapping[str, Record]  # the records of this machine, by case-folded name


def here() -> Known:
    """Return what this machine knows: our registry, and those that the environment names."""
    return {name.casefold(): record for name, record in registry.default().records.items()}


def check(bundle: Manifest, known: Known, source: str) -> None:
    """Check that what the bundle brings is what `load` would look for here.

    Raises: FormatError if a record differs or has no table here; ChecksumError if another digest is known here.
    """
    for packed in bundle.records:
        _check_record(packed, known, source)
        _check_table(packed, source)
        _check_digest(packed, known, source)


def check_labels(label_set: str, names: Sequence[str], source: str) -> None:
    """Check that a bundle's class names are the ones that predictions get here. Raises: FormatError."""
    try:
        ours = class_names(label_set)
    except UsageError as error:
        raise FormatError(f"{source}: brings labels that this videohub does not have: {error!s:.300}") from None
    if tuple(names) != ours:
        at = next((k for k, pair in enumerate(zip(names, ours, strict=False)) if pair[0] != pair[1]), None)
        what = (
            f"{len(names)} names, here are {len(ours)}"
            if at is None
            else f"{names[at]!r:.80} as class {at}, here is {ours[at]!r}"
        )
        raise FormatError(
            f"{source}: its label set {label_set} has {what}.\n  Bundle again with the version that is here."
        )


def registry_of_unknown(bundle: Manifest, known: Known, source: str) -> str | None:
    """Return a registry file of the records that this machine does not know, None if it knows them all.

    Raises: FormatError if they do not fit the registries that are here.
    """
    if all(_named(packed.record, known) for packed in bundle.records):
        return None
    unknown = [record for record in every_record(bundle) if not _named(record, known)]
    protocols = {record.protocol.name: record.protocol for record in known.values()}
    for record in unknown:
        if protocols.get(record.protocol.name, record.protocol) != record.protocol:
            raise FormatError(
                f"{source}: the protocol {record.protocol.name} of {record.name} is known here with other content.\n"
                "  Give it another name in its registry, and bundle again."
            )
    text = writer.text(unknown, known=protocols)
    if os.pathsep in str(registry_place(text)):
        raise UsageError(f"{cache.home()}: a path with {os.pathsep!r} in it, which {registry.VARIABLE} cannot name")
    with temp_path_beside(registry_place(text)) as part:
        part.write_text(text, encoding="utf-8")
        try:
            back = registry.default([part]).records
        except RegistryError as error:
            said = str(error).replace(str(part.resolve()), bundle_format.REGISTRY)
            raise FormatError(f"{source}: its records do not fit the registries that are here:\n  {said}") from None
    if odd := [
        record.name
        for record in unknown
        if weights.to_portable_json(back[record.name]) != weights.to_portable_json(record)
    ]:
        raise FormatError(f"{source}: its record {odd[0]} cannot be written to a registry; bundle again")
    return text


def every_record(bundle: Manifest) -> list[Record]:
    """Return the records in the order of the bundle's own registry."""
    return [*(packed.record for packed in bundle.records), *bundle.ancestors]


def registry_place(text: str) -> Path:
    """Return where a registry file is kept: by content, so that two bundles never write over each other's."""
    return cache.place("registries", f"{cache.key_of(text)[:16]}.yaml")


def looked_for(packed: Packed, known: Known) -> Record:
    """Return the record by which `load` will look for weights here: ours, or the one that the bundle brings."""
    return _named(packed.record, known) or packed.record


def voucher(packed: Packed, known: Known) -> Voucher:
    """Return who says, besides the bundle, that its file is the published one."""
    record = _named(packed.record, known)
    if record is not None and record.checkpoint.sha256 is not None:
        return "registry"
    pin = pins.pin_of(looked_for(packed, known).checkpoint.url or "")
    return "first use" if pin and not pin.bundle else "bundle"


def _named(record: Record, known: Known) -> Record | None:
    """Return what is known here by a record's name, in any case."""
    return known.get(record.name.casefold())


def _check_record(packed: Packed, known: Known, source: str) -> None:
    ours, name = looked_for(packed, known), packed.record.name
    if weights.cache_key_fields(ours) != weights.cache_key_fields(packed.record):
        differing = _differences(weights.cache_key_fields(ours), weights.cache_key_fields(packed.record))
        raise FormatError(
            f"{source}: its record {name} is another than the one here; they differ in {', '.join(differing)}.\n"
            f"  Bundle again with the same registry on both machines{_by_hand(packed, source)}"
        )


def _check_table(packed: Packed, source: str) -> None:
    record = packed.record
    if record.checkpoint.layout not in tables.layouts(record.family):
        table = f"{record.family}/{record.checkpoint.layout}"
        raise FormatError(
            f"{source}: the file of {record.name} is read by the table {table!r:.80}, which is not here.\n"
            f"  Bundle again with the same registry on both machines{_by_hand(packed, source)}"
        )


def _check_digest(packed: Packed, known: Known, source: str) -> None:
    name, published = packed.record.name, looked_for(packed, known).checkpoint
    url = published.url or ""
    if published.sha256 is not None:
        if published.sha256 != packed.sha256:
            raise ChecksumError(
                f"{source}: its published file of {name} has sha256 {packed.sha256},\n"
                f"  the registry here says {published.sha256}. One of them is another file; nothing was installed."
            )
        return
    pin = pins.pin_of(url)
    if pin and pin.sha256 != packed.sha256:
        raise ChecksumError(
            f"{source}: its published file of {name} has sha256 {packed.sha256};\n"
            f"  when {url} was first seen here, {pin.first_seen}, it had {pin.sha256}.\n"
            f"  If its publisher announced a change, `videohub cache pins --forget {name}` and unbundle again."
        )


def _by_hand(packed: Packed, source: str) -> str:
    member = bundle_format.file_member(packed.sha256)
    return f",\n  or take the file alone: `tar -xf {source} {member}`, then pass --checkpoint {member}."


def _differences(ours: dict[str, Any], theirs: dict[str, Any], within: str = "") -> list[str]:
    """Return the fields in which two records differ, with dots."""
    found = []
    for key in sorted({*ours, *theirs}):
        mine, other = ours.get(key), theirs.get(key)
        if isinstance(mine, dict) and isinstance(other, dict):
            found += _differences(mine, other, f"{within}{key}.")
        elif mine != other:
            found.append(f"{within}{key}")
    return found

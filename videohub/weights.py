"""From a record to proved weights: bring the file here, read it, rename it, compare it with the network, keep it."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from videohub import certificate, published_files, registry
from videohub.building import (
    build_empty,
    classes_of,
    held,
    is_published,
    known_sha256,
    tell_unnamed,
    with_activation,
    with_classes_of,
)
from videohub.certificate import Certificate, CertifiedFile, NetworkFile
from videohub.convert import kept_weights, tables
from videohub.convert.checkpoint import opened, opened_together
from videohub.convert.conversion import check_layout, export, file_at, names_classes, patterns, renamed
from videohub.convert.recognition import OURS, check_state_dict
from videohub.convert.tables import Table
from videohub.errors import ConversionError, FormatError, UsageError
from videohub.files import as_json, atomic_write, check_parent_exists, remove_stale_temps
from videohub.hub import cache, download, pins
from videohub.hub.file_lock import file_lock
from videohub.log import log
from videohub.registry import model_folder
from videohub.registry.labels import Given, as_text, resolve, with_labels
from videohub.registry.schema import Record, with_urls
from videohub.registry.writer import as_decoded
from videohub.runs import Voucher, WeightsFile
from videohub.version import __version__

_CARRIED = ("activation", "taken", "not_taken")  # from a converted file to one that is made of it
_CONVERTER = 5  # raised when the same tables and the same file would give another converted file


@dataclass(frozen=True)
class Converted:
    """A file that was written, and what it was made from."""

    out: str
    record: str
    tensors: int
    described: str  # the kind of file read, such as "caffe2 in tar in gzip"
    layout: str  # how its keys are spelt
    source_sha256: str
    certificate: Certificate | None = None


def fetch(name: str | Record, *, checkpoint: str | Path | None = None, ignore: Sequence[str] = ()) -> Path:
    """Return the record's weights as a .safetensors file in the cache, converted and proved if they were not yet.

    A file of one's own that `save` wrote is proved and returned itself: no second one is kept of it.

    Args:
        name: A record, its id or its upstream name.
        checkpoint: A file of one's own instead of the record's URL, which may have another number of classes. Where the
            record's weights come in several files: a folder that holds them by their published names, or one of all.
        ignore: Patterns of published keys to leave aside knowingly.
    Raises: UnavailableError, DownloadError, FormatError, ConversionError.
    """
    record = registry.record(name)
    path = _fetched(record, checkpoint, patterns(ignore))
    classes, expected = classes_of(path, record), record.model.num_classes
    if checkpoint is None and classes != expected:  # converted once as a file of one's own
        raise ConversionError(
            f"{record.name}: the published file has {classes or 'no'} classes, expected {expected or 'none'}.\n"
            "  Correct the record; or give the file as a checkpoint, which may have its own."
        )
    return path


def weights_file(weights: Path, record: Record, *, checkpoint: str | Path | None = None) -> WeightsFile:
    """Return what is known of the file that a record's weights were read from, for a run that is made with them.

    Args:
        weights: What `fetch` returned, for the file that was given by hand, if one was.
    Raises: CacheError if what is known of the record's address is damaged; FormatError if the weights are.
    """
    is_given = checkpoint is not None and weights == Path(checkpoint)
    # Of what our own conversion had read, its name in the cache says it.
    sha256 = cache.sha256_of(weights) if is_given else weights.name.partition("-")[0]
    origin = kept_weights.origin(weights)
    converted_here = origin.get("source_sha256") == sha256
    keys = conversion_keys(record, json.loads(origin.get("ignore", "[]"))) if record.checkpoint.beside else {}
    is_other = keys and weights.name not in {cache.converted_name(sha256, key) for key in keys.values()}  # beside it
    vouched_by, first_seen = (None, "") if is_other else _voucher(sha256, record, by_hand=checkpoint is not None)
    name = Path(checkpoint).name if checkpoint is not None else (record.checkpoint.url or "").rpartition("/")[2]
    return WeightsFile(
        name=name.encode(errors="replace").decode(),
        sha256=sha256,
        vouched_by=vouched_by,
        first_seen=first_seen,
        claimed_source=None if converted_here else origin.get("source"),
        claimed_sha256=None if converted_here else origin.get("source_sha256"),
        taken=origin.get("taken", ""),
    )


def _voucher(sha256: str, record: Record, *, by_hand: bool) -> tuple[Voucher | None, str]:
    """Return who knows a file with this digest as the record's published one, and since when."""
    published = record.checkpoint
    if published.sha256 is not None:
        return ("registry", "") if published.sha256 == sha256 else (None, "")
    url = published.url or ""
    if url.startswith("file:"):
        return (None, "") if by_hand else ("registry path", "")
    pin = pins.pin_of(url)
    if pin is None or pin.sha256 != sha256:
        return None, ""
    source = pin.bundle or ("a mirror or an alternate" if pin.source else "")  # whose address is nobody else's business
    return "first use", f"{pin.first_seen}, in {source}" if source else pin.first_seen


def _fetched(record: Record, checkpoint: str | Path | None, ignore: Sequence[str]) -> Path:
    """Return the weights in the cache, made if they are not there."""
    known = known_sha256(record) if checkpoint is None else None
    if known:
        _tell_if_bundled(record)
    if known and (path := _converted(known, conversion_keys(record, ignore), record)):
        return path  # the published file itself is not needed any more
    files = record.checkpoint.files if checkpoint is None else ()
    first_seen = [file.url for file in files if file.url and pins.digest_of(file.url, file.sha256) is None]
    if checkpoint is None:
        source = published_files.published_file(record)
    else:
        urls = [file.url or "" for file in record.checkpoint.files]
        source = download.local_together(Path(checkpoint), urls, name=record.name)
        if not ignore and not source.beside and _is_kept_so(source, record):
            return source.path
    keys = conversion_keys(record, ignore, beside=[each.sha256 for each in source.beside])
    first = cache.converted_name(source.sha256, next(iter(keys.values())))

    def place(layout: str) -> Path:
        return cache.place("converted", cache.converted_name(source.sha256, keys[layout]))

    def convert() -> Path:
        file = _read(source, record, ignore=ignore, by_hand=checkpoint is not None)
        return Path(_write(file, place(file.about.layout), ignore=ignore).out)

    with cache.at_work(f"{record.name}: the weights cannot be kept"), file_lock(first, what=record.name) as lock:
        if path := _converted(source.sha256, keys, record):
            return path
        if lock.acquired:
            for layout in keys:
                remove_stale_temps(place(layout))
        try:
            return convert()
        except FormatError:
            shards = model_folder.shards(source.path, record.checkpoint.url or "", record.name) if source.parts else []
            for url in (*first_seen, *shards):
                pins.forget(url)  # a log-in page must not bind the next download
            raise
        except FileNotFoundError:  # where locks do nothing, another process took ours for a left-over
            return _converted(source.sha256, keys, record) or convert()


def _is_kept_so(source: download.Fetched, record: Record) -> bool:
    """Tell whether a file of somebody's own is what would be kept of it; proved as any other. Raises: as `_read`."""
    try:
        if "checksum" not in kept_weights.origin(source.path):
            return False
    except FormatError:  # of others, or damaged, which whoever converts it tells
        return False
    return kept_weights.holds(source.path, _read(source, record, ignore=(), by_hand=True).state)


def conversion_key(record: Record, layout: str | None = None) -> str:
    """Return the key for a file whose keys are spelt as this layout has them; None: as the record says."""
    return conversion_keys(record)[layout or record.checkpoint.layout]


def conversion_keys(
    record: Record, ignore: Sequence[str] = (), *, beside: Sequence[str | None] | None = None
) -> dict[str, str]:
    """Return a digest of all that decides how a file becomes weights: network, the one table used, converter.

    There is one for each layout that a file of the record's may turn out to have, the record's own first.

    Args:
        ignore: Patterns of published keys that are left aside.
        beside: Digests of files that were read beside it; None: what is known of the published ones.
    Raises: ConversionError if the record's own layout has no table.
    """
    first = record.checkpoint.layout
    table_of: dict[str, Table | None] = {first: None if first == OURS else tables.find(record.family, first)}
    table_of |= {**tables.of_family(record.family), OURS: None}
    if beside is None:
        beside = [pins.digest_of(each.url, each.sha256) for each in record.checkpoint.beside]
    keys = {}
    for layout, table in table_of.items():
        fields = {**cache_key_fields(record), "layout": layout}
        parts = [_CONVERTER, fields, None if table is None else table.digest, sorted(ignore)]
        parts += [list(beside)] if beside else []
        keys[layout] = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return keys


def convert_file(
    file: str | Path,
    name: str | Record,
    out: str | Path,
    *,
    layout: str = OURS,
    ignore: Sequence[str] = (),
    labels: Given | None = None,
    certify_to: str | Path | None = None,
) -> Converted:
    """Read a checkpoint file of any known kind, prove that it is the record's network, write it as another kind.

    Args:
        file: Published, converted or exported weights.
        name: The record whose network the file holds.
        out: The file to write, whole or not at all; for transformers also a folder, for what belongs beside it.
        layout: "videohub" for .safetensors under our names, or one that has a table for the network.
        ignore: Patterns of published keys to leave aside knowingly.
        labels: What the outputs are called, which "videohub" files carry; None: as the file or the record says.
        certify_to: Where to write a certificate that the file written and read back is the same network.
    Raises: UsageError, FormatError, ConversionError.
    """
    record, ignore = registry.record(name), patterns(ignore)
    names = None if labels is None else resolve(labels)
    check_layout(record, layout, OURS)
    if names is not None and not names_classes(record, layout):
        raise UsageError(f"labels: files of {layout} carry no names; leave them out, or write a file of videohub's")
    source = download.local(Path(file), name=record.name)
    check_parent_exists(Path(out))
    weights = file_at(Path(out), record, layout)
    for path in (weights, *([] if certify_to is None else [Path(certify_to)])):
        if path.exists() and path.samefile(source.path):
            raise UsageError(f"{path}: this is the file to read; give the result another name")
    if certify_to is not None and Path(certify_to).parent != weights.parent:  # which may be yet to come
        check_parent_exists(Path(certify_to))
    if certify_to is not None and Path(certify_to).absolute() == weights.absolute():
        raise UsageError(f"{weights}: this is the file to write; give its certificate another name")
    network = _read(source, record, ignore=ignore, by_hand=True, labels=names)
    if is_published(source.sha256, record, file):
        network = replace(network, labels=network.record.labels)
    written = _write(network, Path(out), to=layout, ignore=ignore)
    if layout == OURS:
        held(record, weights, source=file)  # tells what is not the record's
    elif network.labels is None and names_classes(record, layout):
        tell_unnamed(network.record, network.about.sha256, file)
    if certify_to is None:
        return written
    there = network.record if layout == OURS else certificate.network_of(network.record, layout)
    read_back = _read(download.local(weights, name=record.name), there, ignore=(), by_hand=True)
    certified = certificate.certify(network, read_back)
    with atomic_write(Path(certify_to)) as part:
        part.write_bytes(as_json(certified))
    return replace(written, certificate=certified)


def convert_published(source: download.Fetched, record: Record, out: Path) -> Converted:
    """Make the weights that `fetch` hands out from a published file. Raises: FormatError, ConversionError."""
    return _write(_read(source, record, ignore=(), by_hand=False), out)


def _tell_if_bundled(record: Record) -> None:
    """Say so where nothing but a bundle says which file is the published one."""
    pin = pins.pin_of(record.checkpoint.url or "")
    if pin and pin.bundle and record.checkpoint.sha256 is None:
        log.warning("%s: that its published file has sha256 %s… is known by %s alone; the registry states no digest",
                    record.name, pin.sha256[:12], pin.bundle)  # fmt: skip


def _converted(source_sha256: str, keys: Mapping[str, str], record: Record) -> Path | None:
    """Return weights that were made before, if they are whole; marks them as used, for `cache prune`."""
    places = (cache.find("converted", cache.converted_name(source_sha256, key)) for key in keys.values())
    if (path := next(filter(None, places), None)) is None:
        return None
    try:
        kept_weights.origin(path)
    except FormatError as error:
        if not cache.is_ours(path):
            raise FormatError(f"{error}\n  {cache.whose(path)}") from error
        log.warning("%s: %s was cut short or damaged; making it anew", record.name, path)
        cache.remove(path)
        return None
    if cache.is_ours(path) and not path.is_symlink():
        with suppress(OSError):
            os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
    return path


def _read(
    source: download.Fetched, record: Record, *, ignore: Sequence[str], by_hand: bool, labels: Given | None = None
) -> NetworkFile:
    """Prove while a file is read that it holds a record's network; one given by hand may have other classes."""
    paths = [each.path for each in (*(source.parts or [source]), *source.beside)]
    with opened(paths[0]) if len(paths) == 1 else opened_together(paths, str(source.path)) as checkpoint:
        header = checkpoint.meta if checkpoint.is_converted else {}
        arrays, recognised = renamed(checkpoint, record, ignore=ignore)
        if by_hand:
            record = with_activation(record, header.get("activation"))
            record = with_labels(with_classes_of(arrays, checkpoint, record), labels)
        state = check_state_dict(arrays, build_empty(record).state_dict(), record.name)
    source.check_unchanged(name=record.name)
    about = CertifiedFile(
        file=source.path.name.encode(errors="replace").decode(),
        sha256=source.sha256,
        container=" in ".join([checkpoint.container, *reversed(checkpoint.wrapping)]),
        layout=recognised.layout,
        table_sha256=None if recognised.layout == OURS else recognised.table.digest,
    )
    is_named = labels is not None or header.get("labels", "null") != "null"
    others = checkpoint.meta.get("other_weights")
    taken = {"taken": str(checkpoint.meta["found_under"]), "not_taken": ", ".join(others)} if others else {}
    return NetworkFile(about, record, recognised.table, record.labels if is_named else None, header, taken, state)


def _write(file: NetworkFile, out: Path, *, to: str = OURS, ignore: Sequence[str] = ()) -> Converted:
    """Write the tensors of a file as one of another layout."""
    about, record = file.about, file.record
    if to == OURS:
        origin = {
            "source": about.file,
            "source_sha256": about.sha256,
            "source_kind": about.container,
            "layout": about.layout,
            "table": file.table.digest,
            **file.taken,
        }
        if file.header:  # what it was made from stays known; of what was trained nobody says it
            origin = {key: file.header[key] for key in (*origin, *_CARRIED) if key in file.header}
        if ignore:
            origin["ignore"] = json.dumps(sorted(ignore))  # belongs to the conversion key, which the name holds
        whole = {"videohub": __version__, "record": to_portable_json(record), "labels": as_text(file.labels), **origin}
        if out.parent == cache.folder("converted"):
            cache.check_room(sum(tensor.nbytes for tensor in file.state.values()))
        with atomic_write(out) as part:
            kept_weights.write(part, file.state, whole)
    else:
        out = export(file.state, record, to, out)
        if isinstance(record.labels, tuple) and not names_classes(record, to):
            log.warning("%s: files of %s carry no names of classes; whoever reads %s gives them again, with --labels",
                        record.name, to, out.name)  # fmt: skip
    kept_weights.tell_suffix(out)
    return Converted(str(out), record.name, len(file.state), about.container, about.layout, about.sha256)


def cache_key_fields(record: Record) -> dict[str, Any]:
    """Return what of a record decides its weights: a digest that is filled in, or a new note, does not."""
    network = {"model": record.model.effective(), "clip": msgspec.to_builtins(record.clip)}
    return {"name": record.name, **network, "labels": record.labels, "layout": record.checkpoint.layout}


def to_portable_json(record: Record) -> str:
    """Return the record as JSON, without the place where a file beside the registry lies on this machine."""
    record = with_urls(record, lambda url: url.rpartition("/")[2] if url.startswith("file:") else url)
    return msgspec.json.encode(as_decoded(record)).decode()

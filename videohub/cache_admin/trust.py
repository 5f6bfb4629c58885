"""Whether to trust what lies in the cache: what was first seen at a URL binds it, and every file can be read again.

What is damaged is made anew from what is here, or removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tqdm import tqdm

from videohub import registry, weights
from videohub.cache_admin import cache_scan
from videohub.cache_admin.listing import Item, Known, items
from videohub.convert import kept_weights
from videohub.errors import CacheError, FormatError, UsageError, VideohubError
from videohub.files import version_of
from videohub.hub import cache, pins
from videohub.hub.sources import path_of
from videohub.registry import model_folder
from videohub.registry.known_answers import FileClip
from videohub.registry.patch import Learnt, Measured, Patch, registry_patch
from videohub.registry.schema import Record

_OF_A_MODEL = 3  # slashes of hf://user/model; those of a file have more
_ORDER = ("raw", "pin", "registry", "converted")  # weights are made anew from files that have proved sound


@dataclass(frozen=True)
class Pinned:
    """A URL, the first file that came from it, and the records that name it; `problem` if the note is damaged."""

    records: Sequence[str]
    url: str | None
    sha256: str | None
    size: int | None
    first_seen: str | None
    source: str | None
    status: str
    read_only: bool
    path: str
    problem: str | None


@dataclass(frozen=True)
class Forgotten:
    """A pin that was dropped; `sha256` is None if there was none, or if it was damaged."""

    name: str
    url: str
    was_pinned: bool
    sha256: str | None = None
    first_seen: str | None = None


def pinned() -> list[Pinned]:
    """Return the pins of all cache dirs, by URL."""
    pinned = [_pinned(item) for item in items() if item.entry.kind == "pin"]
    return sorted(pinned, key=lambda pin: (pin.url or "", pin.path))


def patch() -> Patch:
    """Return the patch that writes what was first seen here into the registry files that leave it null.

    Raises: RegistryError if a file cannot be read.
    """
    known = Known(cache_scan.entries())
    learnt: dict[str, Learnt] = {}
    contradicted: dict[str, str] = {}
    for name, record in known.records.items():
        clips = {
            answer.input.url: answer.input.sha256
            for answer in record.known_answers
            if isinstance(answer.input, FileClip)
        }
        seen = {url: known.pins[url].sha256 for url, stated in clips.items() if stated is None and url in known.pins}
        if seen:
            learnt[name] = Learnt(clips=seen)
        published, pin = record.checkpoint, known.pins.get(record.checkpoint.url or "")
        if pin is None:
            continue
        if published.sha256 not in (None, pin.sha256) or published.size not in (None, pin.size):
            contradicted[name] = f"the registry states another file than was first seen here, {pin.first_seen}"
            continue
        if published.sha256 is None or published.size is None:
            learnt[name] = Learnt([Measured(pin.url, {"sha256": pin.sha256, "size": pin.size})], clips=seen)
    for name, record in known.records.items():
        pinned = [(each, known.pins.get(each.url)) for each in record.checkpoint.beside]
        by_hand = [f"{each.url} beside it has sha256: {pin.sha256} and size: {pin.size}. Write them by hand"
                for each, pin in pinned if pin and None in (each.sha256, each.size)]  # fmt: skip
        if by_hand:
            contradicted[name] = " ".join([*filter(None, [contradicted.get(name)]), *by_hand])
    made = registry_patch(learnt, registry.record_files())
    return replace(made, left={**made.left, **contradicted})


def urls_of(name: str) -> list[str]:
    """Return the URLs of a record's files, the URL that was given, or those seen here of a `hf://user/model`'s files.

    Raises: UnknownNameError; UsageError if the record has no URL.
    """
    if name.startswith("hf://") and name.partition("@")[0].count("/") == _OF_A_MODEL:
        repository, revision = model_folder.hub_parts(name)
        pinned = (entry.pin.url for entry in cache_scan.entries() if entry.pin)
        of_model = {url for url in pinned if url.startswith(f"hf://{repository}/") and url.endswith(f"@{revision}")}
        return sorted(of_model) or [name]
    if "://" in name:
        return [name]
    urls = [file.url for file in registry.record(name).checkpoint.files if file.url is not None]
    if not urls:
        raise UsageError(f"{name}: was never released, so that nothing of it was seen here")
    return urls


def forget(name: str) -> list[Forgotten]:
    """Drop what is known of a name's URLs, as `urls_of` has them, so that the next fetch takes what it finds.

    The files that came from them go too.
    Raises: UnknownNameError; UsageError if the record has no URL; CacheError if a read-only cache dir binds one.
    """
    return [_forgotten(name, url) for url in urls_of(name)]


def _forgotten(name: str, url: str) -> Forgotten:
    note = f"{cache.key_of(url)}.json"
    shared = [cache_dir / "pins" / note for cache_dir, is_shared in cache_scan.dirs() if is_shared]
    if binding := next((path for path in shared if path.is_file()), None):
        raise CacheError(
            f"{binding}: lies in VIDEOHUB_CACHE_RO, and binds {url}.\n"
            "  Whoever keeps that folder has to remove the file, or unset the variable."
        )
    if not (path := cache.place("pins", note)).is_file():
        return Forgotten(name, url, was_pinned=False)
    try:
        pin = pins.read(path)
    except (OSError, ValueError):  # damaged, and names no file to remove with it
        pin = None
    with cache.at_work(f"{name}: the pin cannot be removed"):
        pins.forget(url) if pin else pins.unpin(url)
    return Forgotten(name, url, True, pin.sha256 if pin else None, pin.first_seen if pin else None)


def _pinned(item: Item) -> Pinned:
    entry, pin = item.entry, item.entry.pin
    return Pinned(
        records=item.records,
        url=item.url,
        sha256=pin.sha256 if pin else None,
        size=pin.size if pin else None,
        first_seen=pin.first_seen if pin else None,
        source=pin.source if pin else None,
        status=item.status,
        read_only=entry.shared,
        path=str(entry.path),
        problem=item.problem,
    )


@dataclass(frozen=True)
class Finding:
    """An entry that is not as it should be: what is wrong, what was done, and what is left to do."""

    kind: str
    path: str
    records: Sequence[str]
    read_only: bool
    problem: str
    done: str  # rebuilt, removed, left
    advice: str = ""


@dataclass
class Checked:
    """What a pass over the cache found; nothing tells whether `unchecked` entries are sound."""

    checked: int = 0
    size: int = 0
    damaged: list[Finding] = field(default_factory=list)
    unchecked: list[Finding] = field(default_factory=list)


def check() -> Checked:
    """Read every published file, all weights and all pins of all cache dirs, and mend our own.

    Raises: CacheError if a folder cannot be read.
    """
    entries = cache_scan.entries()
    known = Known(entries)
    items = [known.item(entry) for kind in _ORDER for entry in entries if entry.kind == kind]
    checked = Checked()
    total = sum(item.entry.size for item in items)
    with tqdm(total=total, desc="verify", unit="B", unit_scale=True, disable=None) as bar:
        for item in items:
            if item.entry.unreadable:
                advice = cache.readable_by_all(item.entry.cache_dir)
                checked.unchecked.append(_finding(item, item.entry.unreadable, "left", advice))
            elif problem := _problem(item):
                checked.damaged.append(_mend(item, problem, known))
            checked.checked += 1
            checked.size += item.entry.size
            bar.update(item.entry.size)
    return checked


def _problem(item: Item) -> str | None:
    """Return what is wrong with an entry, None if nothing is, or if it is gone."""
    path = item.entry.path
    while (before := version_of(path)) is not None:
        try:
            with cache_scan.unnoticed(path):
                problem = _look(item)
        except FileNotFoundError:
            return None
        except OSError as error:
            problem = f"cannot be read: {error.strerror}"
        if problem is None or version_of(path) == before:
            return problem
        # another process has put another file there meanwhile, which is judged on its own
    return None


def _look(item: Item) -> str | None:
    entry = item.entry
    if entry.kind == "pin":
        return item.problem
    if entry.kind in ("raw", "registry"):  # called by all, or by the beginning, of their digests
        digest = cache.sha256_of(entry.path)
        return None if digest.startswith(entry.path.stem) else f"its sha256 is {digest}"
    try:
        kept_weights.check(entry.path)
    except FormatError as error:
        return str(error).removeprefix(f"{entry.path}: ")
    return None


def _mend(item: Item, problem: str, known: Known) -> Finding:
    """Make an entry anew or remove it, if it is ours."""
    entry, name = item.entry, next(iter(item.records), None)
    if entry.shared:
        return _finding(item, problem, "left", cache.whose(entry.path))
    if entry.kind == "pin":
        how = f"Run `videohub cache pins --forget {name}`" if name else "Remove the file"
        advice = f"Without it a changed file would not be noticed. {how} to trust its URL anew."
        return _finding(item, problem, "left", advice)
    if entry.kind == "registry":
        return _finding(item, problem, "left", "`videohub unbundle` of the bundle it came in brings it again.")
    try:
        cache_scan.remove(entry)
    except CacheError as error:
        return _finding(item, problem, "left", str(error))
    if cache.find(entry.path.parent.name, entry.path.name):
        return _finding(item, problem, "removed", "A read-only cache dir has it, too, and goes first.")
    if entry.kind == "converted" and (made := known.maker(entry)):
        return _rebuild(item, problem, *made, is_published=known.digest(made[0].checkpoint) == entry.sha256)
    needed = f"`videohub fetch {name}` brings it again." if name and item.status != "stale" else ""
    return _finding(item, problem, "removed", needed or "Nothing known here uses it.")


def _rebuild(item: Item, problem: str, record: Record, ignore: Sequence[str], *, is_published: bool) -> Finding:
    """Make weights anew from the file they were made from; what is not here is not fetched."""
    command = " ".join([f"videohub fetch {record.name}", *(f'--ignore "{pattern}"' for pattern in ignore)])
    source = _source(item.entry.sha256 or "", record)
    if source is None:
        command += "" if is_published else " --checkpoint FILE"
        return _finding(item, problem, "removed", f"`{command}` makes it anew.")
    try:
        weights.fetch(record, checkpoint=source, ignore=ignore)
    except VideohubError as error:
        return _finding(item, problem, "removed", str(error))
    return _finding(item, problem, "rebuilt", f"It was made anew from {source}.")


def _source(sha256: str, record: Record) -> Path | None:
    """Return a file on this machine with this digest."""
    if record.checkpoint.beside:  # one file of several is not enough
        return None
    places = [cache_dir / "raw" / sha256 for cache_dir, _ in cache_scan.dirs()]
    if (url := record.checkpoint.url or "").startswith("file:"):
        places.append(path_of(url))
    return next((place for place in places if place.is_file() and cache.sha256_of(place) == sha256), None)


def _finding(item: Item, problem: str, done: str, advice: str) -> Finding:
    entry = item.entry
    return Finding(entry.kind, str(entry.path), item.records, entry.shared, problem, done, advice)

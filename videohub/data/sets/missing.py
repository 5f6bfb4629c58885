"""Why files are not where a list says: what other tools write into lists, tried out on the names that lead nowhere."""

from __future__ import annotations

import functools
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import unquote

from videohub.data.samples import FrameList, KeyFrame, Sample
from videohub.data.sets.folders import Listing, listing_of

_ASKED = 100  # files whose presence is asked for: on a network disk, a list of 20,000 would take minutes
_TRIED = 20  # of those that are not there, reasons are tried on so many
_FOLDERS = 50  # below a list's folder that are looked into
_PARENTS = 3  # above it


@dataclass(frozen=True)
class _FolderContents:
    """What lies in a folder: names are asked for by the thousand."""

    folders: list[str]
    names: frozenset[str]
    folded: dict[str, str]  # file -> as it is, by what capital letters and accents leave
    stems: dict[str, str]  # by its name without the suffix


_Look: TypeAlias = Callable[[Path], _FolderContents]


def missing_files(samples: Sequence[Sample], start: Path) -> tuple[str, ...]:
    """Return a note if files are not there and one reason explains half of them, or if all are missing.

    Some are asked for, evenly over the samples (of a list, or those of it that are known to be missing); where all are
    there, that is all. Folders are listed once each. Relative paths were to start from `start`.
    """
    samples = [sample for sample in samples if getattr(sample.source, "member", None) is None]  # of no tar
    asked = samples[:: max(1, len(samples) // _ASKED)]
    places = dict.fromkeys(_place(sample, start) for sample in asked)  # once each: a film has many key frames
    gone = [place for place in places if not os.path.isfile(place[0] / place[1])]
    if not gone:
        return ()
    tried, look = gone[:: max(1, len(gone) // _TRIED)], functools.cache(_contents)
    reasons = [reason for reason in (_reason(folder, name, look) for folder, name in tried) if reason]
    often = Counter(words for words, _ in reasons).most_common(1)
    likely = often and 2 * often[0][1] >= len(tried)
    if not likely and 2 * len(gone) <= len(places):  # some always are
        return ()
    first = os.path.abspath(gone[0][0] / gone[0][1])
    note = f"{len(gone)} of {len(places)} files that were looked for are not there, the first {first}"
    if likely:
        example = next(path for words, path in reasons if words == often[0][0])
        note += f"; likely, {often[0][0]}" + (f": {os.path.abspath(example)} is there" if example else "")
    return (note,)


def _place(sample: Sample, start: Path) -> tuple[Path, str]:
    """Return the folder that a sample's file, or its first frame, was looked for from, and its name there."""
    source = sample.source.frames if isinstance(sample.source, KeyFrame) else sample.source
    if isinstance(source, FrameList):
        return source.folder, source.names.split("\n", 1)[0]
    path, name = str(source.path), sample.name
    if path == name:
        return start, name
    if path.endswith(f"{os.sep}{name}"):
        return Path(path[: -len(name) - 1] or os.sep), name
    return source.path.parent, source.path.name


def _reason(folder: Path, name: str, look: _Look) -> tuple[str, Path | None] | None:
    """Return why a name leads nowhere, in words that fit others like it, and what it leads to if that is so."""
    if os.path.isdir(folder / name):
        return "these are folders, and files were expected", folder / name
    if os.path.exists(folder / name):
        return "these are pipes or devices, and files were expected", folder / name
    if os.path.islink(folder / name):
        return "these are links that lead nowhere", None
    meant = [("", name), *_readings(name)]
    for words, reading in meant:
        for where, path in (*_places(folder, reading), *_below(folder, reading, look), *_above(folder, reading)):
            if path.name in look(path.parent).names and os.path.isfile(path):
                return "; ".join(filter(None, (words, where))), path
    for words, reading in meant:  # no file of exactly this name, but perhaps one that resembles it
        for where, path in (*_places(folder, reading), *_below(folder, reading, look)):
            if resembling := _resembling(path, look):
                return "; ".join(filter(None, (words, where, resembling[0]))), resembling[1]
    return next(((words, None) for words, _ in _columns_and_slashes(name)), None)  # it looks so; nothing proves it


def _readings(name: str) -> Iterator[tuple[str, str]]:
    """Yield what a name may stand for if its list is odd, and in which way."""
    odd = list(_columns_and_slashes(name))
    yield from odd
    for words, text in (("", name), *odd):
        for more, reading in (
            ("the list has another column between path and label", re.sub(r"[,;|\t][^/]*$", "", text)),
            ("the list has other quotation marks than double ones", text.strip("'`“”‘’ ")),
            ("the list has escapes such as %20, as addresses do", unquote(text)),
            ("the list has ~ or a variable for a folder", os.path.expandvars(os.path.expanduser(text))),
            ("the list has spaces where the files have underscores", text.replace(" ", "_")),
            ("the list has underscores where the files have spaces", text.replace("_", " ")),
        ):
            if reading not in ("", text):
                yield "; ".join(filter(None, (words, more))), reading


def _columns_and_slashes(name: str) -> Iterator[tuple[str, str]]:
    """Yield the readings that a name speaks for by itself: no file is called like that."""
    slashed = re.sub("^[A-Za-z]:", "", name).replace("\\", "/")
    windows = "the list has backslashes, as Windows writes paths"
    if "\\" in name:
        yield windows, slashed
    for words, reading in (
        ("the list has a number between path and label, as lists of frame folders do (path, frames, label)",
         re.sub(r"([\s,;|]+[0-9.]+)+$", "", slashed)),
        ("the list has a number before the path, as tables with an index do",
         re.sub(r"^[0-9]+\s*[,;|\t]\s*", "", slashed)),
    ):  # fmt: skip
        if reading not in ("", slashed):
            yield (f"{windows}; {words}" if "\\" in name else words), reading


def _places(folder: Path, name: str) -> Iterator[tuple[str, Path]]:
    """Yield what a name may be below its folder, with what would be odd about it; where it should be, with nothing."""
    yield "", folder / name
    full, parts = Path(os.path.abspath(folder)), [part for part in name.split("/") if part not in ("", ".")]
    for drop in range(1, len(parts)):
        lead, rest = "/".join(parts[:drop]), folder.joinpath(*parts[drop:])
        if full.parts[-drop:] == tuple(parts[:drop]):
            above = Path(*full.parts[:-drop])
            yield f"{lead} stands both at the end of the root and in the paths; give --root {above}", rest
        elif drop < len(parts) - 1 or name.startswith("/"):
            yield f"the paths begin with {lead}, of another machine or folder, and the root stands for it", rest
        else:
            yield f"the files lie in {full} itself, not in the folders that the list names", rest


def _below(folder: Path, name: str, look: _Look) -> Iterator[tuple[str, Path]]:
    """Yield what a name may be in the folders of its folder."""
    for below in look(folder).folders[:_FOLDERS]:
        if "/" not in name or name.split("/")[0] in look(folder / below).names:
            yield f"the files lie in folders below {os.path.abspath(folder)}", folder / below / name


def _above(folder: Path, name: str) -> Iterator[tuple[str, Path]]:
    """Yield what a name may be from folders above, or from the current one, and what to do then."""
    yield f"the paths start from the current folder, not from {folder}; give --root {os.getcwd()}", Path(name)
    for above in Path(os.path.abspath(folder)).parents[:_PARENTS]:
        yield f"the paths start from {above}; give it as --root", above / name


def _resembling(path: Path, look: _Look) -> tuple[str, Path] | None:
    """Return in what a file beside a path differs from what the path names, and that file."""
    beside, stem = look(path.parent), os.path.splitext(path.name)[0]
    if file := beside.folded.get(_folded(path.name)):
        return "the names differ in capital letters or accents", path.parent / file
    if file := beside.stems.get(stem) or beside.stems.get(path.name):
        return "the files have another suffix", path.parent / file
    return None


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _contents(place: Path) -> _FolderContents:
    """Return what lies in a folder; nothing where that may not be asked."""
    try:
        listing = listing_of(place)
    except OSError:
        listing = Listing()
    names = frozenset((*listing.files, *listing.folders))
    folded, stems = (
        {of(file): file for file in listing.files} for of in (_folded, lambda file: os.path.splitext(file)[0])
    )
    return _FolderContents(listing.folders, names, folded, stems)

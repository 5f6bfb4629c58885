"""A network as the library transformers saves it, in a repository of the Hugging Face hub or in a folder: its record.

Its config.json says which network it is, preprocessor_config.json what is done to pixels. Both are data: no code of a
repository is fetched or run. Its test is the one of the network's authors, so that it has several views a video.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import msgspec

from videohub import registry
from videohub.errors import DownloadError, OfflineError, RegistryError, UsageError
from videohub.escaping import visible
from videohub.files import each_once, read_file
from videohub.hub import download, sources
from videohub.hub.sources import Purpose
from videohub.log import warn_once
from videohub.registry.schema import Checkpoint, Clip, DatasetInfo, Record
from videohub.registry.transformers_files import (
    CONFIG,
    PIXELS,
    PIXELS_OF_VIDEOS,
    Pixels,
    read_config,
    read_pixels,
    with_pixels,
)

LAYOUT = "transformers"
INDEX = ".index.json"  # what the file ends with that says which tensors lie in which of several
WEIGHTS: Mapping[str, Literal["safetensors", "torch"]] = {  # in the library's order
    "model.safetensors": "safetensors",
    f"model.safetensors{INDEX}": "safetensors",
    "pytorch_model.bin": "torch",
    f"pytorch_model.bin{INDEX}": "torch",
}
OWN = DatasetInfo(name="own", title="A data set of one's own")
_MOST_SHARDS = 100
_LARGEST = 4 << 20  # bytes of a file of JSON: thirty thousand long names, twice


def of_hub(name: str) -> Record:
    """Return the record of `hf://user/model` or `hf://user/model@revision`; only its descriptions are fetched.

    Without a revision, `main` is meant as it was first seen here (`videohub cache pins --forget` looks anew).
    Raises: UsageError if the name is none; RegistryError naming what is not supported; DownloadError, OfflineError.
    """
    repository, revision = hub_parts(name)
    return _record(_Repository(name, repository, revision))


def of_folder(name: str) -> Record:
    """Return the record of a folder, under the name that it was given by. Raises: RegistryError, as `of_hub`."""
    return _record(_Folder(name, Path(name)))


def hub_parts(name: str) -> tuple[str, str]:
    """Return repository and revision of `hf://user/model@revision`. Raises: UsageError."""
    path, at, revision = name.removeprefix("hf://").partition("@")
    expected = f"found {visible(name):.200}, expected hf://user/model or hf://user/model@revision"
    try:
        repository, _, revision = sources.hf_parts(f"hf://{path}/file@{revision if at else 'main'}")
    except DownloadError as error:
        raise UsageError(expected) from error
    if repository != path:
        raise UsageError(expected)
    return repository, revision


@dataclass(frozen=True)
class _Repository:
    """A repository of the hub at a revision."""

    name: str
    repository: str
    revision: str

    def url(self, file: str) -> str:
        return f"hf://{self.repository}/{file}@{self.revision}"

    def has(self, file: str) -> bool:
        return download.has(self.url(file), name=self.name, purpose=_purpose(file))

    def content(self, file: str) -> bytes:
        return download.fetch(self.url(file), name=self.name, purpose=_purpose(file)).path.read_bytes()

    def lacking(self, files: str) -> Exception:
        if forbidden := sources.offline():
            return OfflineError(f"{self.name}: {files} is not in the cache, and {forbidden} forbids connections")
        return DownloadError(f"{self.name}: found no {files}, expected what transformers saves of a network")

    @property
    def page(self) -> str:
        return f"https://huggingface.co/{self.repository}"


def _purpose(file: str) -> Purpose:
    return Purpose(file, "give the folder that it lies in", f"Bring the {file} here by hand.", largest=_LARGEST)


@dataclass(frozen=True)
class _Folder:
    """A folder on this machine."""

    name: str
    path: Path

    def url(self, file: str) -> str:
        return (self.path.expanduser().absolute() / file).as_uri()

    def has(self, file: str) -> bool:
        return (self.path / file).is_file()

    def content(self, file: str) -> bytes:
        path = self.path / file
        try:
            size = path.stat().st_size
            if size > _LARGEST:
                raise RegistryError(f"{path}: has {size} bytes, expected a {file} of at most {_LARGEST}")
            return read_file(path)
        except OSError as error:
            raise RegistryError(f"{path}: cannot be read: {error.strerror}") from error

    def lacking(self, files: str) -> Exception:
        hint = ""
        if files == PIXELS:
            hint = ".\n  `save_pretrained` of its image processor, or video processor, writes one there"
        elif files == CONFIG and any(self.path.glob(f"checkpoint-*/{files}")):
            hint = ".\n  The Trainer's networks lie in its folders checkpoint-…: name one of these"
        return RegistryError(
            f"{self.name}: found no {files}, expected a folder as transformers saves a network in{hint}"
        )

    page = "the folder's files"


def _record(place: _Repository | _Folder) -> Record:
    if not place.has(CONFIG):
        raise place.lacking(CONFIG)
    described = read_config(_json(place, CONFIG), place.name)
    kind, model = described.kind, described.model
    remarks = [*described.remarks]
    pixels = _pixels(place, kind.processor, described.side, remarks)
    weights = _weights(place, remarks)
    has_classes = model.num_classes is not None
    test = (None if has_classes else kind.protocol_of_encoders) or kind.protocol
    base = registry.default().protocols.get(test)
    if base is None:
        raise RegistryError(f"{place.name}: {test}, the test of its network's authors, is not in the registry")
    scores = msgspec.structs.replace(base.scores, activation=described.activation)
    protocol = msgspec.structs.replace(with_pixels(pixels, base, described.side), scores=scores, dataset=OWN.name)
    segments = getattr(model, "segments", 1)  # so many times the network sees its frames, each in another part
    rate, frames = kind.rate(described.frames), described.frames * segments
    if flaw := next(protocol.flaws(), None):
        raise RegistryError(f"{place.name}: {'.'.join(map(str, flaw[0]))} of its test {flaw[1]}. {flaw[2]}")
    for remark in (*remarks, *_of_registry(place)):
        warn_once("%s: %s", place.name, remark)
    in_parts = str(frames) if segments == 1 else f"{segments} x {described.frames}"
    return Record(
        name=place.name,
        upstream_name=place.name.removeprefix("hf://"),
        frames=frames,
        rate=rate,
        paper=kind.paper,
        model=model,
        clip=Clip(frames=frames, sampling_rate=rate),
        protocol=protocol,
        dataset=OWN,
        checkpoint=Checkpoint(
            url=place.url(weights),
            sha256=None,
            size=None,
            container=WEIGHTS[weights],
            layout=LAYOUT,
            license=f"as stated by {place.page}",
        ),
        pretrain=None,
        training="as whoever saved it trained it",
        labels=described.labels,
        published=(),
        config=CONFIG,
        status="available",
        notes=[
            f"Made of its {CONFIG} and {PIXELS}; no code of its own is run.",
            f"Tested as its network's authors do ({base.name}), with its own pixels. That clips are "
            f"{in_parts} frames, every {rate}, is theirs, too: no file says how far apart "
            "its frames were in training.",
            *remarks,
        ],
    )


def _there(place: _Repository | _Folder, files: Iterable[str]) -> list[str]:
    """Return which files there are; of a repository the first alone, and no other is asked for."""
    there = filter(place.has, files)
    return list(islice(there, 1) if isinstance(place, _Repository) else there)


def _weights(place: _Repository | _Folder, remarks: list[str]) -> str:
    """Return the file of weights: the first one, as the library takes it."""
    files = _there(place, WEIGHTS)
    if not files:
        raise place.lacking(" or ".join(WEIGHTS))
    if len(files) > 1:
        remarks.append(f"holds {' and '.join(files)}; {files[0]} is taken, as transformers does")
    return files[0]


def _pixels(place: _Repository | _Folder, processor: str, side: int, remarks: list[str]) -> Pixels:
    """Return what the preprocessor's file does to pixels: of a repository the first, of a folder both alike."""
    by_file: dict[str, Pixels] = {}
    for file in _there(place, (PIXELS, PIXELS_OF_VIDEOS)):
        by_file[file], notes = read_pixels(_json(place, file), f"{place.name}: {file}", side=side, default=processor)
        remarks += notes
    if not by_file:
        raise place.lacking(PIXELS)
    first, *others = by_file.items()
    for name, pixels in others:
        if pixels != first[1]:
            raise RegistryError(f"{place.name}: {name} makes {pixels}, and {first[0]} {first[1]}; expected the same")
    return first[1]


def _of_registry(place: _Repository | _Folder) -> Iterator[str]:
    """Yield that the registry has this repository, and knows more of it."""
    if isinstance(place, _Repository):
        begins = f"hf://{place.repository}/".casefold()
        for record in registry.default().records.values():
            urls = (file.url or "" for file in (record.checkpoint, *record.other_checkpoints))
            if any(url.casefold().startswith(begins) for url in urls):
                yield f"is {record.name} of the registry, which knows how that was tested and what was published"


def _json(place: _Repository | _Folder, file: str) -> dict[str, Any]:
    """Return what a file of JSON says. Raises: RegistryError if it is none, or no mapping, or says something twice."""
    try:
        value = json.loads(
            place.content(file).decode("utf-8-sig"), object_pairs_hook=each_once, parse_constant=_no_number
        )
    except (ValueError, RecursionError) as error:
        raise RegistryError(f"{place.name}: {file}: is no JSON that can be read ({error!s:.200})") from error
    if not isinstance(value, dict):
        raise RegistryError(f"{place.name}: {file}: found a {type(value).__name__}, expected a mapping")
    return value


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON's")


def is_index(url: str) -> bool:
    """Tell whether a URL is of an index: a file that says in which others the tensors lie."""
    return _without_revision(url)[0].endswith(INDEX)


def shards(index: Path, url: str, name: str) -> list[str]:
    """Return the URLs of the files that an index says the tensors lie in, which are beside it; `name` is whose it is.

    Raises: RegistryError if it is no index, or names a file that lies elsewhere.
    """
    path, revision = _without_revision(url)
    folder, _, file = path.rpartition("/")
    try:
        if index.stat().st_size > _LARGEST:
            raise ValueError(f"more than {_LARGEST} bytes")
        files = sorted({str(each) for each in json.loads(read_file(index))["weight_map"].values()})
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise RegistryError(f"{name}: {file}: is no index of tensors ({error!s:.200})") from error
    if not 1 <= len(files) <= _MOST_SHARDS:
        raise RegistryError(f"{name}: {file}: names {len(files)} files, expected 1 to {_MOST_SHARDS}")
    for each in files:
        if not re.fullmatch(r"[A-Za-z0-9_][\w.-]{0,200}\.(safetensors|bin)", each, re.ASCII):
            raise RegistryError(f"{name}: {file}: names the file {visible(each):.200}, expected one beside it")
    return [f"{folder}/{each}{revision}" for each in files]


def _without_revision(url: str) -> tuple[str, str]:
    """Return a URL of the hub without its revision, and that with its @; any other URL as it is."""
    path, at, revision = url.rpartition("@") if url.startswith("hf://") else (url, "", "")
    return path, at + revision

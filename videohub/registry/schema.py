"""What a record is: frozen, strictly typed values in the order in which the data travels.

The types are written out at once (no `from __future__ import annotations`): msgspec would compile each one's text at
the start of every process.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, Union
from urllib.parse import unquote, urlsplit

import msgspec

from videohub import architectures
from videohub.architectures import MOST_BLOCKS, Architecture, Task
from videohub.errors import UsageError
from videohub.escaping import visible
from videohub.protocols import Flaw, Protocol, Value, ViewGrid
from videohub.registry.known_answers import FileClip, KnownAnswer
from videohub.registry.published import Name, Published
from videohub.value_types import Count, Sha256

if TYPE_CHECKING:
    Model: TypeAlias = Architecture
else:
    Model = Union[tuple(architectures.families().values())]  # noqa: UP007  # any of them

Status: TypeAlias = Literal["available", "manual", "unreleased", "broken", "program"]
Labels: TypeAlias = str | tuple[Name, ...] | None  # a label set that is known, names of one's own, or none

Sha256Prefix: TypeAlias = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{8,63}$", max_length=63)]
ShortName: TypeAlias = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_-]*$", max_length=40)]
OWN_LAYOUT = "videohub"  # of checkpoints under our names, which take no table


# --- what is stated once: data sets in `datasets.yaml`, publishers at the head of their files -------------------------


class Split(Value, frozen=True):
    """How large a part of a data set is; null where no source says which release is meant."""

    samples: Count | None = None  # videos or images
    videos: Count | None = None  # where one holds several samples
    source: Name | None = None  # of these counts
    lists_of: dict[str, Count] = msgspec.field(default_factory=dict)  # publisher -> samples of its list


class DatasetInfo(Value, frozen=True):
    """A data set; `datasets.yaml` says what each field is."""

    name: Name
    title: Name
    short: Name | None = None
    aliases: tuple[Name, ...] = ()
    group: Name | None = None
    lists: Name | None = "kinetics"
    splits: dict[str, Split] = msgspec.field(default_factory=dict)
    fps: float | None = None
    longest_s: float | None = None
    resized_to: Count | None = None
    original_size: bool = False
    directions: bool = False
    preferred: bool = False


class Publisher(Value, frozen=True, omit_defaults=True):
    """Who made checkpoints public; stated at the head of the file that holds their records."""

    name: ShortName  # `publisher/NAME` begins so
    title: Name
    url: str | None = None  # of the repository or the documentation that lists the checkpoints
    commit: str | None = None  # at which its tables were read
    license: str | None = None  # as it states it for all of its files
    citation: str | None = None  # how it asks to be cited


# --- the parts of a record -------------------------------------------------------------------------------------------


class Clip(Value, frozen=True):
    """What the network is given: frames, and the distance between them at the protocol's frame rate."""

    frames: Count
    sampling_rate: Count


class TrainingPixels(Value, frozen=True):
    """What a network saw of a frame in training: its short side was drawn between two, and a square cut out."""

    short_side: tuple[Count, Count]  # pixels, both included
    crop: Count  # pixels

    def flaws(self) -> Iterator[Flaw]:
        """Yield a crop that does not fit, or two sides the wrong way round."""
        low, high = self.short_side
        if not self.crop <= low <= high:
            what = f"is [{low}, {high}], and the crop {self.crop}"
            yield ("training_pixels", "short_side"), what, "Expected two ascending sides, none smaller than the crop."


class Proof(Value, frozen=True, omit_defaults=True):
    """What our network was compared with, number by number; a record without one is unproven.

    It had the same arguments and as many frames, but for the number of classes; the scores of a head's positions were
    compared before they are joined.
    """

    golden: Name | None = None  # a case made with the original: in tests/golden/models, or a path from tests/golden
    reference: Name | None = None  # another implementation that runs beside ours, where no golden case is the network


class FileBeside(Value, frozen=True):
    """A file that holds the rest of a network whose weights come in several."""

    url: str
    sha256: Sha256 | None
    size: Count | None


class Checkpoint(Value, frozen=True, omit_defaults=True):
    """The published file. `sha256` and `size` stay null until someone has measured them.

    `alternates` are other places of the same bytes: https, or hf://org/repo/file@revision.
    """

    url: str | None
    sha256: Sha256 | None
    size: Count | None
    container: Literal["caffe2", "torch", "torch_legacy", "safetensors", "npz"] | None
    layout: str  # how its keys are spelt: converters/FAMILY/LAYOUT.yaml
    license: str
    alternates: list[str] = msgspec.field(default_factory=list)
    sha256_prefix: Sha256Prefix | None = None  # what its publisher put into the file's name
    reported_sha256: Sha256 | None = None  # somebody's word; another one is told, not refused
    manual: bool = False  # `url` is a page to download from by hand
    beside: tuple[FileBeside, ...] = ()  # what it is of no use without: a probe's encoder

    @property
    def files(self) -> tuple["Checkpoint | FileBeside", ...]:
        """The files that its network's weights are in, its own first."""
        return (self, *self.beside)

    @property
    def non_commercial(self) -> bool:
        """Whether its licence, in its publisher's words, is for non-commercial use alone."""
        return re.search(r"\bNC\b|non-?commercial", self.license, re.IGNORECASE) is not None

    def flaws(self) -> Iterator[Flaw]:
        """Yield addresses where nothing can lie, and a digest that is not as its publisher says."""
        if self.url is not None and (flaw := flaw_of_url(self.url)):
            yield ("checkpoint", "url"), f'is "{visible(self.url)}", which is no address: {flaw}', ""
        for index, file in enumerate(self.beside):
            if flaw := flaw_of_url(file.url):
                yield ("checkpoint", "beside", index, "url"), f'is "{visible(file.url)}", no address: {flaw}', ""
        for index, url in enumerate(self.alternates):
            if flaw_of_url(url) or not re.fullmatch(r"https?://[^/]+/.+|hf://[^/@]+/[^/@]+/[^@]+@[^@/]+", url):
                advice = "Expected https or hf://org/repo/file@revision."
                yield ("checkpoint", "alternates", index), f'is "{visible(url)}"', advice
        if self.sha256 is not None and not self.sha256.startswith(self.sha256_prefix or ""):
            what = f'is "{self.sha256_prefix}", and sha256 begins otherwise'
            yield ("checkpoint", "sha256_prefix"), what, ""


if TYPE_CHECKING:
    OneOrMore: TypeAlias = Checkpoint
else:
    OneOrMore: TypeAlias = Checkpoint | Annotated[tuple[Checkpoint, ...], msgspec.Meta(min_length=1)]  # in files


class Record(Value, frozen=True, omit_defaults=True):
    """Everything about one published checkpoint."""

    name: str
    upstream_name: str
    frames: Count | None  # as the table prints them: the slow pathway's
    rate: Count | None
    paper: str
    model: Model
    clip: Clip
    protocol: Protocol
    dataset: DatasetInfo  # of the protocol; a file does not repeat it
    checkpoint: OneOrMore  # the first one that can be fetched
    pretrain: str | None
    training: str
    labels: Labels
    published: tuple[Published, ...]
    config: str | None
    status: Status
    notes: list[str]
    superseded_by: list[str] = msgspec.field(default_factory=list)
    aliases: tuple[Name, ...] = ()  # other ids that lead here
    publisher: ShortName | None = None  # which the head of the file states
    proof: Proof | None = None
    known_answers: tuple[KnownAnswer, ...] = ()  # of the published file's outputs, to be computed again
    training_pixels: TrainingPixels | None = None  # null: as most, a crop of 224 where the test's is not smaller
    other_checkpoints: tuple[Checkpoint, ...] = ()  # the rest, where a file has a list in `checkpoint`

    @property
    def folder_name(self) -> str:
        """What a folder for it is called: its name, without what leads elsewhere (`hf://user/model`, `../mine`)."""
        return re.sub(r"[^\w-]+", "_", self.name).strip("_") or "model"

    @property
    def number(self) -> Published | None:
        """The number to compare with: the first that was measured with the protocol's views, of all outputs."""
        return next((each for each in self.published if each.views is None and each.mapped is None), None)

    def tested_with(self, views: ViewGrid) -> "Record":
        """Return the record with the number that was published for these views, and with them in its protocol.

        The record itself, if none was.
        """
        for published in self.published:
            if published.mapped is None and published.views is not None and published.views.are(views):
                number = msgspec.structs.replace(published, views=None)
                protocol = msgspec.structs.replace(self.protocol, views=views)
                return msgspec.structs.replace(self, protocol=protocol, published=(number,))
        return self

    @property
    def family(self) -> str:
        """The family of networks, whose tables read its files."""
        return self.model.family

    @property
    def arch(self) -> str:
        """What `list --arch` finds it by; follows from `model`."""
        return self.model.arch

    @property
    def depth(self) -> str:
        """Its depth or size as tables print it, such as R50; follows from `model`."""
        return self.model.size

    @property
    def task(self) -> Task:
        """What it is for; follows from `model`."""
        return self.model.task

    @property
    def num_classes(self) -> int:
        """How many classes it tells apart. Raises: UsageError if it has no classifier."""
        if self.model.num_classes is None:
            raise UsageError(
                f"{self.name}: its file has no classifier, and features alone come out; classes are needed here.\n"
                "  `videohub.load(name, num_classes=…)` puts a new classifier on, to be trained."
            )
        return self.model.num_classes

    def whole(self) -> dict[str, Any]:
        """Return everything as JSON values, also what follows from `model` and what is at its default."""
        names = {"name": self.name, "upstream_name": self.upstream_name}
        return {**names, "arch": self.arch, "depth": self.depth, "task": self.task, **msgspec.to_builtins(self)}

    def flaws(self, numbers: Collection[str], refused: Mapping[str, str]) -> Iterator[Flaw]:
        """Yield fields that are well typed and do not agree, given what the protocol's metric calls its numbers.

        `refused` are beginnings of the names of numbers that it does not come to, each with the reason.
        """
        url, status = self.checkpoint.url, self.status
        if status == "unreleased":
            if url is not None:
                advice = "Write null, or correct the status."
                yield ("checkpoint", "url"), f"is given, and the status is {status}", advice
            if not self.superseded_by and not self.notes:
                advice = "An unreleased record names what to use in its place, or tells in `notes`."
                yield ("superseded_by",), "is missing", advice
        else:
            if not url:
                yield ("checkpoint", "url"), f"is {'null' if url is None else 'empty'}, and the status is {status}", ""
            if self.superseded_by:
                yield ("superseded_by",), f"is given, and the status is {status}", "Only unreleased records have it."
        if status == "available" and self.checkpoint.manual:
            yield ("status",), "is available, and every checkpoint is manual", "Write manual."
        for checkpoint in (self.checkpoint, *self.other_checkpoints):
            yield from checkpoint.flaws()
        if unsaid := self.model.unsaid():
            what = f"is {self.family}, whose struct {type(self.model).__name__} does not say {' and '.join(unsaid)}"
            advice = (
                f"Add each as a property in architectures/{self.family}.py; docs/guides/adding_a_family.md shows one."
            )
            yield ("model", "family"), what, advice
        elif self.model.num_blocks > MOST_BLOCKS:
            yield ("model",), f"has {self.model.num_blocks:,} blocks, expected at most {MOST_BLOCKS:,}", ""
        for field, what in self.model.flaws():
            yield ("model", *field), what, ""
        for index, published in enumerate(self.published):
            for place, what, advice in published.flaws(numbers, refused, metric=self.protocol.metric):
                yield ("published", index, *place), what, advice
            if published.mapped is not None and published.mapped.classes > (self.model.num_classes or 0):
                what = f"is {published.mapped.classes}, and the network has {self.model.num_classes or 'no'} outputs"
                yield ("published", index, "mapped", "classes"), what, ""
        yield from self.protocol.flaws_with(segments=getattr(self.model, "segments", 1), frames=self.clip.frames)
        if self.training_pixels is not None:
            yield from self.training_pixels.flaws()
        yield from self._flaws_of_known_answers()
        if self.proof is not None and (self.proof.golden is None) == (self.proof.reference is None):
            advice = "Name one of them; a record without proof is unproven."
            yield ("proof",), "has golden and reference, or neither", advice

    def _flaws_of_known_answers(self) -> Iterator[Flaw]:
        layouts = {checkpoint.layout for checkpoint in (self.checkpoint, *self.other_checkpoints)}
        for index, answer in enumerate(self.known_answers):
            for place, what, advice in answer.flaws(self.protocol, sorted(layouts), self.model.num_classes):
                yield ("known_answers", index, *place), what, advice
            if isinstance(answer.input, FileClip) and (flaw := flaw_of_url(answer.input.url)):
                what = f'is "{visible(answer.input.url)}", which is no address: {flaw}'
                yield ("known_answers", index, "input", "url"), what, ""


def with_one_checkpoint(record: Record) -> Record:
    """Return a record with one checkpoint, the first that is not to be had by hand alone, and the others beside it."""
    given: Any = record.checkpoint
    if not isinstance(given, tuple):
        return record
    first = next((index for index, each in enumerate(given) if not each.manual), 0)
    others = (*given[:first], *given[first + 1 :])
    return msgspec.structs.replace(record, checkpoint=given[first], other_checkpoints=others)


def with_urls(record: Record, changed: Callable[[str], str]) -> Record:
    """Return a record whose checkpoints and known answers' files lie where `changed` says, given where they lay."""
    replace = msgspec.structs.replace

    def moved(file: Checkpoint) -> Checkpoint:
        beside = tuple(replace(each, url=changed(each.url)) for each in file.beside)
        return file if file.url is None else replace(file, url=changed(file.url), beside=beside)

    files = tuple(map(moved, (record.checkpoint, *record.other_checkpoints)))
    clips = [replace(each.input, url=changed(each.input.url)) if isinstance(each.input, FileClip) else each.input
             for each in record.known_answers]  # fmt: skip
    answers = tuple(replace(answer, input=clip) for answer, clip in zip(record.known_answers, clips, strict=True))
    return replace(record, checkpoint=files[0], other_checkpoints=files[1:], known_answers=answers)


def flaw_of_url(url: str) -> str | None:
    """Return why nothing can be fetched from a URL or lie at a path, None if that is not to be seen."""
    if visible(unquote(url)) != unquote(url):
        return "it holds a control character"
    try:
        urlsplit(url).port  # noqa: B018  # looks at the host, too
    except ValueError as error:
        return str(error)
    return None

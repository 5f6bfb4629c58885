"""The document that a number is cited by, `verification.json`: what it holds, and whether scores bear it out.

All of it follows from the run's folder, and the same run gives the same bytes: it can be made again and compared, which
is what stands in for a signature.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import msgspec

from videohub import metrics
from videohub.errors import DataError, UsageError
from videohub.files import each_once, existing_file
from videohub.metrics.metric import Part
from videohub.metrics.verdict import RULE, Comparison, Verdict
from videohub.protocols import Protocol
from videohub.registry.json_schema import in_order
from videohub.registry.published import Published
from videohub.reporting.report import Counts, Document, Report, Sampling, Stopping, Weights
from videohub.reporting.words import files_of
from videohub.runs import Head, LabelMap, MadeBy, ShardFile, WeightsFile

SCHEMA_VERSION: Final = 1
NAME = "verification.json"
LARGEST = 16 << 20  # bytes; a process takes some 600, a tar 150, and nothing else in it grows with the run
SCHEMA_ID = "urn:videohub:verification"  # a name, not an address, as the registry's
CLOSE = 1e-9  # of a number: what another machine's last digits may differ by

_Part = TypeVar("_Part", bound=Part)


class Model(Part, frozen=True, kw_only=True):
    """The record whose number was recomputed."""

    record: str
    upstream_name: str
    publisher: str | None  # null: the record's file states none
    paper: str


class UsedWeights(Part, frozen=True, kw_only=True):
    """The weights that the scores come from, and every file that a process read them from.

    Without `identity`, `sha256` is what a file's header said (videohub 0.1), and not the digest of tensors.
    """

    sha256: str
    identity: Literal["tensors"] | None
    files: list[WeightsFile]
    url: str | None  # of the published file; null: nowhere in public
    license: str


class Data(Part, frozen=True, kw_only=True):
    """What was scored: a data set's list, and what became of it."""

    dataset: str
    split: str
    sha256: str  # of the whole list, before a sample was drawn
    counts: Counts
    sampling: Sampling | None
    stopping: Stopping | None
    labels: str | tuple[str, ...] | None
    label_map: LabelMap | None
    shards_sha256: str | None  # of what the tars hold that samples were read from; null: from files
    shards: list[ShardFile]  # these tars, wherever a process found them


class Verification(Document, frozen=True, kw_only=True):
    """A recomputed number with all that somebody needs who wants to check it. Numbers are in per cent.

    `scores_sha256` is that of the SHA-256 digests, as bytes, of all samples that were looked at, in the order of the
    list. A sample's is that of a line of JSON, `[index, name, digest of the views, why it failed, shape]` with null
    for what is not there, no blanks, and `\\n`; then of its scores, little-endian float32, view after view.
    """

    schema_version: Literal[1]
    model: Model
    weights: UsedWeights
    data: Data
    protocol: Protocol  # as it was used
    clip: dict[str, int]
    metric: str
    published: Published
    numbers: list[Comparison]  # the first one decides
    interval_level: float  # of the numbers' intervals
    verdict: Verdict
    rule: str  # by which a number's answer follows
    reasons: list[str]
    precision: str
    decoder: str
    made_by: list[MadeBy]  # every process, with its device and versions
    disagreements: list[str]
    scores_sha256: str | None  # null: made of a report that did not note it


class Difference(msgspec.Struct, frozen=True):
    """A field in which a document and the scores disagree, as JSON; None where one of them lacks it."""

    field: str
    stated: str | None
    recomputed: str | None


class Replayed(msgspec.Struct, frozen=True):
    """What comparing a document with the scores came to."""

    file: str
    sha256: str  # of the file's bytes
    compared: dict[str, int]  # fields, by the part of the document that they are in
    numbers: list[Comparison]  # as recomputed
    differences: list[Difference]


def of(report: Report) -> Verification:
    """Return the document of a report."""
    return _filled(
        Verification,
        report,
        schema_version=SCHEMA_VERSION,
        model=_filled(Model, report),
        weights=_filled(UsedWeights, report.weights, files=files_of(report.made_by)),
        data=_filled(Data, report, sha256=report.data_sha256),
        numbers=report.comparisons,
        rule=RULE,
    )


def json_schema() -> str:
    """Return the text of `docs/schemas/verification.schema.json`, for those who read the document elsewhere."""
    _, defs = msgspec.json.schema_components([Verification], ref_template="#/$defs/{name}")
    for part in ("Protocol", "Verification"):
        defs[part]["properties"]["metric"] = {"enum": metrics.names()}
    whole = {**in_order(defs.pop("Verification")), "title": "A videohub verification"}
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID, **whole}
    return json.dumps({**schema, "$defs": in_order(dict(sorted(defs.items())))}, indent=2, ensure_ascii=False) + "\n"


def read(path: str | Path) -> tuple[Verification, bytes]:
    """Return the document of a `verification.json`, or of the folder it lies in, and the file's bytes.

    Raises: UsageError if there is none, or it is another version's; DataError if it is no such document: damaged, too
        large, with a field that is unknown, missing, of another type or there twice.
    """
    file = existing_file(Path(path) / NAME if Path(path).is_dir() else path, "verification")
    if (size := file.stat().st_size) > LARGEST:
        raise DataError(f"{file}: has {size:,} bytes, and no {NAME} has more than {LARGEST:,}")
    content = file.read_bytes()
    try:
        version = msgspec.json.decode(content, type=Head).schema_version
        if version != SCHEMA_VERSION:
            raise UsageError(
                f"{file}: is a verification of version {version}, and this videohub reads version {SCHEMA_VERSION}.\n"
                "  Use the videohub that wrote it, or a newer one."
            )
        # of a name that is there twice, people read the one and programs the other
        json.loads(content, object_pairs_hook=each_once)
        return msgspec.json.decode(content, type=Verification), content
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:  # the first is not always a ValueError
        if isinstance(error, UsageError):
            raise
        raise DataError(
            f"{file}: is no {NAME}, or one that was changed: {error!s:.200}.\n"
            "  Get it again from where it is published; `videohub report FOLDER` makes it anew from a run's scores."
        ) from None


def replay(path: str | Path, report: Report) -> Replayed:
    """Compare every field of a document with what was just recomputed from scores.

    Args:
        path: A `verification.json`, or the folder it lies in.
        report: Of the scores, made by `videohub.verification.report` now: a report that was read back proves nothing.
    Returns: what was compared, with each difference. Numbers with a fraction may differ by `CLOSE` of them.
    Raises: as `read`.
    """
    document, content = read(path)
    stated, recomputed = (dict(_fields(msgspec.to_builtins(each))) for each in (document, of(report)))
    compared: dict[str, int] = {}
    differences = []
    for field in dict.fromkeys((*stated, *recomputed)):
        part = field.partition(".")[0].partition("[")[0]
        compared[part] = compared.get(part, 0) + 1
        if field not in stated or field not in recomputed or not _equal(stated[field], recomputed[field]):
            differences.append(Difference(field, _shown(stated, field), _shown(recomputed, field)))
    file = Path(path) / NAME if Path(path).is_dir() else Path(path)
    return Replayed(str(file), hashlib.sha256(content).hexdigest(), compared, report.comparisons, differences)


def _filled(part: type[_Part], source: Report | Weights, **others: object) -> _Part:
    """Return a part of the document: `others`, and for its other fields what a report calls alike."""
    alike = {name: getattr(source, name) for name in part.__struct_fields__ if name not in others}
    return part(**alike, **others)


def _fields(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value below `value` under its path, such as `numbers[0].recomputed`; empty ones as themselves."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _fields(inner, f"{name}.{key}" if name else key)
    elif isinstance(value, list | tuple) and value:
        for place, inner in enumerate(value):
            yield from _fields(inner, f"{name}[{place}]")
    else:
        yield name, list(value) if isinstance(value, tuple) else value


def _equal(stated: Any, recomputed: Any) -> bool:
    if isinstance(stated, float) and isinstance(recomputed, float):
        return math.isclose(stated, recomputed, rel_tol=CLOSE)
    return type(stated) is type(recomputed) and stated == recomputed


def _shown(fields: dict[str, Any], field: str) -> str | None:
    return json.dumps(fields[field], ensure_ascii=False) if field in fields else None

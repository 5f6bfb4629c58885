"""Accuracies measured of published files: `python tools/results.py` checks results/ and writes its schemas.

    python tools/results.py --entry run/verification.json --commit 1234abc    an entry for results/measured.yaml

results/measured.yaml holds what was measured with videohub, results/reported.yaml what others say that they measured
otherwise. What each field is stands here, once; the schemas beside the files are for editors.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from videohub import metrics, registry
from videohub.errors import RegistryError, VideohubError
from videohub.metrics.verdict import Verdict
from videohub.registry import Registry, strict_yaml
from videohub.registry.published import Name, Percent
from videohub.reporting import verification_file
from videohub.value_types import Sha256

FOLDER = Path(__file__).resolve().parent.parent / "results"
Commit = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{7,40}$", max_length=40)]


class _Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A part of an entry: immutable, and nothing in it is unknown to the schema."""


class Source(_Value, frozen=True, kw_only=True):
    """Where somebody says it: a file of a repository, or an issue or pull request there."""

    repository: Annotated[str, msgspec.Meta(pattern="^[^/ ]+/[^/ ]+$")]  # owner/name, of GitHub
    path: Name | None = None
    commit: Commit | None = None  # at which the file was read, as far as it is known
    issue: int | None = None  # number of an issue or a pull request
    also: Name | None = None  # where the same is said: a paper, a page

    @property
    def link(self) -> str:
        """Return its address."""
        home = f"https://github.com/{self.repository}"
        if self.issue is not None:
            return f"{home}/issues/{self.issue}"  # leads to a pull request, too
        return f"{home}/blob/{self.commit or 'HEAD'}/{self.path}" if self.path else home

    def __str__(self) -> str:
        where = f" issue {self.issue}" if self.issue is not None else f" {self.path}" if self.path else ""
        return self.repository + where + (f" at {self.commit[:7]}" if self.commit else "")


class Reported(_Value, frozen=True, kw_only=True):
    """What somebody else says that a record's file gave; nothing of it was checked."""

    record: Name
    numbers: dict[str, Percent]  # by the names people use for them: top-1, top-5, mAP
    about: bool = False  # whether the source gives them roughly
    protocol: Name  # how it was measured, as far as the source says
    same_test: bool | None  # whether that is the record's test, on all of its data; null: it is not told
    published: dict[str, Percent] | None = None  # the number that it is held against, where it is not the record's
    source: Source
    comment: Name | None = None  # ours


class Interval(_Value, frozen=True, kw_only=True):
    """A number in per cent, and the 95 % interval around it."""

    value: Percent
    low: Percent
    high: Percent


class Certificate(_Value, frozen=True, kw_only=True):
    """The `verification.json` that `videohub verify` wrote, below results/."""

    file: Name
    sha256: Sha256


class Measured(_Value, frozen=True, kw_only=True):
    """What `videohub verify` found of a record's file; but for three fields it follows from the certificate."""

    record: Name
    date: Name  # on which the last process began, YYYY-MM-DD
    by: Name | None = None  # who measured, as they wish to be named
    device: Name
    commit: Commit  # of videohub
    dataset: Name
    manifest_sha256: Sha256  # of the whole list of samples
    samples: int  # that were scored
    numbers: dict[str, Interval]  # rounded to hundredths
    verdict: Verdict
    versions: dict[str, str]
    certificate: Certificate
    comment: Name | None = None


class ReportedFile(_Value, frozen=True, kw_only=True):
    """Measurements of others, one entry for each number that a source gives of a record's file."""

    measurements: tuple[Reported, ...]


class MeasuredFile(_Value, frozen=True, kw_only=True):
    """Measurements with videohub, one entry for each run that was verified."""

    measurements: tuple[Measured, ...]


FILES: dict[str, type] = {"reported": ReportedFile, "measured": MeasuredFile}
Kind = TypeVar("Kind", ReportedFile, MeasuredFile)


def main() -> None:
    """Write the schemas, and tell what is wrong with the files; or make an entry."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--entry", type=Path, metavar="FILE", help="keep this verification.json, and print its entry")
    parser.add_argument("--commit", help="of the videohub that measured")
    parser.add_argument("--by", help="who measured, as they wish to be named")
    given = parser.parse_args()
    if given.entry:
        if given.commit is None:
            parser.error("--entry needs the --commit of the videohub that measured")
        print(f"- {msgspec.json.encode(kept(given.entry, commit=given.commit, by=given.by)).decode()}")
        return
    for name in FILES:
        schema_file(name).write_text(schema_text(name), encoding="utf-8")
    known = registry.load(registry.files()[0])
    wrong = list(errors(known, (*reported(), *measured())))
    print(
        "\n".join(wrong) or f"{len(reported())} of others, {len(measured())} with videohub: nothing is wrong with them"
    )
    sys.exit(bool(wrong))


def kept(file: Path, *, commit: str, by: str | None, folder: Path = FOLDER) -> Measured:
    """Copy a `verification.json` into results/certificates, and return its entry.

    Raises: as `verification_file.read`.
    """
    _, content = verification_file.read(file)
    entry = entry_of(file, "", commit=commit, by=by)
    name = f"certificates/{entry.record}-{entry.date}-{entry.certificate.sha256[:8]}.json"
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    return entry_of(folder / name, name, commit=commit, by=by)


def entry_of(file: Path, name: str, *, commit: str, by: str | None = None, comment: str | None = None) -> Measured:
    """Return what a certificate comes to as an entry, which calls the file by `name`."""
    document, content = verification_file.read(file)
    versions: dict[str, str] = {}
    for process in document.made_by:
        versions |= process.software | process.decoder
    return Measured(
        record=document.model.record,
        date=max(process.started for process in document.made_by)[:10],
        by=by,
        device=", ".join(dict.fromkeys(process.device for process in document.made_by)),
        commit=commit,
        dataset=document.data.dataset,
        manifest_sha256=document.data.sha256,
        samples=document.data.counts.scored,
        numbers={
            each.metric: Interval(value=round(each.recomputed, 2), low=round(each.interval[0], 2),
                                  high=round(each.interval[1], 2))
            for each in document.numbers
        },
        verdict=document.verdict,
        versions=versions,
        certificate=Certificate(file=name, sha256=hashlib.sha256(content).hexdigest()),
        comment=comment,
    )  # fmt: skip


def reported() -> tuple[Reported, ...]:
    """Return what others measured. Raises: RegistryError if the file breaks the schema."""
    return _read("reported", ReportedFile).measurements


def measured() -> tuple[Measured, ...]:
    """Return what was measured with videohub. Raises: RegistryError if the file breaks the schema."""
    return _read("measured", MeasuredFile).measurements


def errors(known: Registry, entries: Iterable[Reported | Measured], folder: Path = FOLDER) -> Iterator[str]:
    """Yield what is wrong with entries that are well typed: names that nothing has, certificates that do not fit."""
    for entry in entries:
        record = known.records.get(entry.record)
        if record is None:
            yield f"{entry.record}: no record has this id; write the id, not an alias"
            continue
        called = metrics.of(record.protocol.metric).numbers
        if odd := [name for name in entry.numbers if name not in called]:
            yield f"{entry.record}: {odd[0]} is no number of the metric {record.protocol.metric}: {', '.join(called)}"
        if isinstance(entry, Measured):
            yield from _errors_of_certificate(entry, folder)


def _errors_of_certificate(entry: Measured, folder: Path) -> Iterator[str]:
    name = entry.certificate.file
    file = (folder / name).resolve()
    if not (file.is_file() and file.is_relative_to(folder.resolve())):
        yield f"{entry.record}: {name} is not below results/; put the verification.json there"
        return
    try:
        expected = entry_of(file, name, commit=entry.commit, by=entry.by, comment=entry.comment)
    except VideohubError as error:
        yield f"{entry.record}: {error}"
        return
    for field in Measured.__struct_fields__:
        if (stated := getattr(entry, field)) != (there := getattr(expected, field)):
            yield f"{entry.record}: {field} is {stated}, and {name} has {there}"


def schema_file(name: str) -> Path:
    """Return where the JSON Schema of a file lies."""
    return FOLDER / f"{name}.schema.json"


def schema_text(name: str) -> str:
    """Return the JSON Schema of a file."""
    (_,), defs = msgspec.json.schema_components([FILES[name]], ref_template="#/$defs/{name}")
    whole = defs.pop(FILES[name].__name__)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:videohub:results:{name}"}
    return json.dumps({**head, **whole, "$defs": dict(sorted(defs.items()))}, indent=2, ensure_ascii=False) + "\n"


# --- as lists of the site --------------------------------------------------------------------------------------------


def list_of_reported(entries: Iterable[Reported]) -> str:
    """Return entries of one record as a list in Markdown."""
    lines = []
    for each in entries:
        result = " / ".join(f"{name} {value}" for name, value in each.numbers.items())
        same = {True: "the record's test", False: "another test", None: "whether the record's test, is not told"}
        against = " / ".join(f"{name} {value}" for name, value in (each.published or {}).items())
        source = f"[{each.source}]({each.source.link})" + (f", {each.source.also}" if each.source.also else "")
        messages = f"{'about ' * each.about}**{result}**: {each.protocol} ({same[each.same_test]}). {source}."
        rest = (against and f"Held against {against}.", each.comment)
        lines.append("- " + " ".join(filter(None, (messages, *rest))))
    return "\n".join(lines)


def list_of_measured(entries: Iterable[Measured]) -> str:
    """Return entries of one record as a list in Markdown."""
    lines = []
    for each in entries:
        result = " / ".join(f"{name} {one.value:g} ({one.low:g} to {one.high:g})" for name, one in each.numbers.items())
        whom = f" by {each.by}" if each.by else ""
        lines.append(f"- **{result}**, {each.verdict}: {each.samples} samples on {each.device}, {each.date}"
                     f"{whom}, videohub {each.commit[:7]}. Certificate `results/{each.certificate.file}`, sha256 "
                     f"`{each.certificate.sha256}`. {each.comment or ''}".rstrip())  # fmt: skip
    return "\n".join(lines)


def _read(name: str, kind: type[Kind]) -> Kind:
    file = FOLDER / f"{name}.yaml"
    value: Any = strict_yaml.read(file).value
    try:
        return msgspec.convert(value, type=kind)
    except msgspec.ValidationError as error:
        raise RegistryError(f"results/{file.name}: {error}\n  tools/results.py says what each field is.") from error


if __name__ == "__main__":
    main()

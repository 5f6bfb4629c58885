"""A record's proved weights in a repository of the Hugging Face hub, and what a registry states to find them there.

RECORD.safetensors            under videohub's names, as they are kept here
RECORD.certificate.json       that they are the network of the file that was read
model.safetensors, config.json, preprocessor_config.json, transformers.certificate.json
                              the same for transformers, where it has such a network
SHA256SUMS, README.md         the digests, and the card
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from videohub import published_files, registry, weights
from videohub.building import classes_of
from videohub.convert import tables
from videohub.convert.recognition import OURS
from videohub.convert.tables import arguments_of
from videohub.errors import ConversionError, UsageError
from videohub.hub import upload
from videohub.hub.upload import Head, HubFile, Sent, SentFile
from videohub.registry.patch import Patch, with_further_forms
from videohub.registry.schema import Checkpoint, Record
from videohub.reporting import cards
from videohub.reporting.pages import render
from videohub.reporting.words import public_url
from videohub.weights import Converted

CARD, SUMS = "README.md", "SHA256SUMS"
TRANSFORMERS: Final = "transformers"
_UNKNOWN = "COMMIT"  # stands for the commit of a dry run

# Licences under which anybody may pass on the same weights in another form; NC: for non-commercial use.
_ALLOWS = re.compile(
    r"(Apache-2\.0|MIT|BSD-[23]-Clause|CC0-1\.0|CC-BY(-NC)?(-SA)?[- ][1-4]\.0)(?![\w.-])", re.IGNORECASE | re.ASCII
)
# What says that it was not read for the weights: "not stated for the file; the repository is MIT".
_NOT_OF_WEIGHTS = re.compile(r"\bnot stated\b|\bnot read\b|\bof the code\b|\bcode (only|alone)\b", re.IGNORECASE)


class Published(msgspec.Struct, frozen=True):
    """What was sent, or would be, and the patch that tells a registry of it."""

    sent: Sent
    patch: Patch
    warnings: list[str]


@dataclass(frozen=True)
class _Written:
    """A form of the weights that was written into a folder: its files, the one that holds the tensors first."""

    layout: str
    files: tuple[str, ...]
    converted: Converted


def publish(
    name: str | Record,
    repository: str,
    *,
    checkpoint: str | Path | None = None,
    right: str | None = None,
    revision: str = "main",
    pull_request: bool = False,
    dry_run: bool = False,
) -> Published:
    """Send the weights of a record to a repository, which is made if there is none, in one commit.

    Args:
        name: A record, its id or its upstream name.
        repository: Such as `org/repo`.
        checkpoint: A copy of the published file, where it cannot be fetched.
        right: What gives the user the right to pass the weights on, where their licence does not; for the card.
        revision: The branch.
        pull_request: Open a pull request instead of changing the branch.
        dry_run: Send nothing to the hub and ask it nothing; the published file is fetched if need be.
    Raises: UsageError if the licence does not allow it, the file is another than the published one, or files of
        somebody else would be replaced; UploadError or OfflineError if the hub takes nothing; and what
        `weights.fetch` and `weights.convert_file` raise.
    """
    record = registry.record(name)
    if registry.default().records.get(record.name) != record:
        raise UsageError(
            f"{record.name}: is in no registry file, which would tell others where its weights are.\n"
            "  Write a record for it (`videohub registry new`), or send files of your own with `hf upload`."
        )
    upload.check(repository, revision=revision, pull_request=pull_request, dry_run=dry_run)
    _check_licence(record, right)
    _refuse_passwords(record)
    with tempfile.TemporaryDirectory(prefix="videohub-") as folder:
        forms, doubts = _write(record, checkpoint, Path(folder))
        head = None
        if not dry_run:
            if revision == "main":  # one without this branch stays unmade
                upload.create(repository)
            head = upload.head(repository, revision)
        files = _files(record, forms, Path(folder), repository, head)
        weights_files = upload.sent(repository, revision, files).files
        sums = "".join(f"{file.sha256}  {file.path}\n" for file in weights_files)
        files[SUMS] = HubFile(sums.encode(), _change(SUMS, head))
        files |= _card_beside(head, _card(record, forms, repository, weights_files, right, doubts))
        if head is None:
            sent = upload.sent(repository, revision, files)
        else:
            message = f"Weights of {record.name}, converted and certified with videohub"
            sent = upload.send(head, files, message, pull_request=pull_request)
    commit, sent_files = sent.commit or _UNKNOWN, {file.path: file for file in sent.files}
    added = [
        Checkpoint(
            url=f"hf://{repository}/{form.files[0]}@{commit}",
            sha256=sent_files[form.files[0]].sha256,
            size=sent_files[form.files[0]].size,
            container="safetensors",
            layout=form.layout,
            license=record.checkpoint.license,
        )
        for form in forms
    ]
    return Published(sent, with_further_forms(record, added, registry.record_files()), doubts)


def allows(words: str) -> bool:
    """Return whether a licence lets anybody pass the weights on: one that is known to, and is stated for them."""
    return _ALLOWS.match(words) is not None and _NOT_OF_WEIGHTS.search(words) is None


def _check_licence(record: Record, right: str | None) -> None:
    """Refuse to pass on weights whose licence does not allow it, unless the user says by which right."""
    words = record.checkpoint.license
    if right is not None and not right.strip():
        raise UsageError("right: found no words, expected what gives you the right to publish these weights")
    if right is None and not allows(words):
        raise UsageError(
            f"{record.name}: its licence does not say that the weights may be passed on: {words!r}.\n"
            '  If you have that right all the same (you made them, their authors agreed), state it: --right "WORDS". '
            "The words stand on the card."
        )


def _refuse_passwords(record: Record) -> None:
    """Refuse a record with an address that logs in: the weights' header states the record. Raises: UsageError."""
    forms = (record.checkpoint, *record.other_checkpoints)
    urls = [file.url for each in forms for file in each.files] + [url for each in forms for url in each.alternates]
    for url in filter(None, urls):
        parts = urlsplit(url)
        if parts.scheme != "hf" and "@" in parts.netloc:
            raise UsageError(
                f"{record.name}: an address of {parts.hostname} logs in with a name and perhaps a password, and the "
                "weights state their record.\n  Take it out of the registry file before publishing."
            )


def _write(record: Record, checkpoint: str | Path | None, folder: Path) -> tuple[list[_Written], list[str]]:
    """Write every form of a record's weights into a folder; return them, and what speaks against them."""
    kept = weights.fetch(record, checkpoint=checkpoint)  # proved, whatever it takes to bring it here
    source: str | Path = kept
    if checkpoint is not None and Path(checkpoint).is_file():
        source = checkpoint
    elif checkpoint is None and not record.checkpoint.beside:
        published = published_files.published_file(record)
        source = kept if published.parts else published.path
    ours = f"{record.name}.safetensors"
    certificate = f"{record.name}.certificate.json"
    written = weights.convert_file(source, record, folder / ours, certify_to=folder / certificate)
    if (classes := classes_of(folder / ours, record)) != record.model.num_classes:
        raise UsageError(
            f"{record.name}: {source} has {classes or 'no'} classes, the record {record.model.num_classes or 'none'}: "
            "it is another file than the published one"
        )
    forms, doubts = [_Written(OURS, (ours, certificate), written)], _doubts(record, kept, checkpoint)
    if TRANSFORMERS in tables.writable(record.family, arguments_of(record)):
        try:
            forms.append(_for_transformers(record, source, folder))
        except ConversionError as error:
            doubts.append(f"without a form for transformers: {error}")
    return forms, doubts


def _for_transformers(record: Record, source: str | Path, folder: Path) -> _Written:
    """Write transformers' form, whose names are given. Raises: ConversionError if it is not the same network."""
    inside, certificate = folder / TRANSFORMERS, f"{TRANSFORMERS}.certificate.json"
    inside.mkdir()
    written = weights.convert_file(source, record, inside, layout=TRANSFORMERS, certify_to=folder / certificate)
    others = sorted(path.name for path in inside.iterdir() if path.name != Path(written.out).name)
    names = [Path(written.out).name, *others]
    for name in names:
        (inside / name).rename(folder / name)
    return _Written(TRANSFORMERS, (*names, certificate), written)


def _doubts(record: Record, kept: Path, checkpoint: str | Path | None) -> list[str]:
    """Return what says that weights may be others than the published ones. Raises: UsageError if they are."""
    file = weights.weights_file(kept, record, checkpoint=checkpoint)
    stated = record.checkpoint.sha256
    if stated is not None and file.sha256 != stated:
        raise UsageError(
            f"{record.name}: {file.name} has sha256 {file.sha256}, the published file {stated}.\n"
            "  Only the published file is sent under the record's name."
        )
    if file.vouched_by is None:
        return [f"nothing vouches for {file.name} as the published file: it was given by hand, and no digest is stated"]
    return []


def _files(
    record: Record, forms: list[_Written], folder: Path, repository: str, head: Head | None
) -> dict[str, HubFile]:
    """Return the files of all forms. Raises: UsageError if somebody else's are in the way."""
    there = head.files if head is not None else frozenset()
    paths = [path for form in forms for path in form.files]
    # our certificate there: an earlier publication of this record's
    if forms[0].files[1] not in there and (taken := sorted({*paths, SUMS} & there)):
        raise UsageError(
            f"{repository}: {', '.join(taken)}: there already, and not from videohub's publication of {record.name}.\n"
            "  Publish to another repository, or to another --revision."
        )
    return {path: HubFile(folder / path, _change(path, head)) for path in paths}


def _change(path: str, head: Head | None) -> str:
    return "replaced" if head is not None and path in head.files else "new"


def _card_beside(head: Head | None, card: str) -> dict[str, HubFile]:
    """Return a card as the README.md of a repository, or beside somebody's."""
    before = None if head is None else upload.read(head, CARD)
    if before is None:
        return {CARD: HubFile(card.encode())}
    if cards.MARK_OF_WEIGHTS in (old := before.decode(errors="replace")):
        return {CARD: HubFile(cards.with_numbers_of(card, old).encode(), "replaces the earlier one; its numbers stay")}
    return {"WEIGHTS.md": HubFile(card.encode(), "the card; README.md is somebody's and stays as it is")}


def _card(
    record: Record,
    forms: list[_Written],
    repository: str,
    files: Sequence[SentFile],
    right: str | None,
    doubts: list[str],
) -> str:
    """Return the README.md: whose weights these are, under which licence, what was shown of them, how they load."""
    from huggingface_hub import ModelCardData

    for_transformers = any(form.layout == TRANSFORMERS for form in forms)
    license, license_name = cards.license_of(record.checkpoint.license)
    data = ModelCardData(
        library_name="transformers" if for_transformers else "videohub",
        pipeline_tag="image-classification" if record.protocol.scored == "image" else "video-classification",
        datasets=[record.protocol.dataset],
        tags=["videohub"],
        license=license,
        license_name=license_name,
    )
    text = render(
        "weights.md",
        record=record,
        repository=repository,
        publisher=registry.default().publishers.get(record.publisher or ""),
        url=public_url(record.checkpoint),
        files=files,
        certificates=[form.converted.certificate for form in forms if form.converted.certificate is not None],
        for_transformers=for_transformers,
        right=right,
        doubts=doubts,
        published=[(str(number), number.source) for number in record.published],
        of_the_zoo=record.name in registry.load(registry.files()[0]).records,
    )
    return f"---\n{data.to_yaml()}\n---\n\n{text}"

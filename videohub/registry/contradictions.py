"""Which fields of a record are well typed and do not agree with each other."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

from videohub import metrics
from videohub.escaping import visible
from videohub.protocols import Flaw
from videohub.registry.messages import shown
from videohub.registry.schema import FIELDS, Checkpoint, Record

_ALTERNATE = r"https?://[^/]+/.+|hf://[^/@]+/[^/@]+/[^@]+@[^@/]+"


def contradictions(record: Record) -> Iterable[Flaw]:
    """Yield fields that are well typed but do not agree: the field, what is wrong, and advice."""
    url, status = record.checkpoint.url, record.status
    if status == "unreleased":
        if url is not None:
            yield ("checkpoint", "url"), "is given, and the status is unreleased", "Write null, or correct the status."
        if not record.superseded_by and not record.notes:
            advice = "An unreleased record names what to use in its place, or tells in `notes`."
            yield ("superseded_by",), "is missing", advice
    else:
        if not url:
            yield ("checkpoint", "url"), f"is {'null' if url is None else 'empty'}, and the status is {status}", ""
        if record.superseded_by:
            yield ("superseded_by",), f"is given, and the status is {status}", "Only unreleased records have it."
    if status == "available" and record.checkpoint.manual:
        yield ("status",), "is available, and every checkpoint is manual", "Write manual."
    for checkpoint in (record.checkpoint, *record.other_checkpoints):
        yield from _contradictions_of_file(checkpoint)
    for field, what in record.model.flaws():
        yield ("model", *field), what, ""
    fields = {name: field for field, name in FIELDS.items()}
    wanted = {fields.get(name, "others") for name in metrics.of(record.protocol.metric).numbers}
    for index, published in enumerate(record.published):
        given = {fields.get(name, "others") for name in published.numbers()}
        if not given:
            yield ("published", index), "holds no number", "Give top1, top5 or map, or leave it out."
        if given - wanted:
            what = f"does not fit the metric {record.protocol.metric}"
            yield ("published", index, *sorted(given - wanted)[:1]), what, ""
    if record.proof is not None and (record.proof.golden is None) == (record.proof.reference is None):
        yield (
            ("proof",),
            "has golden and reference, or neither",
            "Name one of them; a record without proof is unproven.",
        )


def _contradictions_of_file(checkpoint: Checkpoint) -> Iterable[Flaw]:
    url, prefix = checkpoint.url, checkpoint.sha256_prefix
    if url is not None and (flaw := flaw_of(url)):
        yield ("checkpoint", "url"), f"is {shown(url)}, which is no address: {flaw}", ""
    if odd := [each for each in checkpoint.alternates if flaw_of(each) or not re.fullmatch(_ALTERNATE, each)]:
        yield ("checkpoint", "alternates"), f"has {shown(odd[0])}", "Expected https or hf://org/repo/file@revision."
    if prefix is not None and checkpoint.sha256 is not None and not checkpoint.sha256.startswith(prefix):
        yield ("checkpoint", "sha256_prefix"), f"is {shown(prefix)}, and sha256 begins otherwise", ""


def flaw_of(url: str) -> str | None:
    """Return why nothing can be fetched from a URL or lie at a path, None if that is not to be seen."""
    if visible(unquote(url)) != unquote(url):
        return "it holds a control character"
    try:
        urlsplit(url).port  # noqa: B018  # looks at the host, too
    except ValueError as error:
        return str(error)
    return None

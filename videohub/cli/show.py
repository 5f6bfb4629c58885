"""The verb show: everything about one record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
import msgspec

from videohub import registry
from videohub.data.sets import unread
from videohub.formatting import with_letter, with_unit
from videohub.protocols import Protocol
from videohub.protocols.steps import Image, PartWindows
from videohub.registry import Cost
from videohub.registry.labels import in_words
from videohub.registry.lookup import MARKS, marks, view_size
from videohub.registry.published import Published
from videohub.registry.schema import Checkpoint, Proof, Record
from videohub.terminal import options
from videohub.terminal.layout import coloured, console, facts, styled


@click.command("show")
@options.with_name
@options.with_json
def command(name: str, as_json: bool) -> None:
    """Show everything that is known of one record."""
    known = registry.default(keep=True)
    record = registry.record(name)
    namesakes = known.namesakes(record)
    if as_json:
        options.print_json({**known.whole(record), "namesakes": namesakes})
    else:
        print_record(record, namesakes, known.costs.get(record.name))


def print_record(record: Record, namesakes: Sequence[str], cost: Cost | None) -> None:
    """Print everything that one record says, which others have its upstream name, and what its network costs."""
    console().print(styled(record.name, style="bold"), coloured(record.status))
    console().print(facts(_facts(record, namesakes, cost)))


def _facts(record: Record, namesakes: Sequence[str], cost: Cost | None) -> list[tuple[str, str]]:
    protocol, checkpoint, steps = record.protocol, record.checkpoint, record.protocol.in_words()
    named = [
        ("upstream name", record.upstream_name),
        ("aliases", ", ".join(record.aliases)),
        ("publisher", record.publisher or ""),
        ("also called so", ", ".join(namesakes)),
        ("network", f"{record.arch} {record.depth}, {_outputs(record)}"),
        ("arguments", _in_words(msgspec.to_builtins(record.model))),
        ("size", _size(record, cost)),
        ("labels", in_words(record.labels)),
        ("network input", _input(record)),
        ("protocol", _protocol(protocol)),
        ("data set", _unread(record)),
        ("frames", steps["frames"]),
        ("pixels", steps["pixels"]),
        ("published", str(record.number or "") + _as_printed(record.number)),
        ("source", record.number.source if record.number else ""),
        ("also published", "; ".join(f"{each}{_with(each)}" for each in record.published if each.views or each.mapped)),
        ("file", (checkpoint.url or "") + (" (a page, to download by hand)" if checkpoint.manual else "")),
        *(("beside it", file.url) for file in checkpoint.beside),
        *(("the same at", url) for url in checkpoint.alternates),
        *(
            ("another form", f"{other.url}, {other.container or 'container unknown'}, layout {other.layout}")
            for other in record.other_checkpoints
        ),
        ("file size", with_unit(checkpoint.size) if checkpoint.size else ""),
        ("container", f"{checkpoint.container or 'unknown'} (the bytes decide), layout {checkpoint.layout}"),
        ("sha256", checkpoint.sha256 or _unmeasured(checkpoint)),
        *(("known answer", f"{answer.input.in_words()}: {answer.source}") for answer in record.known_answers),
        ("license", checkpoint.license),
        ("marks", "; ".join(f"{mark}: {MARKS[mark]}" for mark in marks(record))),
        ("training", _training(record)),
        ("config", record.config or ""),
        ("paper", record.paper),
        ("proof", _proof(record.proof)),
        ("superseded by", ", ".join(record.superseded_by)),
        *(("note", note) for note in record.notes),
    ]
    return [(name, value) for name, value in named if value]


def _unread(record: Record) -> str:
    """Return that the record cannot be tested, if nothing reads what its data set is given out with."""
    why = unread(record.dataset)
    return f"{record.dataset.title}: {why}. `verify` and `data check` refuse this record." if why else ""


def _input(record: Record) -> str:
    """Return how many frames a clip has, and how far apart where the rule does not spread them over the video."""
    rule, frames, stride = record.protocol.frames, record.clip.frames, record.clip.sampling_rate
    if isinstance(rule, PartWindows):
        return f"{rule.parts} x {frames // rule.parts} frames, every {stride} in the middle of each part of the video"
    if isinstance(rule, Image):
        return "an image"
    return f"{frames} frames, " + ("spread over the whole video" if rule.spacing == "parts" else f"every {stride}")


def _size(record: Record, cost: Cost | None) -> str:
    size = view_size(record)
    if cost is None or size is None:
        return "not counted"
    frames, height, width = size
    view = f"a view of {frames} x {height} x {width}"
    return f"{cost.params:,} parameters, {with_letter(cost.multiply_adds)} multiply-adds for {view}"


def _in_words(value: Any) -> str:
    """Return what a description says, its fields one after the other, those of its parts in brackets."""
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {_in_brackets(part)}" for name, part in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return " ".join(map(_in_words, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def _in_brackets(part: Any) -> str:
    return f"({_in_words(part)})" if part and isinstance(part, dict) else _in_words(part)


def _training(record: Record) -> str:
    pretrain = f", from {record.pretrain}" if record.pretrain else ""
    if (pixels := record.training_pixels) is None:
        return record.training + pretrain
    low, high = pixels.short_side
    return f"{record.training}{pretrain}, crops of {pixels.crop} at short sides of {low} to {high}"


def _outputs(record: Record) -> str:
    if not record.model.num_classes:
        return "features, no classifier"
    background = record.model.background_outputs
    return f"{record.model.num_classes - background} classes{' and background' * background}"


def _unmeasured(checkpoint: Checkpoint) -> str:
    if (checkpoint.url or "").startswith("file:"):
        return "not stated; the file is taken as it is"
    text = "not yet measured; the first one seen here will bind"
    if checkpoint.sha256_prefix:
        text += f"; its publisher says that it begins with {checkpoint.sha256_prefix}"
    return text + (f"; somebody reports {checkpoint.reported_sha256}" if checkpoint.reported_sha256 else "")


def _proof(proof: Proof | None) -> str:
    if proof is None:
        return "none: our network was not compared with another implementation of this configuration"
    return f"equal to the original, golden case {proof.golden}" if proof.golden else f"equal to {proof.reference}"


def _with(published: Published) -> str:
    views, mapped = published.views, published.mapped
    words = f" with {views.clips} x {views.crops} views" if views else ""
    return words + (f" on {mapped.dataset}, of {mapped.classes} of the outputs (--label-map)" if mapped else "")


def _protocol(protocol: Protocol) -> str:
    scores = protocol.scores
    side = f"short side {protocol.short_side}, " if protocol.short_side else ""
    crop = f"crop {protocol.crop_size}" if protocol.crop_size else "whole frame"
    return (
        f"{protocol.dataset} {protocol.split}, {protocol.views_in_words}, "
        f"{side}{crop}, {scores.activation}, {scores.join.replace('_', ' ')} over views"
    )


def _as_printed(published: Published | None) -> str:
    if published is None or published.as_printed is None:
        return ""
    return f" (printed as {', '.join(f'{name} {value}' for name, value in published.as_printed.items())})"

"""The verb show: everything about one record."""

from __future__ import annotations

from collections.abc import Sequence

import click

from videohub import registry
from videohub.protocols import Protocol
from videohub.registry.labels import told
from videohub.registry.schema import Checkpoint, Proof, Published, Record
from videohub.terminal import completion
from videohub.terminal.layout import coloured, console, facts, styled
from videohub.terminal.options import print_json, with_json


@click.command("show")
@click.argument("name", shell_complete=completion.record)
@with_json
def command(name: str, as_json: bool) -> None:
    """Show everything that is known of one record."""
    known = registry.default(keep=True)
    record = registry.record(name)
    if as_json:
        print_json(record.whole())
    else:
        print_record(record, known.namesakes(record))


def print_record(record: Record, namesakes: Sequence[str] = ()) -> None:
    """Print everything that one record says, and which others have its upstream name."""
    console().print(styled(record.name, style="bold"), coloured(record.status))
    console().print(facts(_facts(record, namesakes)))


def _facts(record: Record, namesakes: Sequence[str]) -> list[tuple[str, str]]:
    protocol, checkpoint = record.protocol, record.checkpoint
    named = [
        ("upstream name", record.upstream_name),
        ("aliases", ", ".join(record.aliases)),
        ("publisher", record.publisher or ""),
        ("also called so", ", ".join(namesakes)),
        ("network", f"{record.arch} {record.depth}, {_outputs(record)}"),
        ("labels", told(record.labels)),
        ("network input", f"{record.clip.frames} frames, every {record.clip.sampling_rate}"),
        ("protocol", _protocol(protocol)),
        ("published", str(record.number or "") + _as_printed(record.number)),
        ("source", record.number.source if record.number else ""),
        ("also published", _with_other_views(record.published)),
        ("file", (checkpoint.url or "") + (" (a page, to download by hand)" if checkpoint.manual else "")),
        *(("another form", f"{other.url}, layout {other.layout}") for other in record.other_checkpoints),
        ("container", f"{checkpoint.container or 'unknown'} (the bytes decide), layout {checkpoint.layout}"),
        ("sha256", checkpoint.sha256 or _unmeasured(checkpoint)),
        ("license", checkpoint.license),
        ("training", record.training + (f", from {record.pretrain}" if record.pretrain else "")),
        ("config", record.config or ""),
        ("paper", record.paper),
        ("proof", _proof(record.proof)),
        ("superseded by", ", ".join(record.superseded_by)),
        *(("note", note) for note in record.notes),
    ]
    return [(name, value) for name, value in named if value]


def _outputs(record: Record) -> str:
    return f"{record.model.num_classes} classes" if record.model.num_classes else "features, no classifier"


def _unmeasured(checkpoint: Checkpoint) -> str:
    text = "not yet measured; the first one seen here will bind"
    if checkpoint.sha256_prefix:
        text += f"; its publisher says that it begins with {checkpoint.sha256_prefix}"
    return text + (f"; somebody reports {checkpoint.reported_sha256}" if checkpoint.reported_sha256 else "")


def _proof(proof: Proof | None) -> str:
    if proof is None:
        return "none: our network was not compared with another implementation of this configuration"
    return f"equal to the original, golden case {proof.golden}" if proof.golden else f"equal to {proof.reference}"


def _with_other_views(published: Sequence[Published]) -> str:
    return "; ".join(f"{each} with {each.views.clips} x {each.views.crops} views" for each in published if each.views)


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

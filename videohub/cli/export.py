"""The verb export: a network as a file that runs without videohub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from videohub.formatting import with_unit
from videohub.terminal import options
from videohub.terminal.layout import console, facts, say

if TYPE_CHECKING:
    from videohub.exports import Exported


def _batch(_: click.Context, option: click.Parameter, value: str) -> int | Literal["dynamic"]:
    """Return a number of clips, or the word `dynamic`."""
    return "dynamic" if value == "dynamic" else _number(value, option)


def _size(_: click.Context, option: click.Parameter, value: str | None) -> int | tuple[int, int] | None:
    """Return one number of pixels, or height and width of `256x340`."""
    if value is None:
        return None
    sides = [_number(side, option) for side in value.split("x")]
    if len(sides) > 2:
        raise click.BadParameter(f"{value!r} has {len(sides)} numbers, expected one or two", param=option)
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def _number(word: str, option: click.Parameter) -> int:
    if not word.isdecimal() or int(word) < 1:
        raise click.BadParameter(f"{word!r} is no whole number from 1 on", param=option)
    return int(word)


@click.command("export")
@options.with_name
@click.option("-o", "--out", required=True, type=options.FILE,
              help="The file to write: .onnx, .pt2 (torch.export) or .ts (TorchScript).")  # fmt: skip
@options.with_checkpoint
@options.with_labels
@click.option("--batch", callback=_batch, default="dynamic", show_default=True, metavar="dynamic|N",
              help="How many clips a call takes.")  # fmt: skip
@click.option(
    "--size", callback=_size, metavar="N|HxW", help="Pixels of a clip.  [default: those of the record's test]"
)
@click.option("--frames", type=options.COUNT, help="Frames of a clip.  [default: the record's]")
@click.option("--half", is_flag=True, help="Weights, clips and logits in float16.")
@click.option("--certificate", type=options.FILE, metavar="FILE.json",
              help="Where the certificate goes.  [default: beside the file, as .json]")  # fmt: skip
@options.with_json
def command(name: str, out: Path, as_json: bool, **chosen: Any) -> None:
    """Write the network NAME as a file that runs without videohub.

    The file is read by its own runtime and compared with the network; if it gives other logits, nothing is left of it.

    \b
    videohub export SLOWFAST_8x8_R50 -o slowfast.onnx
    videohub predict clip.mp4 --model slowfast.onnx
    """
    from videohub.exports import export

    options.print_result(export(name, out, **chosen), as_json, _print)


def _print(exported: Exported) -> None:
    """Print what the file takes, and how far it was from the network."""
    about = exported.certificate
    say(f"{exported.out}: {about.model} as {about.format}, {with_unit(about.size)}")
    console().print(facts(_facts(exported)))


def _facts(exported: Exported) -> Iterator[tuple[str, str]]:
    about = exported.certificate
    batches = " and ".join(dict.fromkeys(str(each.batch) for each in about.comparisons))
    yield "clips", f"{about.clip}, {'float16' if about.precision == 'fp16' else 'float32'}"
    yield (
        "difference",
        f"{about.largest_relative_difference:.2g} of a clip's largest logit, in batches of {batches}; "
        f"allowed {about.tolerance:g}",
    )
    yield "read by", ", ".join(f"{name} {number}" for name, number in about.versions.items())
    yield "certificate", exported.certificate_file

"""The verb convert: one kind of checkpoint file into another."""

from __future__ import annotations

from pathlib import Path

import click

from videohub import registry
from videohub.terminal import options
from videohub.terminal.layout import say


@click.command("convert")
@click.argument("file", type=options.PATH)
@click.option(
    "--model", required=True, shell_complete=options.complete_record, help="The record whose network the file holds."
)
@click.option("-o", "--out", required=True, type=options.PATH,
              help="The file to write; --to transformers also takes a folder, for what belongs beside it.")  # fmt: skip
@click.option("--to", "layout", shell_complete=options.complete_layout, default="videohub", metavar="LAYOUT",
              show_default=True, help="Layout to write: videohub, or one that has a table for the model.")  # fmt: skip
@click.option("--certificate", type=options.FILE, metavar="OUT.json",
              help="Read the result back, compare logits, and write what is known of both.")  # fmt: skip
@options.with_labels
@options.with_ignore
@options.with_json
def command(
    file: Path,
    model: str,
    out: Path,
    layout: str,
    certificate: Path | None,
    labels: str | None,
    ignore: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write a checkpoint FILE of any known kind as another kind.

    It is proved to be the model before.
    """
    from videohub import weights

    record = registry.record(model)
    written = weights.convert_file(
        file, record, out, layout=layout, ignore=ignore, labels=labels, certify_to=certificate
    )
    if as_json:
        options.print_json(written)
    else:
        say(f"{written.out}: {written.tensors} tensors of {record.name}, from {written.described}")
        if shown := written.certificate:
            say(
                f"{certificate}: {shown.equal_tensors} of {shown.tensors} tensors are equal, logits differ by at most "
                f"{shown.largest_difference:.2g}; the largest logit is {shown.largest_logit:.3g}"
            )

"""The verb predict: what a model sees in videos."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from videohub.terminal import completion
from videohub.terminal.layout import console, print_error, styled, table
from videohub.terminal.options import (
    RUN_OPTIONS,
    print_json_line,
    with_checkpoint,
    with_device,
    with_json,
    with_labels,
)

if TYPE_CHECKING:
    from videohub.prediction import Predicted, Prediction, WhichViews


@click.command("predict")
@click.argument("videos", nargs=-1, required=True, metavar="VIDEO...")
@click.option(
    "--model", required=True, shell_complete=completion.record, help="A record's id or upstream name, or an .onnx file."
)
@with_checkpoint
@with_labels
@click.option(
    "--views",
    default="one",
    show_default=True,
    type=click.Choice(("one", "protocol")),
    help="The clip in the middle under the centre crop, or all views of the record's test.",
)
@with_device
@RUN_OPTIONS["precision"]
@click.option("--topk", default=5, show_default=True, type=click.IntRange(min=1))
@with_json
def command(
    videos: tuple[str, ...],
    model: str,
    checkpoint: Path | None,
    labels: str | None,
    views: WhichViews,
    device: str,
    precision: str,
    topk: int,
    as_json: bool,
) -> None:
    """Name what a model sees in videos.

    Each VIDEO is a file, a URL, a folder of videos, or a list (.txt, .csv) with a path or URL on each line. One that is
    broken is told, and the others go on; then the exit code is 1. --json prints one line for each, with its name.

    \b
    videohub predict clip.mp4 --model SLOWFAST_8x8_R50
    videohub predict videos/ https://host/clip.mp4 --model X3D_M --json
    videohub predict clip.mp4 --model slowfast.onnx
    """
    from videohub import onnx_model, registry
    from videohub.data.inputs import named_videos
    from videohub.prediction import predict_many

    network = onnx_model.load(model, device=device) if onnx_model.is_file(model) else None
    record = registry.record(model) if network is None else network.record
    names = named_videos(videos, record.protocol)
    alone = [*videos] == names and len(names) == 1
    failed = False
    for predicted in predict_many(
        names,
        network or record,
        topk=topk,
        views=views,
        checkpoint=checkpoint,
        labels=labels,
        device=device,
        precision=precision,
    ):
        if predicted.error is not None:
            if alone:
                raise predicted.error
            failed = True
            print_error(predicted.error)
        if as_json:
            print_json_line(_as_json(predicted))
        elif predicted.error is None:
            if not alone:
                console().print(styled(predicted.name, style="bold"))
            print_predictions(predicted.predictions)
    if failed:
        sys.exit(1)


def print_predictions(predictions: Iterable[Prediction]) -> None:
    """Print classes with their probability, best first, with a bar."""
    rows = table(header=False)
    rows.add_column(justify="right")
    rows.add_column(no_wrap=True, style="cyan")
    rows.add_column(overflow="fold")
    for prediction in predictions:
        bar = "█" * round(20 * prediction.probability)
        rows.add_row(f"{prediction.probability:.4f}", bar.ljust(20, "·"), prediction.label)
    console().print(rows)


def _as_json(predicted: Predicted) -> dict[str, object]:
    if predicted.error is not None:
        return {"name": predicted.name, "error": str(predicted.error)}
    return {"name": predicted.name, "predictions": predicted.predictions}

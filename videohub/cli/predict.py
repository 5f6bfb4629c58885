"""The verb predict: what a model sees in one video."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from videohub.terminal import completion
from videohub.terminal.layout import console, table
from videohub.terminal.options import print_result, with_checkpoint, with_device, with_json, with_labels

if TYPE_CHECKING:
    from videohub.prediction import Prediction


@click.command("predict")
@click.argument("video", type=click.Path(path_type=Path))
@click.option("--model", required=True, shell_complete=completion.record, help="A record's id or upstream name.")
@with_checkpoint
@with_labels
@with_device
@click.option("--topk", default=5, show_default=True, type=click.IntRange(min=1))
@with_json
def command(
    video: Path, model: str, checkpoint: Path | None, labels: str | None, device: str, topk: int, as_json: bool
) -> None:
    """Name what a model sees in VIDEO."""
    from videohub.prediction import predict as run

    predictions = run(video, model, topk=topk, checkpoint=checkpoint, labels=labels, device=device)
    print_result(predictions, as_json, print_predictions)


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

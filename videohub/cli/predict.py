"""The verb predict: what a model sees in one video."""

from __future__ import annotations

from pathlib import Path

import click

from videohub.terminal import completion
from videohub.terminal.options import print_json, with_checkpoint, with_device, with_json, with_labels


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
    if as_json:
        print_json(predictions)
    else:
        from videohub.terminal.zoo import print_predictions

        print_predictions(predictions)

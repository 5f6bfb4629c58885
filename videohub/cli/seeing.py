"""The verbs that look at single videos: predict, and demo, which makes some."""

from __future__ import annotations

from pathlib import Path

import click

from videohub.cli import completion
from videohub.cli.options import print_json, with_checkpoint, with_device, with_json, with_labels
from videohub.terminal.layout import hand_over


@click.command()
@click.argument("video", type=click.Path(path_type=Path))
@click.option("--model", required=True, shell_complete=completion.record, help="A record's id or upstream name.")
@with_checkpoint
@with_labels
@with_device
@click.option("--topk", default=5, show_default=True, type=click.IntRange(min=1))
@with_json
def predict(
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


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--clips", default=320, show_default=True, type=click.IntRange(min=1), help="How many videos.")
@with_json
def demo(folder: Path, clips: int, as_json: bool) -> None:
    """Write the embedded data set into FOLDER: short videos of ten motions, and their list."""
    from videohub.data import motions

    listing = str(motions.generate(folder, clips=clips))
    if as_json:
        print_json({"list": listing, "clips": clips})
    else:
        hand_over(listing)

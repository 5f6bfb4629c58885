"""The verbs that look at videos: predict, verify, demo."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from videohub.cli.options import print_json, with_checkpoint, with_device, with_json

_EXITS = {"consistent": 0, "inconsistent": 1, "insufficient data": 3}


@click.command()
@click.argument("video", type=click.Path(path_type=Path))
@click.option("--model", required=True, help="A record's id or upstream name.")
@with_checkpoint
@with_device
@click.option("--topk", default=5, show_default=True, type=click.IntRange(min=1))
@with_json
def predict(video: Path, model: str, checkpoint: Path | None, device: str, topk: int, as_json: bool) -> None:
    """Name what a model sees in VIDEO."""
    from videohub.prediction import predict as run

    predictions = run(video, model, topk=topk, checkpoint=checkpoint, device=device)
    if as_json:
        print_json(predictions)
    else:
        from videohub import terminal

        terminal.print_predictions(predictions)


@click.command()
@click.argument("name")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="A list: one `path label` a line.")
@click.option("--root", type=click.Path(path_type=Path), help="Folder of the list's paths; default: the list's own.")
@with_checkpoint
@with_device
@click.option("--clips", type=int, help="Clips a video; another number than the protocol's gives no verdict.")
@click.option("--crops", type=int, help="Crops a clip: 1 or 3; likewise.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for scores.npz and report.json.")
@with_json
def verify(name: str, data: Path, as_json: bool, **options: Any) -> None:
    """Recompute the published accuracy of a record. Exit code: 0 consistent, 1 inconsistent, 3 insufficient data."""
    from videohub.verification import verify as run

    report = run(name, data, **options)
    if as_json:
        print_json(report)
    else:
        from videohub import terminal

        terminal.print_report(report)
    sys.exit(_EXITS[report.verdict])


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
        click.echo(listing)

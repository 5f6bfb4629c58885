"""The verb predict: what a model sees in videos."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from videohub.terminal import options
from videohub.terminal.layout import console, print_error, styled, table

if TYPE_CHECKING:
    from videohub.prediction import Predicted, Prediction
    from videohub.prediction.timeline import PredictedWindow, Timeline

_SECONDS = 2.0  # of the parts of a video that is annotated


@click.command("predict")
@click.argument("videos", nargs=-1, required=True, metavar="VIDEO...")
@click.option(
    "--model",
    required=True,
    shell_complete=options.complete_record,
    help="A record's id or upstream name, hf://USER/MODEL, or an .onnx file.",
)
@options.with_checkpoint
@options.with_labels
@click.option(
    "--views",
    default="one",
    show_default=True,
    type=click.Choice(("one", "protocol")),
    help="The clip in the middle under the centre crop, or all views of the record's test.",
)
@click.option(
    "--window", type=options.POSITIVE, metavar="SECONDS", help="See it in parts of so many seconds, one after another."
)
@click.option(
    "--annotate",
    type=options.PATH,
    metavar="OUT",
    help="Also write a copy of VIDEO (.mp4, .mov, .mkv) with the best classes over each part; of 2 s if not said.",
)
@options.with_device
@options.RUN_OPTIONS["precision"]
@click.option("--topk", default=5, show_default=True, type=options.COUNT)
@options.with_json
def command(
    videos: tuple[str, ...],
    model: str,
    window: float | None,
    annotate: Path | None,
    device: str,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Name what a model sees in videos.

    Each VIDEO is a file, a URL, a folder of videos, or a list (.txt, .csv) with a path or URL on each line. One that is
    broken is told, and the others go on; then the exit code is 1. --json prints one line for each, with its name.

    \b
    videohub predict clip.mp4 --model SLOWFAST_8x8_R50
    videohub predict videos/ https://host/clip.mp4 --model X3D_M --json
    videohub predict long.mp4 --model X3D_M --window 2 --annotate out.mp4
    videohub predict clip.mp4 --model slowfast.onnx
    """
    from videohub import onnx_model, registry
    from videohub.data.inputs import named_videos
    from videohub.prediction import predict_many
    from videohub.prediction.timeline import timelines

    network = onnx_model.load(model, device=device) if onnx_model.is_file(model) else None
    record = registry.record(model) if network is None else network.record
    used = network or record
    names = named_videos(videos, record.protocol)
    alone = [*videos] == names and len(names) == 1
    results: Iterator[Predicted | Timeline]
    if window is None and annotate is None:
        results = predict_many(names, used, device=device, **chosen)
    else:
        results = timelines(names, used, window=window or _SECONDS, annotate=annotate, device=device, **chosen)
    failed = False
    for result in results:
        if result.error is not None:
            if alone:
                raise result.error
            failed = True
            print_error(result.error)
        if as_json:
            options.print_json(_as_json(result), indent=None)
        elif result.error is None:
            _print(result, heading=not alone)
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


def print_windows(windows: Iterable[PredictedWindow]) -> None:
    """Print a table of times, in seconds, with the classes of each, best first."""
    rows = table(header=False)
    rows.add_column(justify="right", no_wrap=True, style="cyan")
    rows.add_column(justify="right", no_wrap=True, style="cyan")
    rows.add_column(overflow="fold")
    windows = list(windows)
    digits = next(
        (few for few in (1, 2) if all(abs(round(each.start, few) - each.start) < 1e-6 for each in windows)), 3
    )
    for window in windows:
        seen = (f"{one.probability:.2f} {one.label}" for one in window.predictions)
        rows.add_row(f"{window.start:.{digits}f} s", f"{window.end:.{digits}f} s", " · ".join(seen))
    console().print(rows)


def _print(result: Predicted | Timeline, *, heading: bool) -> None:
    if heading:
        console().print(styled(result.name, style="bold"))
    from videohub.prediction.timeline import Timeline

    if isinstance(result, Timeline):
        print_windows(result.windows)
    else:
        print_predictions(result.predictions)


def _as_json(result: Predicted | Timeline) -> dict[str, object]:
    if result.error is not None:
        return {"name": result.name, "error": str(result.error)}
    return {field: value for field, value in asdict(result).items() if field != "error"}

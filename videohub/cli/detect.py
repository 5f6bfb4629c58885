"""The verb detect: what the people in a video do, and where they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from videohub.terminal import options
from videohub.terminal.layout import console, table

if TYPE_CHECKING:
    from videohub.detection import Detection


@click.command("detect")
@click.argument("video")
@options.with_model
@click.option("--boxes", type=options.PATH, metavar="FILE", help="Where people are: a csv or JSON file.")
@click.option(
    "--units",
    default="pixels",
    show_default=True,
    type=click.Choice(("pixels", "fractions")),
    help="Of the boxes in FILE.",
)
@click.option("--detector", type=click.Choice(("torchvision",)), help="Who finds people, in place of FILE.")
@click.option(
    "--every",
    type=options.POSITIVE,
    metavar="SECONDS",
    help="With a detector: from one key frame to the next.  [default: 1]",
)
@click.option(
    "--threshold",
    default=0.5,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Leave out actions that are less probable.",
)
@click.option(
    "--person-threshold",
    type=click.FloatRange(0, 1),
    help="Leave out people that are less sure.  [default: as the record's test]",
)
@click.option(
    "--annotate",
    type=options.PATH,
    metavar="OUT.mp4",
    help="Write a copy of VIDEO with boxes and actions drawn over it; .mov and .mkv do, too.",
)
@options.with_checkpoint
@options.with_labels
@options.with_device
@options.with_json
def command(video: str, model: str, as_json: bool, **chosen: Any) -> None:
    """Name what the people in VIDEO, a path or a URL, do.

    Of FILE the first line names the columns: time,x1,y1,x2,y2 and perhaps score; times are seconds from the first
    frame. JSON: a list of objects with these names.

    \b
    Example:
      videohub detect clip.mp4 --model slowfast_r101_8x8_ava22 \\
        --detector torchvision --annotate seen.mp4
    """
    from videohub.detection import detect

    options.print_result(detect(video, model, **chosen), as_json, print_detections)


def print_detections(detections: Iterable[Detection]) -> None:
    """Print who does what, moment by moment; a moment and a box stand where they are new."""
    rows = table()
    for heading in ("time", "box", "score"):
        rows.add_column(heading, justify="right", no_wrap=True)
    rows.add_column("action", overflow="fold")
    before = None
    for each in detections:
        new_moment = before is None or before.time != each.time
        new_box = new_moment or before is None or before.box != each.box
        rows.add_row(
            f"{each.time:.2f}" if new_moment else "",
            " ".join(f"{side:.0f}" for side in each.box) if new_box else "",
            f"{each.score:.2f}",
            each.action,
        )
        before = each
    console().print(rows)

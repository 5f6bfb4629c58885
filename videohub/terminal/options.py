"""What several verbs share: their options, and how values are printed for a program."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import msgspec

from videohub import escaping
from videohub.terminal.layout import write

PRECISIONS = ("auto", "fp32", "tf32", "bf16", "fp16")  # of videohub.evaluation, which is not imported for a --help

with_json = click.option("--json", "as_json", is_flag=True, help="Print the same values for a program.")
with_checkpoint = click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    help="A file of your own, such as a copy of the published one, instead of its URL.",
)
with_labels = click.option(
    "--labels", metavar="FILE", help="What the outputs are called: a file of names, or a label set that is known."
)
with_device = click.option("--device", default="cpu", show_default=True, help='Where the model runs, such as "cuda".')
with_data = click.option(
    "--data", required=True, type=click.Path(path_type=Path), help="The data set's list, or the folder of its lists."
)
with_root = click.option("--root", type=click.Path(path_type=Path), help="Folder that the lists' paths start from.")
with_sample = click.option(
    "--sample", type=int, metavar="N", help="Evaluate N videos, drawn so that each class keeps its share."
)
with_decoder = click.option(
    "--decoder",
    default="fast",
    show_default=True,
    type=click.Choice(("fast", "exact")),  # of videohub.data, which is not imported for a --help either
    help="Both give the same pixels; exact makes them in the plainest way.",
)
with_workers = click.option(
    "--workers", type=click.IntRange(min=0), help="Processes that decode.  [default: what the device can use]"
)
with_seed = click.option(
    "--seed", default=0, show_default=True, help="Of what is drawn at random: a sample, or an order."
)
with_ignore = click.option(
    "--ignore", multiple=True, metavar="PATTERN", help="Published keys to leave aside knowingly."
)


@contextmanager
def told_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function that shows on stderr what is being done, how much of it is done, and of how much."""
    from tqdm import tqdm

    with tqdm(leave=False, disable=None, smoothing=0) as bar:

        def tell(what: str, done: int, of: int) -> None:
            bar.total = of
            bar.n = done
            bar.set_description(escaping.visible(what), refresh=False)
            bar.update(0)

        yield tell


def print_json(value: Any) -> None:
    """Print a value to stdout as JSON that people can read, too."""
    try:
        text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    except UnicodeEncodeError:  # a path that is no UTF-8; Python's json escapes it and reads it back
        import json

        plain = json.dumps(msgspec.to_builtins(value))
        text = json.dumps(json.loads(plain, parse_constant=lambda _: None), indent=2)  # NaN is null, as with msgspec
    write(escaping.visible_json(text, encoding=sys.stdout.encoding))

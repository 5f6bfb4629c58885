"""The verb benchmark: speed, and numbers without a verdict."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from videohub.formatting import counted, with_unit
from videohub.terminal import options
from videohub.terminal.layout import console, facts, styled

if TYPE_CHECKING:
    from videohub.formatting import Spread
    from videohub.timing import Speed

_JUDGED = ("until_decided", "shard", "retry_failed")
_OF_NOISE = ("seconds",)
_OF_DATA = ("out", *(name for name in options.RUN_OPTIONS if name not in ("device", "precision", "batch", *_JUDGED)))


@click.command("benchmark")
@options.with_name
@click.option("--data", metavar="PATH|TARS", help="A data set's list, or the folder of its lists; or tars.")
@partial(options.with_run_options, leave_out=_JUDGED)
@click.option("--out", type=options.PATH, help="Folder of the run on DATA.  [default: nothing is kept]")
@click.option(
    "--seconds",
    default=10.0,
    show_default=True,
    type=options.POSITIVE,
    help="Without DATA: how long to go on; three turns are taken in any case.",
)
@options.with_json
@click.pass_context
def command(context: click.Context, /, name: str, data: str | None, as_json: bool, **chosen: Any) -> None:
    """Measure a network and judge nothing.

    With --data: its numbers on a data set, also where none was published, and how long that takes.

    Without: its speed on frames of noise, beside the fastest that this machine could be. Nothing is fetched then, the
    weights are random; decoding and preparing frames are not part of it; AVA's see frames of 4:3 with one box.
    """
    others = _OF_DATA if data is None else _OF_NOISE
    if given := [other for other in others if context.get_parameter_source(other) is ParameterSource.COMMANDLINE]:
        raise click.UsageError(f"--{given[0]}: " + ("found no --data, which it is about" if data is None else
                                                    "is about frames of noise; leave out --data"))  # fmt: skip
    settings = {option: value for option, value in chosen.items() if option not in others}
    if data is None:
        from videohub.timing import speed

        options.print_result(speed(name, **settings), as_json, print_speed)
        return
    from videohub.evaluation import distributed
    from videohub.terminal.reports import print_evaluated
    from videohub.verification import evaluate

    evaluated = evaluate(name, data, **settings)
    if distributed.is_rank_zero():
        options.print_result(evaluated, as_json, print_evaluated)


def print_speed(speed: Speed) -> None:
    """Print what a view costs, what it takes, and how that compares with a product of matrices."""
    cores = f", {counted(speed.threads, 'thread')}" if speed.threads else ""
    console().print(styled(f"{speed.record}: {speed.device}{cores}, {speed.precision}", style="bold"))
    console().print(facts(_facts(speed)))


def _facts(speed: Speed) -> Iterator[tuple[str, str]]:
    people = f", {speed.boxes} box" if speed.boxes else ""
    yield "view", " x ".join(map(str, speed.view)) + people
    yield "parameters", f"{speed.parameters / 1e6:.1f} million"
    yield "work", f"{speed.multiply_adds / 1e9:.2f} G multiply-adds a view, as published tables count"
    yield "speed", f"{_spread(speed.views_per_second)} views a second, {speed.batch} at once, {speed.turns} turns"
    yield "a view", f"{_spread(speed.seconds)} s"
    views = counted(speed.views_per_sample, "view")
    yield f"a {speed.sample}", f"{speed.seconds_per_sample:.3g} s, {views}, without decoding and preparing its frames"
    yield (
        "beside",
        f"{100 * speed.share_of_product.median:.0f} % of the speed of a matrix product, which does "
        f"{_spread(speed.product)} G multiply-adds a second",
    )
    if speed.memory is not None:
        yield "memory", f"{with_unit(speed.memory)} on the GPU"


def _spread(spread: Spread) -> str:
    return f"{spread.median:.3g} ({spread.least:.3g} to {spread.most:.3g})"

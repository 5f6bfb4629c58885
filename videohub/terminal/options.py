"""What several verbs share: their arguments and options, what the shell offers for them, and values for a program."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import click
import msgspec

from videohub import escaping, registry, resources
from videohub.errors import VideohubError
from videohub.registry import lookup
from videohub.registry.lookup import Entry
from videohub.terminal.layout import write

_Command = TypeVar("_Command", bound=Callable[..., Any])
_Value = TypeVar("_Value")
_Complete: TypeAlias = Callable[[click.Context, click.Parameter, str], list[str]]
_Names: TypeAlias = Callable[[Mapping[str, Entry]], Iterable[str]]

PATH = click.Path(path_type=Path)
FILE = click.Path(path_type=Path, dir_okay=False)
POSITIVE = click.FloatRange(min=0, min_open=True)
COUNT = click.IntRange(min=1)

_WORD = r"[\w.-]+"  # what no shell takes for anything else


# --- what the shell offers for a name that is begun; nothing heavy is imported ---------------------------------------


def _of(names: _Names) -> _Complete:
    """Return what completes a word to one of `names` of the registry's records: in the case as typed, else in any."""

    def complete(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
        try:
            return _beginning(begun, names(_known(context).entries))
        except VideohubError:  # the verb itself will tell; here, nobody would read it
            return []

    return complete


def _known(context: click.Context) -> registry.Registry:
    return registry.default(context.find_root().params.get("registries") or (), keep=True)


def _beginning(begun: str, names: Iterable[str]) -> list[str]:
    known = [name for name in dict.fromkeys(names) if re.fullmatch(_WORD, name)]
    as_typed = [name for name in known if name.startswith(begun)]
    return as_typed or [name for name in known if name.casefold().startswith(begun.casefold())]


def _all_names(entries: Mapping[str, Entry]) -> Iterable[str]:
    aliases = (alias for entry in entries.values() for alias in entry.aliases)
    return [*entries, *aliases, *(entry.upstream_name for entry in entries.values())]


def complete_field(field: str) -> _Complete:
    """Return what completes a filter of `list`."""
    return _of(lambda entries: lookup.values(entries.values(), field))


complete_record = _of(_all_names)


def complete_layout(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """Complete a layout to write: one of the network's that `--model` names before it, of any network without."""
    try:
        known = _known(context)
        if (model := context.params.get("model")) is None:
            layouts = sorted({layout for _, layout in resources.tables(registry.files())})
        else:
            from videohub.convert import tables

            named = known.find(model)
            layouts = tables.writable(named.family, tables.arguments_of(named))
        return _beginning(begun, ["videohub", *layouts])
    except VideohubError:
        return []


# --- arguments and options -------------------------------------------------------------------------------------------

with_name = click.argument("name", shell_complete=complete_record)
with_model = click.option(
    "--model", required=True, shell_complete=complete_record, help="A record's id or upstream name, or hf://USER/MODEL."
)

with_json = click.option("--json", "as_json", is_flag=True, help="Print the same values for a program.")
with_checkpoint = click.option(
    "--checkpoint",
    type=PATH,
    help="A file of your own, such as a copy of the published one, instead of its URL; a folder where it is several.",
)
with_labels = click.option(
    "--labels", metavar="FILE", help="What the outputs are called: a file of names, or a label set that is known."
)
with_label_map = click.option(
    "--label-map",
    type=PATH,
    metavar="FILE",
    help="Which outputs are the data's classes: a JSON list of their numbers, such as label_710to400.json.",
)
with_device = click.option("--device", default="cpu", show_default=True, help='Where the model runs, such as "cuda".')
with_data = click.option(
    "--data",
    required=True,
    metavar="PATH|TARS",
    help="The data set's list, or the folder of its lists; or tars, here or at a URL.",
)
with_list = click.option(
    "--list",
    "list_file",
    type=PATH,
    metavar="FILE",
    help="The data set's list, where DATA are tars.  [default: labels beside the videos]",
)
with_root = click.option("--root", type=PATH, help="Folder that the lists' paths start from.")
with_ignore = click.option(
    "--ignore", multiple=True, metavar="PATTERN", help="Published keys to leave aside knowingly."
)

# How a run is made, in the help's order: fields of verification's Settings, which is not imported for a --help.
RUN_OPTIONS = {
    "root": with_root,
    "list_file": with_list,
    "checkpoint": with_checkpoint,
    "labels": with_labels,
    "label_map": with_label_map,
    "device": with_device,
    "clips": click.option(
        "--clips", type=int, help="Clips a video; `verify` gives no verdict on other than the protocol's."
    ),
    "crops": click.option("--crops", type=int, help="Crops a clip: 1 or 3; likewise."),
    "sample": click.option(
        "--sample", type=int, metavar="N", help="Evaluate N videos, drawn so that each class keeps its share."
    ),
    "until_decided": click.option(
        "--until-decided", type=float, metavar="LEVEL", help="Stop once the verdict is settled, such as 0.95."
    ),
    "seed": click.option(
        "--seed", default=0, show_default=True, help="Of what is drawn at random: a sample, or an order."
    ),
    "shard": click.option("--shard", metavar="I/N", help="Evaluate only this part; `videohub report` joins them."),
    "precision": click.option(
        "--precision", default="auto", show_default=True, type=click.Choice(("auto", "fp32", "tf32", "bf16", "fp16"))
    ),
    "decoder": click.option(
        "--decoder",
        default="fast",
        show_default=True,
        type=click.Choice(("fast", "exact")),
        help="Both give the same pixels; exact makes them in the plainest way.",
    ),
    "workers": click.option(
        "--workers", type=click.IntRange(min=0), help="Processes that decode.  [default: what the device can use]"
    ),
    "batch": click.option("--batch", type=COUNT, help="Views at once.  [default: what the memory holds]"),
    "retry_failed": click.option("--retry-failed", is_flag=True, help="Try again what could not be decoded before."),
}


def with_run_options(command: _Command, *, leave_out: Collection[str] = ()) -> _Command:
    """Give a verb the options of a run, but for some."""
    for name, option in reversed(RUN_OPTIONS.items()):
        if name not in leave_out:
            command = option(command)
    return command


def with_push_options(command: _Command) -> _Command:
    """Give a verb what it takes to send files to a repository of the hub."""
    options = (
        click.option("--revision", default="main", show_default=True, metavar="BRANCH", help="Of the repository."),
        click.option("--pr", "pull_request", is_flag=True, help="Open a pull request, and leave the branch as it is."),
        click.option("--dry-run", is_flag=True, help="Show the files, and ask and send nothing."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def check_one_record(names: Collection[str], checkpoint: Path | None) -> None:
    """Refuse a file of one's own for several records. Raises: click.UsageError."""
    if checkpoint is not None and len(names) > 1:
        raise click.UsageError(f"--checkpoint is one file, and {len(names)} records were named")


# --- values and progress ---------------------------------------------------------------------------------------------


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function that shows on stderr what is being done, how much of it is done, and of how much."""
    from tqdm import tqdm

    with tqdm(leave=False, disable=None, smoothing=0) as bar:

        def tell(what: str, done: int, of: int) -> None:
            bar.total = of
            bar.n = done
            bar.set_description(escaping.visible(what), refresh=False)
            bar.update(0)

        yield tell


def print_result(value: _Value, as_json: bool, for_people: Callable[[_Value], None]) -> None:
    """Print what a verb found: as JSON, or as people read it."""
    if as_json:
        print_json(value)
    else:
        for_people(value)


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """Print a value to stdout as JSON that people can read, too; without indent as a line, one of several."""
    try:
        encoded = msgspec.json.encode(value)
        text = (encoded if indent is None else msgspec.json.format(encoded, indent=indent)).decode()
    except UnicodeEncodeError:  # a path that is no UTF-8; Python's json escapes it and reads it back
        import json

        plain = json.dumps(msgspec.to_builtins(value))
        text = json.dumps(json.loads(plain, parse_constant=lambda _: None), indent=indent)  # NaN is null, as above
    write(escaping.visible_json(text, encoding=sys.stdout.encoding))

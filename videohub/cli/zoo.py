"""The zoo's verbs: list, show, fetch, convert."""

from __future__ import annotations

from pathlib import Path

import click

from videohub import registry
from videohub.cli import completion
from videohub.cli.options import print_json, with_checkpoint, with_ignore, with_json, with_labels
from videohub.registry import selection
from videohub.terminal.layout import hand_over, say, tell


@click.command("list")
@click.argument("pattern", default="*", shell_complete=completion.record)
@click.option(
    "--dataset",
    shell_complete=completion.dataset,
    help="kinetics400, ava (every version), kinetics (every one), ssv2, …",
)
@click.option(
    "--arch", shell_complete=completion.arch, help="c2d, i3d, i3d_nln, slow, slowfast, resnet; * and ? match."
)
@click.option("--depth", shell_complete=completion.depth, help="R50, R101.")
@click.option("--status", shell_complete=completion.status, help="available, unreleased, broken.")
@with_json
def list_(pattern: str, as_json: bool, **filters: str | None) -> None:
    """List the records whose name matches PATTERN (* and ? match) and that fit the filters."""
    known = registry.default()
    records = [known.records[name] for name in known.select(pattern, **filters)]
    if as_json:
        print_json(records)
    elif not records:
        tell(selection.why_none(known.records, pattern, **filters))
    else:
        from videohub.terminal import zoo as terminal

        terminal.print_records(records)


@click.command()
@click.argument("name", shell_complete=completion.record)
@with_json
def show(name: str, as_json: bool) -> None:
    """Show everything that is known of one record."""
    record = registry.record(name)
    if as_json:
        print_json(record)
    else:
        from videohub.terminal import zoo as terminal

        terminal.print_record(record, registry.default().namesakes(record))


@click.command()
@click.argument("names", nargs=-1, required=True, shell_complete=completion.record)
@with_checkpoint
@with_ignore
@with_json
def fetch(names: tuple[str, ...], checkpoint: Path | None, ignore: tuple[str, ...], as_json: bool) -> None:
    """Download, prove and convert records into the cache; prints where their weights lie."""
    from videohub import weights

    if checkpoint is not None and len(names) > 1:
        raise click.UsageError(f"--checkpoint is one file, and {len(names)} records were named")
    records = [registry.record(name) for name in names]  # all of them, before the first one takes its time
    paths = {}
    for record in records:
        paths[record.name] = str(weights.fetch(record, checkpoint=checkpoint, ignore=ignore))
        if not as_json:
            hand_over(paths[record.name])
    if as_json:
        print_json(paths)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--model", required=True, shell_complete=completion.record, help="The record whose network the file holds."
)
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--to", "layout", type=click.Choice(["videohub", "caffe2", "pyslowfast"]), default="videohub",
              show_default=True, help="Which names of tensors, in which kind of file.")  # fmt: skip
@with_labels
@with_ignore
@with_json
def convert(
    file: Path, model: str, out: Path, layout: str, labels: str | None, ignore: tuple[str, ...], as_json: bool
) -> None:
    """Read a checkpoint FILE of any known kind, prove that it is the model, and write it as another kind."""
    from videohub import weights

    record = registry.record(model)
    written = weights.convert_file(file, record, out, layout=layout, ignore=ignore, labels=labels)
    if as_json:
        print_json(written)
    else:
        say(f"{written.out}: {written.tensors} tensors of {record.name}, from {written.described}")

"""The command line: one verb, one function. Results go to stdout, progress and errors to stderr."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click
import msgspec

import videohub
from videohub import registry
from videohub.errors import VideohubError

_json = click.option("--json", "as_json", is_flag=True, help="Print the same values for a program.")
_checkpoint = click.option(
    "--checkpoint", type=click.Path(path_type=Path), help="A local copy of the published file, instead of its URL."
)
_device = click.option("--device", default="cpu", show_default=True, help='Where the model runs, such as "cuda".')
_EXITS = {"consistent": 0, "inconsistent": 1, "insufficient data": 3}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(videohub.__version__, prog_name="videohub")
@click.option("--registry", "registries", multiple=True, type=click.Path(exists=True), help="Add a registry file.")
def cli(registries: tuple[str, ...]) -> None:
    """Get, trust and re-measure published video-recognition checkpoints."""
    if bad := [path for path in registries if os.pathsep in path]:
        raise click.UsageError(f"--registry {bad[0]}: a path with {os.pathsep!r} in it cannot be added")
    if registries:
        known = [path for path in os.environ.get(registry.VARIABLE, "").split(os.pathsep) if path]
        os.environ[registry.VARIABLE] = os.pathsep.join([*known, *registries])


@cli.command("list")
@click.argument("pattern", default="*")
@click.option("--dataset", help="kinetics400, ava (every version), kinetics (every one), ssv2, …")
@click.option("--arch", help="c2d, i3d, i3d_nln, slow, slowfast, resnet; * and ? match.")
@click.option("--depth", help="R50, R101.")
@click.option("--status", help="available, unreleased, broken.")
@_json
def list_(pattern: str, as_json: bool, **filters: str | None) -> None:
    """List the records whose name matches PATTERN (* and ? match) and that fit the filters."""
    known = registry.default()
    records = [known.records[name] for name in known.select(pattern, **filters)]
    if as_json:
        _print_json(records)
    else:
        from videohub import terminal

        terminal.print_records(records)


@cli.command()
@click.argument("name")
@_json
def show(name: str, as_json: bool) -> None:
    """Show everything that is known of one record."""
    record = registry.record(name)
    if as_json:
        _print_json(record)
    else:
        from videohub import terminal

        terminal.print_record(record)


@cli.command()
@click.argument("names", nargs=-1, required=True)
@_checkpoint
@click.option("--ignore", multiple=True, metavar="PATTERN", help="Published keys to leave aside knowingly.")
@_json
def fetch(names: tuple[str, ...], checkpoint: Path | None, ignore: tuple[str, ...], as_json: bool) -> None:
    """Download, prove and convert records into the cache; prints where their weights lie."""
    from videohub import weights

    if checkpoint is not None and len(names) > 1:
        raise click.UsageError(f"--checkpoint is one file, and {len(names)} records were named")
    paths = {registry.record(name).name: str(weights.fetch(name, checkpoint=checkpoint, ignore=ignore))
             for name in names}  # fmt: skip
    if as_json:
        _print_json(paths)
    else:
        for path in paths.values():
            click.echo(path)


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--model", required=True, help="The record whose network the file holds.")
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--to", "family", type=click.Choice(["videohub", "caffe2", "pyslowfast"]), default="videohub",
              show_default=True, help="Whose names and file format to write.")  # fmt: skip
@click.option("--ignore", multiple=True, metavar="PATTERN", help="Published keys to leave aside knowingly.")
@_json
def convert(file: Path, model: str, out: Path, family: str, ignore: tuple[str, ...], as_json: bool) -> None:
    """Read a checkpoint FILE of any known kind, prove that it is the model, and write it as another kind."""
    from videohub import weights

    record = registry.record(model)
    written = weights.convert_file(file, record, out, family=family, ignore=ignore)
    if as_json:
        _print_json(written)
    else:
        click.echo(f"{written.out}: {written.tensors} tensors of {record.name}, from {written.described}")


@cli.command()
@click.argument("video", type=click.Path(path_type=Path))
@click.option("--model", required=True, help="A record's id or upstream name.")
@_checkpoint
@_device
@click.option("--topk", default=5, show_default=True, type=click.IntRange(min=1))
@_json
def predict(video: Path, model: str, checkpoint: Path | None, device: str, topk: int, as_json: bool) -> None:
    """Name what a model sees in VIDEO."""
    from videohub.prediction import predict as run

    predictions = run(video, model, topk=topk, checkpoint=checkpoint, device=device)
    if as_json:
        _print_json(predictions)
    else:
        from videohub import terminal

        terminal.print_predictions(predictions)


@cli.command()
@click.argument("name")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="A list: one `path label` a line.")
@click.option("--root", type=click.Path(path_type=Path), help="Folder of the list's paths; default: the list's own.")
@_checkpoint
@_device
@click.option("--clips", type=int, help="Clips a video; another number than the protocol's gives no verdict.")
@click.option("--crops", type=int, help="Crops a clip: 1 or 3; likewise.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for scores.npz and report.json.")
@_json
def verify(name: str, data: Path, as_json: bool, **options: Any) -> None:
    """Recompute the published accuracy of a record. Exit code: 0 consistent, 1 inconsistent, 3 insufficient data."""
    from videohub.verification import verify as run

    report = run(name, data, **options)
    if as_json:
        _print_json(report)
    else:
        from videohub import terminal

        terminal.print_report(report)
    sys.exit(_EXITS[report.verdict])


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--clips", default=320, show_default=True, type=click.IntRange(min=1), help="How many videos.")
@_json
def demo(folder: Path, clips: int, as_json: bool) -> None:
    """Write the embedded data set into FOLDER: short videos of ten motions, and their list."""
    from videohub.data import motions

    listing = str(motions.generate(folder, clips=clips))
    if as_json:
        _print_json({"list": listing, "clips": clips})
    else:
        click.echo(listing)


def main() -> None:
    """Run the command line; every expected error becomes one message and an exit code."""
    from videohub import terminal

    try:
        cli.main(standalone_mode=False)
    except VideohubError as error:
        terminal.print_error(error)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except OSError as error:  # no space, no permission, no such folder: this machine cannot do it
        terminal.print_error(error)
        sys.exit(5)


def _print_json(value: Any) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


if __name__ == "__main__":
    main()

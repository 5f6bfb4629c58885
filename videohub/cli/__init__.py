"""The command line: one verb, one function. Results go to stdout, progress and errors to stderr."""

from __future__ import annotations

import os
import sys

import click

import videohub
from videohub import registry
from videohub.cli import bundling, keeping, measuring, seeing, zoo
from videohub.errors import VideohubError


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


for _verb in (
    *(zoo.list_, zoo.show, zoo.fetch, zoo.convert),
    *(seeing.predict, seeing.demo),
    *(measuring.verify, measuring.report, measuring.compare, measuring.data),
    *(bundling.bundle, bundling.unbundle),
    keeping.cache,
):
    cli.add_command(_verb)


def main() -> None:
    """Run the command line; every expected error becomes one message and an exit code."""
    from videohub.terminal.layout import print_error

    try:
        cli.main(standalone_mode=False)
    except VideohubError as error:
        print_error(error)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except OSError as error:  # no space, no permission, no such folder: this machine cannot do it
        print_error(error)
        sys.exit(5)

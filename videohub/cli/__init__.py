"""The command line: one verb, one file, which no other place names. Results go to stdout, all else to stderr."""

from __future__ import annotations

import gc

gc.disable()  # until all that stays is imported: looking it through takes a twentieth of `videohub list`

import importlib
import os
import sys
import warnings
from collections.abc import Iterator, Mapping

import click

from videohub.errors import VideohubError
from videohub.registry import VARIABLE
from videohub.terminal import layout
from videohub.version import __version__

gc.freeze()  # no collection has to look through what is imported by now
gc.enable()


class _Verbs(Mapping[str, click.Command]):
    """The verbs by their names: each file here is one, imported when it is asked for. `list` waits for no other's."""

    def __getitem__(self, name: str) -> click.Command:
        if name not in self:
            raise KeyError(name)
        return importlib.import_module(f"{__name__}.{name}").command

    def __contains__(self, name: object) -> bool:
        return name in _names()

    def __iter__(self) -> Iterator[str]:
        return iter(_names())

    def __len__(self) -> int:
        return len(_names())


def _names() -> list[str]:
    """Return the names of the files beside this one, and of those in folders that were added to the package's path."""
    files = {file for folder in __path__ for file in os.listdir(folder)}  # pkgutil takes longer to import
    return sorted(file.removesuffix(".py") for file in files if file.endswith(".py") and file[0] != "_")


class _Nearest(click.Group):
    """Offers the nearest verb for a misspelt one, which click does by itself from 8.4 on."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            message, near = error.format_message(), get_close_matches(args[0], self.list_commands(ctx), n=1)
            if not near or "Did you mean" in message:
                raise
            raise click.UsageError(f"{message} Did you mean {near[0]!r}?", ctx) from error


@click.group(cls=_Nearest, commands=_Verbs(), context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="videohub")
@click.option("--registry", "registries", multiple=True, type=click.Path(exists=True), help="Add a registry file.")
def cli(registries: tuple[str, ...]) -> None:
    """Get, trust and re-measure published video-recognition checkpoints."""
    if bad := [path for path in registries if os.pathsep in path]:
        raise click.UsageError(f"--registry {bad[0]}: a path with {os.pathsep!r} in it cannot be added")
    if registries:
        known = [path for path in os.environ.get(VARIABLE, "").split(os.pathsep) if path]
        os.environ[VARIABLE] = os.pathsep.join([*known, *registries])


def main() -> None:
    """Run the command line; every expected error becomes one message and an exit code."""
    layout.write_anywhere()
    sys.excepthook = layout.print_crash
    with warnings.catch_warnings():
        warnings.showwarning = layout.print_warning
        try:
            cli.main(standalone_mode=False)
        except VideohubError as error:
            layout.print_error(error)
            sys.exit(error.exit_code)
        except click.ClickException as error:
            layout.print_misuse(error)
            sys.exit(error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            layout.say("interrupted", err=True)
            sys.exit(130)
        except OSError as error:  # no space, no permission, no such folder: this machine cannot do it
            layout.print_error(error)
            sys.exit(5)

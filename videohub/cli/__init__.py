"""The command line: one verb, one function. Results go to stdout, progress and errors to stderr."""

from __future__ import annotations

import gc
import os
import sys
import warnings
from collections.abc import Iterator, Mapping

import click

import videohub
from videohub import registry
from videohub.errors import VideohubError
from videohub.terminal import layout

gc.freeze()  # what is imported by now stays to the end: no collection has to look through it


class _Verbs(Mapping[str, click.Command]):
    """The verbs by their names. The file of one is imported when it is asked for: `list` waits for no other's."""

    def __getitem__(self, name: str) -> click.Command:
        for names, commands in _FILES.items():
            if name in names:
                return dict(zip(names, commands(), strict=True))[name]
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (name for names in _FILES for name in names)

    def __len__(self) -> int:
        return sum(map(len, _FILES))


def _zoo() -> tuple[click.Command, ...]:
    from videohub.cli import zoo

    return zoo.list_, zoo.show, zoo.fetch, zoo.convert


def _seeing() -> tuple[click.Command, ...]:
    from videohub.cli import seeing

    return seeing.predict, seeing.demo


def _measuring() -> tuple[click.Command, ...]:
    from videohub.cli import measuring

    return measuring.verify, measuring.report, measuring.compare, measuring.data


def _timing() -> tuple[click.Command, ...]:
    from videohub.cli import timing

    return (timing.benchmark,)


def _bundling() -> tuple[click.Command, ...]:
    from videohub.cli import bundling

    return bundling.bundle, bundling.unbundle


def _keeping() -> tuple[click.Command, ...]:
    from videohub.cli import keeping

    return (keeping.cache,)


_FILES = {
    ("list", "show", "fetch", "convert"): _zoo,
    ("predict", "demo"): _seeing,
    ("verify", "report", "compare", "data"): _measuring,
    ("benchmark",): _timing,
    ("bundle", "unbundle"): _bundling,
    ("cache",): _keeping,
}


class _Nearest(click.Group):
    """Offers the nearest verb for a misspelt one, which click does by itself from 8.4 on."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            said, near = error.format_message(), get_close_matches(args[0], self.list_commands(ctx), n=1)
            if not near or "Did you mean" in said:
                raise
            raise click.UsageError(f"{said} Did you mean {near[0]!r}?", ctx) from error


@click.group(cls=_Nearest, commands=_Verbs(), context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(videohub.__version__, prog_name="videohub")
@click.option("--registry", "registries", multiple=True, type=click.Path(exists=True), help="Add a registry file.")
def cli(registries: tuple[str, ...]) -> None:
    """Get, trust and re-measure published video-recognition checkpoints."""
    if bad := [path for path in registries if os.pathsep in path]:
        raise click.UsageError(f"--registry {bad[0]}: a path with {os.pathsep!r} in it cannot be added")
    if registries:
        known = [path for path in os.environ.get(registry.VARIABLE, "").split(os.pathsep) if path]
        os.environ[registry.VARIABLE] = os.pathsep.join([*known, *registries])


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

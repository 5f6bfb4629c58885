"""The verb cache: path, list, verify, prune, pins."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import click

from videohub.formatting import counted, with_unit
from videohub.terminal import options
from videohub.terminal.layout import coloured, console, hand_over, indented, say, styled, table
from videohub.terminal.reports import print_patch

if TYPE_CHECKING:
    from rich.table import Table

    from videohub.cache_admin.listing import CacheDir, Item, Pruned
    from videohub.cache_admin.trust import Checked, Forgotten, Pinned

_Parser: TypeAlias = Callable[[click.Context, click.Parameter, "str | None"], "float | None"]


def _amount(units: Mapping[str, float], example: str) -> _Parser:
    """Return what reads a number with a unit."""

    def read(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
        if value is None:
            return None
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([a-z]*)", value.strip().lower())
        if match is None or match[2] not in units:
            raise click.BadParameter(f"found {value!r}, expected something like {example}", ctx=ctx, param=param)
        return float(match[1]) * units[match[2]]

    return read


_age = _amount({"h": 3600, "d": 86400, "w": 7 * 86400}, "12h, 30d or 8w")
_size = _amount(
    {"": 1, "b": 1, **{prefix + end: base**power for power, prefix in enumerate("kmgt", 1)
                       for end, base in (("", 1000), ("b", 1000), ("ib", 1024))}},
    "500MB, 10GB or 10GiB",
)  # fmt: skip
_STATUSES = ["stale", "redundant", "unfinished", "damaged", "unreadable", "local", "unknown", "current"]


@click.group("cache")
def command() -> None:
    """See what is kept on this machine, check it, and make room."""


@command.command()
@options.with_json
def path(as_json: bool) -> None:
    """Print the folder that downloads and weights are kept in."""
    from videohub.cache_admin import cache_scan
    from videohub.resources import cache_home

    if as_json:
        cache_dirs = [{"path": str(cache_dir), "read_only": shared} for cache_dir, shared in cache_scan.dirs()]
        options.print_json({"path": str(cache_home()), "cache_dirs": cache_dirs})
    else:
        hand_over(str(cache_home()))


@command.command("list")
@options.with_json
def list_(as_json: bool) -> None:
    """List everything in the cache: its size, its last use, and the records it belongs to.

    \b
    current     a record would use it
    redundant   not needed any more: what is made from it is here
    stale       belongs to a record, a table or a converter as they were
    local       made from a file given with --checkpoint
    unknown     no record known here names it; perhaps one of another registry
    unfinished  a download or a conversion that was cut off
    at work     a process may be writing it
    damaged     `videohub cache verify` mends or removes it
    unreadable  another user's, who has not allowed you to read it
    """
    from videohub.cache_admin.listing import listing

    cache_dirs = listing()
    if as_json:
        options.print_json(
            {
                "size": sum(cache_dir.size for cache_dir in cache_dirs),
                "cache_dirs": [cache_dir.facts() for cache_dir in cache_dirs],
            }
        )
    else:
        print_cache(cache_dirs)


@command.command()
@options.with_json
def verify(as_json: bool) -> None:
    """Read everything again; what is damaged is made anew from what is here, or removed. Exit code 1: some was."""
    from videohub.cache_admin import trust

    checked = trust.check()
    options.print_result(checked, as_json, print_checked)
    sys.exit(1 if checked.damaged else 0)


@command.command()
@click.option(
    "--older", "older_s", callback=_age, metavar="AGE", help="What was not used for so long, such as 30d, 12h or 8w."
)
@click.option(
    "--keep",
    callback=_size,
    metavar="SIZE",
    help="Least recently used first, until the cache takes at most this, such as 10GB.",
)
@click.option("--status", "statuses", multiple=True, type=click.Choice(_STATUSES), help="As `cache list` shows it.")
@click.option("--yes", is_flag=True, help="Remove it; without this, only tell what would go.")
@options.with_json
def prune(older_s: float | None, keep: float | None, statuses: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Make room: tell what would go, and with --yes remove it.

    Several conditions narrow each other; several --status widen. What is removed can be fetched again, except what
    is `local`. Pins, read-only cache dirs and what others put into the folder are never touched.
    """
    from videohub.cache_admin import listing

    if older_s is None and keep is None and not statuses:
        raise click.UsageError(
            "say what may go: --older 30d, --keep 10GB, --status stale, or several of them.\n"
            f"  --status is one of {', '.join(_STATUSES)}; `videohub cache list` shows it."
        )
    pruned = listing.prune(older_s=older_s, keep=keep, statuses=statuses, remove=yes)
    if as_json:
        options.print_json(pruned.facts())
    else:
        print_pruned(pruned)


@command.command()
@click.option("--patch", "as_patch", is_flag=True, help="Print what fills sha256 and size in registry files.")
@click.option(
    "--forget",
    "names",
    multiple=True,
    metavar="NAME",
    shell_complete=options.complete_record,
    help="A record, a model of the hub, or a URL, to be trusted anew.",
)
@options.with_json
def pins(as_patch: bool, names: tuple[str, ...], as_json: bool) -> None:
    """Show the digests that were first seen here, of files for which nobody has published one.

    \b
    videohub cache pins --patch | git apply  puts them into the registry
    videohub cache pins --forget NAME        lets the next fetch take what comes
    """
    if as_patch and names:
        raise click.UsageError("--patch and --forget are two different things; give one of them")
    from videohub.cache_admin import trust

    if as_patch:
        options.print_result(trust.patch(), as_json, print_patch)
        return
    if not names:
        options.print_result(trust.pinned(), as_json, print_pins)
        return
    for name in names:  # all of them, before the first one is dropped
        trust.urls_of(name)
    options.print_result([one for name in names for one in trust.forget(name)], as_json, _print_forgotten)


def _print_forgotten(forgotten: Sequence[Forgotten]) -> None:
    for one in forgotten:
        if not one.was_pinned:
            say(f"{one.name}: nothing was known of {one.url}")
        elif one.sha256 is None:
            say(f"{one.name}: forgot {one.url}, whose pin was damaged")
        else:
            say(f"{one.name}: forgot {one.url}", f"  sha256 {one.sha256}, first seen {one.first_seen}")


def print_cache(cache_dirs: Sequence[CacheDir]) -> None:
    """Print what each cache dir holds, within 80 columns, with sums."""
    screen = console()
    for cache_dir in cache_dirs:
        screen.print(styled(cache_dir.path, style="bold"), "(read-only)" if cache_dir.read_only else "")
        if cache_dir.entries:
            screen.print(_entries(cache_dir.entries))
        each = ", ".join(f"{kind} {with_unit(size)}" for kind, size in cache_dir.sizes().items())
        screen.print(
            f"{counted(len(cache_dir.entries), 'entry')}, {with_unit(cache_dir.size)}" + (f": {each}" if each else ""),
            style="dim",
        )
        if cache_dir.foreign:
            names = ", ".join(item.entry.path.name for item in cache_dir.foreign[:3])
            more = f" and {len(cache_dir.foreign) - 3} more" if len(cache_dir.foreign) > 3 else ""
            screen.print(f"not ours, and never touched: {names}{more}", style="dim")
    if len(cache_dirs) > 1:
        screen.print(f"{with_unit(sum(cache_dir.size for cache_dir in cache_dirs))} in all cache dirs", style="dim")


def print_pruned(pruned: Pruned) -> None:
    """Print what was removed, or what would be."""
    screen = console()
    if pruned.chosen:
        screen.print(_entries(pruned.chosen))
    left, freed = with_unit(pruned.size_before - pruned.freed), with_unit(pruned.freed)
    entries = counted(len(pruned.chosen), "entry")
    if pruned.removed:
        screen.print(f"removed {entries}, {freed}; {left} are left")
    else:
        screen.print(f"would remove {entries}, {freed}, and leave {left}")
        screen.print("Nothing was removed; the same with --yes does it.")
    for item in pruned.busy:
        path = str(item.entry.path)
        screen.print(f"left alone, perhaps still being written: {path}", style="yellow")


def print_checked(checked: Checked) -> None:
    """Print what is damaged and what was done about it, then how much was looked at."""
    screen = console()
    for findings, style in ((checked.damaged, "red"), (checked.unchecked, "yellow")):
        for finding in findings:
            of = f" of {', '.join(finding.records)}" if finding.records else ""
            word = "damaged" if findings is checked.damaged else "not checked"
            screen.print(styled(f"{word}: {finding.kind}{of}", style=style))
            for line in (finding.path, finding.problem, *f"{finding.done}. {finding.advice}".splitlines()):
                screen.print(indented(line, overflow="fold"))
    sound = checked.checked - len(checked.damaged) - len(checked.unchecked)
    screen.print(f"{sound} sound, {len(checked.damaged)} damaged, {len(checked.unchecked)} not checked; "
                  f"read {with_unit(checked.size)}")  # fmt: skip


def print_pins(pins: Sequence[Pinned]) -> None:
    """Print each URL with what was first seen there."""
    screen = console()
    for pin in pins:
        screen.print(styled(", ".join(pin.records) or "of no record known here", style="bold"), coloured(pin.status))
        source = f", from {pin.source}" if pin.source else ""
        lines = [pin.url or "", pin.path if pin.problem else f"sha256 {pin.sha256}",
                 pin.problem or f"{with_unit(pin.size or 0)}, first seen {pin.first_seen}{source}"]  # fmt: skip
        lines += [f"in the read-only cache dir: {pin.path}"] if pin.read_only else []
        for line in filter(None, lines):
            screen.print(indented(line, overflow="fold"))
    if not pins:
        screen.print("Nothing was trusted on first use here.")


def _entries(items: Sequence[Item]) -> Table:
    """Return one line for each entry of the cache: what it is, how large, when last used, and of which records."""
    rows = table()
    rows.add_column("kind", no_wrap=True)
    rows.add_column("status", no_wrap=True)
    rows.add_column("size", no_wrap=True, justify="right")
    rows.add_column("used", no_wrap=True, justify="right")
    rows.add_column("of", overflow="fold")
    for item in items:
        of = ", ".join(item.records) or item.url or item.entry.path.name
        of += f", from {item.source}" if item.source else ""
        of += f" (known by {item.bundle} alone)" if item.bundle else ""
        size, age = with_unit(item.entry.size), _unused_for(item.age_s)
        rows.add_row(item.entry.kind, coloured(item.status), size, age, styled(of, "" if item.records else "dim"))
    return rows


def _unused_for(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return "now"

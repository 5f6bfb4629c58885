"""The verb registry: check a file of one's own, or begin one; ask the links of records."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from videohub import registry
from videohub.formatting import counted, with_unit
from videohub.terminal import options
from videohub.terminal.layout import hand_over, print_columns, say, tell

if TYPE_CHECKING:
    from videohub.cache_admin.link_probe import FirstContact, Link


@click.group("registry")
def command() -> None:
    """Check or begin a registry file; ask what lies behind links."""


@command.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@options.with_json
def check(file: Path, as_json: bool) -> None:
    """Tell everything that is wrong with a registry FILE and the key tables beside it; exits 1 if anything is."""
    from videohub.cache_admin import registry_check

    path = file.expanduser().resolve()
    checked = registry_check.check(path)
    if as_json:
        options.print_json({"file": str(path), **msgspec.structs.asdict(checked)})
    else:
        wrong = [f"{counted(len(checked.errors), 'error')}."] if checked.errors else []
        for words in (*map(str, checked.errors), *checked.notes, *wrong):
            tell(words)
        if not wrong:
            say(f"{path}: {counted(len(checked.records), 'record')}, nothing wrong")
    sys.exit(1 if checked.errors else 0)


@command.command()
@click.option("--from", "like", required=True, metavar="RECORD", shell_complete=options.complete_record,
              help="The record that yours is most like.")  # fmt: skip
@click.option("--name", help="What yours is called.  [default: my_RECORD]")
@options.with_json
def new(like: str, name: str | None, as_json: bool) -> None:
    """Print a registry file to edit, of one record, which passes the check as it is."""
    from videohub.registry import writer

    text = writer.draft(registry.default().find(like), name)
    if as_json:
        options.print_json({"text": text})
    else:
        hand_over(*text.rstrip("\n").split("\n"))


@command.command()
@click.argument("names", nargs=-1, shell_complete=options.complete_record)
@click.option("--online", is_flag=True, help="Ask; without this, only tell what would be asked.")
@click.option(
    "--fetch", is_flag=True, help="Download each file, too, hash and read it, and prove it against the network."
)
@click.option(
    "--patch",
    type=options.FILE,
    metavar="FILE",
    help="Write what the registry lacks: sizes, digests, containers, dead links.",
)
@click.option("--misfits", type=options.FILE, metavar="FILE", help="Write the list of what did not fit.")
@options.with_json
def probe(
    names: tuple[str, ...], online: bool, fetch: bool, patch: Path | None, misfits: Path | None, as_json: bool
) -> None:
    """Ask the links of records, all or those of NAMES (* and ? match), what lies there; exits 1 if anything misfits.

    Files that were fetched stay in the cache, so that what was interrupted goes on where it was.
    """
    from videohub.cache_admin import link_probe
    from videohub.files import atomic_write, check_parent_exists

    if not online and (patch or misfits):
        raise click.UsageError("--patch and --misfits tell what was found, and nothing is asked without --online")
    for named in filter(None, (patch, misfits)):
        check_parent_exists(named)
    records = _records(names)
    if not online:
        _print_plan(link_probe.links(records), fetch, as_json)
        return
    with options.progress_bar() as progress:
        contact = link_probe.probe(records, fetch=fetch, progress=progress)
    for file, text in ((patch, contact.patch.text), (misfits, "".join(f"{line}\n" for line in contact.misfits))):
        if file is not None:
            with atomic_write(file) as part:
                part.write_text(text, encoding="utf-8", newline="")
    if as_json:
        options.print_json({"links": contact.links, "misfits": contact.misfits, "patch": contact.patch})
    else:
        _print_contact(contact, patch)
    sys.exit(1 if contact.misfits else 0)


def _records(names: Sequence[str]) -> list[registry.Record]:
    """Return the records of names and patterns, each once, all of them for none."""
    known = registry.default()
    ids = [
        id_ for name in names or ("*",)
        for id_ in (known.select(name) if {"*", "?", "["} & set(name) else [known.find(name).name])
    ]  # fmt: skip
    return [known.records[id_] for id_ in dict.fromkeys(ids)]


def _print_plan(links: Sequence[Link], fetch: bool, as_json: bool) -> None:
    if as_json:
        options.print_json({"links": links})
        return
    asked = [link for link in links if link.not_asked is None]
    for link in links:
        say(f"{link.record}: {link.role}: {link.url}" + (f" (not asked: {link.not_asked})" if link.not_asked else ""))
    what = "ask each with HEAD, or for its first bytes" + (", and download, read and prove the files" if fetch else "")
    tell(f"{counted(len(asked), 'link')}; nothing was asked. The same with --online would {what}.")


def _print_contact(contact: FirstContact, patch: Path | None) -> None:
    rows = [
        (
            link.record,
            link.role,
            str(link.status or "–"),
            "–" if link.size is None else with_unit(link.size),
            link.container or "–",
            "misfit" if link.misfits else "proved" if link.proved else "there",
        )
        for link in contact.links
    ]
    fitting = sum(not link.misfits for link in contact.links)
    summary = f"{counted(len(rows), 'link')}, {fitting} without a misfit"
    if contact.patch.records:
        written = "the patch is written" if patch else "--patch FILE writes how"
        summary += f"\n{counted(len(contact.patch.records), 'record')} to change: {written}"
    print_columns(("name", "what", "status", "size", "container", "outcome"), rows, summary,
                  dispensable=("container", "what", "size"))  # fmt: skip
    for line in contact.misfits:
        say(*line.split("\n"))

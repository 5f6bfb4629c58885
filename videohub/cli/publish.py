"""The verb publish: proved weights for a repository of the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from videohub import registry
from videohub.terminal import options
from videohub.terminal.layout import say
from videohub.terminal.reports import print_patch, print_sent


@click.command("publish")
@options.with_name
@click.option("--to", "repository", required=True, metavar="ORG/REPO", help="The repository; it is made if need be.")
@options.with_checkpoint
@click.option("--right", metavar="WORDS", help="What gives you the right to, where the licence does not; on the card.")
@click.option("--patch", type=options.FILE, metavar="FILE",
              help="Where to write the patch for the registry.  [default: printed at the end]")  # fmt: skip
@options.with_push_options
@options.with_json
def command(name: str, repository: str, patch: Path | None, as_json: bool, **chosen: Any) -> None:
    """Send a record's weights to the Hugging Face hub.

    They are converted and certified. The repository gets them under videohub's names, in transformers' form where it
    has such a network, with a card, a certificate of each and their digests. The patch adds them to the record in its
    registry file. A licence that does not allow that is refused.
    """
    if patch is not None:
        from videohub.files import check_parent_exists

        check_parent_exists(patch)
        if patch.exists() and any(patch.samefile(file) for file in registry.record_files()):
            raise click.UsageError(
                f"--patch: {patch} is a registry file, expected another one, for `git apply` to read"
            )
    from videohub.publishing.published_weights import publish

    published = publish(name, repository, **chosen)
    if patch is not None:
        from videohub.files import atomic_write

        with atomic_write(patch) as part:
            part.write_text(published.patch.text, encoding="utf-8", newline="")
    if as_json:
        options.print_json(published)
        return
    for doubt in published.warnings:
        say(f"{name}: {doubt}", err=True)
    print_sent(published.sent)
    if patch is None:
        print_patch(published.patch)

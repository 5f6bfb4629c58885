"""From a record to its published file: brought here, or why it cannot be."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from videohub.errors import UnavailableError
from videohub.formatting import listed
from videohub.hub import download, sources
from videohub.log import log
from videohub.registry import model_folder
from videohub.registry.schema import Record


def published_file(record: Record) -> download.Fetched:
    """Return a record's published file, brought here if need be, and its digest.

    Raises: UnavailableError, DownloadError.
    """
    published = record.checkpoint
    if published.url is None:
        instead = f"Take {listed(record.superseded_by, 'or')}." if record.superseded_by else "\n  ".join(record.notes)
        raise UnavailableError(
            f"{record.name}: {record.upstream_name} was never released. {instead}\n"
            f"  A copy of your own goes in with {sources.CHECKPOINT_OPTION}."
        )
    if record.status == "broken":
        notes = "\n  ".join(record.notes)
        raise UnavailableError(
            f"{record.name}: the published file is reported to be broken:\n  {notes}\n"
            f"  To see for yourself, download {published.url} and pass it with {sources.CHECKPOINT_OPTION}."
        )
    if record.status == "program":
        raise UnavailableError(
            f"{record.name}: the published file is a program, which videohub does not run.\n"
            f"  {published.url} holds it; {sources.CHECKPOINT_OPTION} takes a file of the same network's weights."
        )
    if (record.status == "manual" or published.manual) and not sources.mirrors():
        raise UnavailableError(
            f"{record.name}: download {published.url} in a browser and pass the file with {sources.CHECKPOINT_OPTION}, "
            f"or keep it as {sources.path_in_mirror(published.url)} in a folder that VIDEOHUB_MIRRORS names."
        )
    fetched = download.fetch(published.url, name=record.name, sha256=published.sha256, size=published.size,
                             alternates=published.alternates)  # fmt: skip
    download.check_prefix(fetched, published.url, published.sha256_prefix, name=record.name)
    if published.sha256 is None and published.reported_sha256 not in (None, fetched.sha256):
        log.warning("%s: %s has sha256 %s, and somebody reported %s. The file is used; report what was found here.",
                    record.name, published.url, fetched.sha256, published.reported_sha256)  # fmt: skip
    others = [
        download.fetch(each.url, name=record.name, sha256=each.sha256, size=each.size) for each in published.beside
    ]
    fetched = replace(fetched, beside=tuple(others))
    return _with_shards(fetched, published.url, record) if model_folder.is_index(published.url) else fetched


def _with_shards(index: download.Fetched, url: str, record: Record) -> download.Fetched:
    """Return an index with the files that it names, which lie beside it; their digest is one of all digests."""
    parts = tuple(download.fetch(each, name=record.name) for each in model_folder.shards(index.path, url, record.name))
    sha256 = hashlib.sha256(" ".join([index.sha256, *(part.sha256 for part in parts)]).encode()).hexdigest()
    return replace(index, sha256=sha256, parts=parts)

"""In which words a report tells where weights come from: what was checked as a fact, what a file says as its claim."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote, urlsplit

from videohub.registry.schema import Checkpoint
from videohub.runs import MadeBy, WeightsFile

_HF = re.compile("hf://([^/@]+/[^/@]+)/(.+)@([^@]+)")
STATED_ONLY = "that sha256: videohub 0.1 took it from what the weights' file says of itself"


def files_of(made_by: Iterable[MadeBy]) -> list[WeightsFile]:
    """Return the files that processes read their weights from, each once."""
    return list(dict.fromkeys(one.weights for one in made_by if one.weights is not None))


def origin_of(file: WeightsFile) -> str:
    """Return what a file is, by what was checked."""
    return f"{file.name}, sha256 {file.sha256}: {_voucher(file)}"


def claim_of(file: WeightsFile) -> str | None:
    """Return what a file says of itself, as its claim; None if it says nothing that was not seen here."""
    if file.claimed_sha256 is None and file.claimed_source is None:
        return None
    return (
        f"{file.name} says that it was made from {file.claimed_source or 'a file without a name'} with sha256 "
        f"{file.claimed_sha256 or 'unknown'}"
    )


def doubt_about(file: WeightsFile, published_sha256: str | None) -> str | None:
    """Return why weights may be others than the published ones, None if something vouches for their file.

    Args:
        file: That the weights were read from.
        published_sha256: What the registry states; None: nothing.
    """
    if published_sha256 is not None and file.sha256 != published_sha256:
        doubt = (
            f"these weights were not read from the published file, which has sha256 {published_sha256[:12]}…, but from "
            f"{file.name} with {file.sha256[:12]}…"
        )
    elif file.vouched_by is None:
        doubt = f"nothing vouches for {file.name} as the published file: it was given by hand"
    elif "bundle " in file.first_seen:
        doubt = (
            f"that {file.name} is the published file is known by what brought it alone: the registry states no digest, "
            f"and it was first seen here {file.first_seen}"
        )
    else:
        return None
    claim = claim_of(file)
    return f"{doubt}; {claim}, which was not checked" if claim else doubt


def public_url(published: Checkpoint) -> str | None:
    """Return where everybody can get a published file, None if the record knows no such place.

    A path on somebody's machine is none, and who may log in with which password is not told.
    """
    for url in filter(None, (published.url, *published.alternates)):
        if of_hub := _HF.fullmatch(url):  # whose names may hold the marks of a URL
            return f"https://huggingface.co/{of_hub[1]}/blob/{quote(of_hub[3], safe='')}/{quote(of_hub[2])}"
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname:
            return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return None


def _voucher(file: WeightsFile) -> str:
    if file.vouched_by == "registry":
        return "the published file, whose digest the registry states"
    if file.vouched_by == "first use":
        return f"what its address held when it was first seen here ({file.first_seen}); the registry states no digest"
    if file.vouched_by == "registry path":
        return "the file that the registry names by its path; it states no digest"
    return "given by hand; nothing says that it is the published file"

"""Which texts are URLs that can be read, how they are shown without credentials, what patterns of them stand for."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator
from pathlib import Path

from videohub.errors import OfflineError, UsageError
from videohub.hub.sources import offline

SCHEMES = ("http", "https", "s3", "gs", "hf")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_ODD = "…"  # in the place of a host
_HOST = re.compile(r"[^@:\[\]]*(:[0-9]*)?|\[[0-9A-Fa-f:.%]*\](:[0-9]*)?")
MOST = 100_000  # names of one pattern; more is a slip
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d{1,18})\.\.(\d{1,18})")
_STAR = re.compile(r"[*?[]")


def scheme_of(text: str) -> str:
    """Return the scheme of a location in small letters, "" of a path. Raises: UsageError if nothing here reads it."""
    found = _URL.match(text)
    if found is None:
        return ""
    scheme = found[1].lower()
    if scheme not in SCHEMES:
        advice = (
            "Pass the path without file://." if scheme == "file" else "Copy the files to one of them, or to a disk."
        )
        raise UsageError(f"{shown(text)}: found {scheme}://, expected {', '.join(SCHEMES)} or a path.\n  {advice}")
    return scheme


def is_remote(text: str) -> bool:
    """Tell whether a text is a URL of a scheme that is read here: http, https, s3, gs or hf."""
    found = _URL.match(text)
    return found is not None and found[1].lower() in SCHEMES


def shown(location: str) -> str:
    """Return a location as people and files may see it: without user, password, query and fragment.

    Any of these may be a credential (`user:password@`, `?X-Amz-Signature=`, `?token=`), and none can be told from what
    is not. Two locations that differ there alone are shown alike; their size and version tell them apart.
    """
    found = _URL.match(location)
    if found is None:
        return location
    host, slash, path = re.split("[?#]", location[found.end() :], maxsplit=1)[0].partition("/")
    shown_host = _without_user(found[1], host)
    return f"{found[0]}{shown_host}{slash}{path.rpartition('@')[2] if shown_host == _ODD else path}"


def scrubbed(text: str) -> str:
    """Return a message of some library without what may be a credential in the URLs that it names."""
    text = re.sub(r"(://)[^/\s'\"?#@]*@", r"\1", text)
    text = re.sub(r"(://[^\s'\"<>)?#]*)#[^\s'\"<>)]+", r"\1#…", text)
    return re.sub(r"\?[^\s'\"<>)]+", "?…", text)


def check_online(location: str) -> None:
    """Refuse to ask for anything where connections are forbidden. Raises: OfflineError."""
    if variable := offline():
        raise OfflineError(
            f"{shown(location)}: cannot be read, for {variable} forbids connections.\n"
            "  Bring the files to this machine and pass their paths, or unset it."
        )


def check_host(location: str) -> None:
    """Refuse a URL whose host is none, as of a password with a slash in it. Raises: UsageError."""
    if shown(location).partition("://")[2].startswith(_ODD):
        raise UsageError(
            f"{shown(location)}: found no host where one should stand.\n"
            "  In a password, / is written as %2F, ? as %3F, # as %23 and @ as %40."
        )


def _without_user(scheme: str, host: str) -> str:
    """Return a host without user and password. What stands before an @ in hf:// is no user: `datasets/org/name@v1`.

    What is no host, such as `user:pass` of `user:pass/word@host`, is not told; no request takes it.
    """
    if scheme.lower() == "hf":
        return host
    host = host.rpartition("@")[2]
    return host if scheme.lower() not in ("http", "https") or _HOST.fullmatch(host) else _ODD


# --- patterns --------------------------------------------------------------------------------------------------------


def expand(pattern: str) -> list[str]:
    """Return the locations that a pattern stands for, in alphabetic order, each once.

    `{000..063}` and `{a,b}` are written out whether such files exist or not, so that who reads them can name what is
    missing. `*`, `?` and `[…]` stand for the files that are there; web servers cannot list theirs, so in http(s) a `?`
    begins the query and `*` is refused. A local file that has exactly the name is taken as it is.
    Raises: UsageError if braces hold something else, or stars find nothing; what listing a bucket raises.
    """
    scheme = scheme_of(pattern)
    if not scheme and Path(pattern).exists():
        return [pattern]
    names: set[str] = set()
    for name in _written_out(pattern):
        names.update(_found(name, scheme) if _has_stars(name, scheme) else [name])
        if len(names) > MOST:
            raise UsageError(f"{shown(pattern)}: stands for more than {MOST} files")
    return sorted(names)


def _written_out(pattern: str) -> Iterator[str]:
    """Yield a pattern with each of the alternatives of its braces."""
    braces = _BRACES.search(pattern)
    if braces is None:
        if "{" in pattern or "}" in pattern:
            raise UsageError(f"{shown(pattern)}: found a brace without its other half, expected such as {{000..063}}")
        yield pattern
        return
    for choice in _choices(braces[1], pattern):
        yield from _written_out(pattern[: braces.start()] + choice + pattern[braces.end() :])


def _choices(text: str, pattern: str) -> list[str]:
    """Return what one pair of braces stands for; numbers keep the zeros that the first is written with."""
    if bounds := _RANGE.fullmatch(text):
        first, last = int(bounds[1]), int(bounds[2])
        if not 0 <= last - first < MOST:
            raise UsageError(
                f"{shown(pattern)}: found {{{text}}}, expected two numbers in ascending order, fewer than {MOST} apart"
            )
        width = len(bounds[1]) if bounds[1].startswith("0") else 0
        return [f"{number:0{width}d}" for number in range(first, last + 1)]
    if "," not in text:
        raise UsageError(f"{shown(pattern)}: found {{{text}}}, expected such as {{000..063}} or {{a,b}}")
    return text.split(",")


def _has_stars(name: str, scheme: str) -> bool:
    """Tell whether a name is to be looked up."""
    if scheme not in ("http", "https"):
        return _STAR.search(name) is not None
    if "*" in shown(name):
        raise UsageError(
            f"{shown(name)}: found *, but a web server cannot list its files.\n"
            "  Write the names out, such as val-{000..063}.tar."
        )
    return False


def _found(name: str, scheme: str) -> list[str]:
    """Return the files that a pattern with stars finds. Raises: UsageError if there are none."""
    if scheme:
        from videohub.storage import buckets

        check_online(name)
        found = buckets.listed(name)
    else:
        found = glob.glob(name)
    if not found:
        raise UsageError(f"{shown(name)}: matches no file; check the path, and quote the pattern from your shell")
    return found

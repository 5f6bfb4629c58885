"""Which texts are URLs that can be read, and how they are shown, without what may be a credential."""

from __future__ import annotations

import re

from videohub.errors import FileChangedError, OfflineError, UsageError
from videohub.hub.sources import offline, without_user

SCHEMES = ("http", "https", "s3", "gs", "hf")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_ODD = "…"  # in the place of a host
_HOST = re.compile(r"[^@:\[\]]*(:[0-9]*)?|\[[0-9A-Fa-f:.%]*\](:[0-9]*)?")


def scheme_of(text: str) -> str:
    """Return the scheme of a location in small letters, "" of a path. Raises: UsageError if nothing here reads it."""
    match = _URL.match(text)
    if match is None:
        return ""
    scheme = match[1].lower()
    if scheme not in SCHEMES:
        advice = (
            "Pass the path without file://." if scheme == "file" else "Copy the files to one of them, or to a disk."
        )
        raise UsageError(f"{shown(text)}: found {scheme}://, expected {', '.join(SCHEMES)} or a path.\n  {advice}")
    return scheme


def is_remote(text: str) -> bool:
    """Tell whether a text is a URL of a scheme that is read here: http, https, s3, gs or hf."""
    match = _URL.match(text)
    return match is not None and match[1].lower() in SCHEMES


def shown(location: str) -> str:
    """Return a location as people and files may see it: without user, password, query and fragment.

    Any of these may be a credential (`user:password@`, `?X-Amz-Signature=`, `?token=`), and none can be told from what
    is not. Two locations that differ there alone are shown alike; their size and version tell them apart.
    """
    match = _URL.match(location)
    if match is None:
        return location
    host, slash, path = re.split("[?#]", location[match.end() :], maxsplit=1)[0].partition("/")
    shown_host = _without_user(match[1], host)
    return f"{match[0]}{shown_host}{slash}{path.rpartition('@')[2] if shown_host == _ODD else path}"


def scrubbed(text: str) -> str:
    """Return a message of some library without what may be a credential in the URLs that it names."""
    text = re.sub(r"(://[^\s'\"<>)?#]*)#[^\s'\"<>)]+", r"\1#…", without_user(text))
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


def changed(location: str, *, version: str, expected: str) -> FileChangedError:
    """Return the error for a file that is another one by now."""
    return FileChangedError(
        f"{shown(location)}: has changed: found version {version}, expected {expected}.\n"
        "  What was read of it before was of another file. Begin anew, with an output folder of its own."
    )


def _without_user(scheme: str, host: str) -> str:
    """Return a host without user and password. What stands before an @ in hf:// is no user: `datasets/org/name@v1`.

    What is no host, such as `user:pass` of `user:pass/word@host`, is not told; no request takes it.
    """
    if scheme.lower() == "hf":
        return host
    host = host.rpartition("@")[2]
    return host if scheme.lower() not in ("http", "https") or _HOST.fullmatch(host) else _ODD

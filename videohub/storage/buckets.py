"""Which files a location stands for, and under which URL one in a bucket (s3, gs) or on the hub (hf) can be read.

Credentials are found by the libraries, as they always do (environment, configuration files, the machine's role), and
signed URLs and headers are made for each request and kept nowhere. The bytes themselves come over plain HTTP, so that
all servers' faults are met in one place, `http_ranges`.
"""

from __future__ import annotations

import glob
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from videohub.errors import DownloadError, FileMissingError, UsageError
from videohub.storage.locations import check_host, check_online, scheme_of, scrubbed, shown

MOST = 100_000  # names of one pattern; more is a slip
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d{1,18})\.\.(\d{1,18})")
_STAR = re.compile(r"[*?[]")
_LED_S = 300.0  # seconds for which the hub need not be asked again where a file lies; such URLs last for an hour
_EXTRA = "pip install '.[remote]' in the repository"
_LOG_IN = {
    "s3": "Look at AWS_PROFILE, AWS_ACCESS_KEY_ID and ~/.aws; for a public bucket set FSSPEC_S3_ANON=true.",
    "gs": "Log in with `gcloud auth application-default login`; for a public bucket set FSSPEC_GS_TOKEN=anon.",
    "hf": "Log in with `hf auth login`, or set HF_TOKEN; a gated data set asks for consent on its page.",
}
_filesystems: dict[tuple[int, str], Any] = {}  # by process, for their threads and connections do not survive a fork
_touched: set[tuple[int, str]] = set()  # buckets, by process
_led_to: dict[str, tuple[Address, float]] = {}  # of files on the hub: where their content lies, and until when
_lock = Lock()


@dataclass(frozen=True)
class Address:
    """Where a file is read over HTTP; the URL and the headers may hold credentials."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)
    version: str | None = None  # of the file that is there; None: the response tells


def address_of(location: str) -> Address:
    """Return the address of a file, good for the next minutes.

    Raises: UsageError if the location is incomplete or a library is missing; FileMissingError, DownloadError.
    """
    scheme = scheme_of(location)
    if scheme in ("http", "https"):
        check_host(location)
        return Address(location)
    if scheme == "hf":
        address, until = _led_to.get(location, (None, 0.0))
        return address if address and time.monotonic() < until else _on_the_hub(location)
    path = location.partition("://")[2]
    if not all(path.partition("/")[::2]):
        raise UsageError(f"{shown(location)}: expected {scheme}://bucket/path/of/the/file")
    filesystem = _filesystem(scheme)
    with _translated(location):
        if scheme == "s3":
            _touch(filesystem, path)
            return Address(filesystem.url(path, **filesystem.req_kw))
        headers: dict[str, str] = {}
        filesystem.credentials.apply(headers)
        return Address(filesystem.url(path), headers)


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
    """Return the files that a pattern with stars finds. Raises: UsageError if there are none; as `address_of`."""
    if scheme:
        check_online(name)
        filesystem = _filesystem(scheme)
        with _translated(name):
            filesystem.invalidate_cache()
            listed = filesystem.glob(name.partition("://")[2], detail=True)
        files = [f"{scheme}://{path}" for path, what in listed.items() if what["type"] == "file"]
    else:
        files = glob.glob(name)
    if not files:
        raise UsageError(f"{shown(name)}: matches no file; check the path, and quote the pattern from your shell")
    return files


def remember(location: str, url: str, version: str) -> None:
    """Note where the hub led for a file: content under its digest, which is another address for another content.

    The hub counts requests, and would be asked for each video otherwise.
    """
    _led_to[location] = Address(url, version=version), time.monotonic() + _LED_S


def forget(location: str) -> bool:
    """Let the hub be asked again where a file lies, and return whether that was known."""
    return _led_to.pop(location, None) is not None


def refused_advice(location: str) -> str:
    """Return what to do where a server does not hand a file out."""
    advice = "Its address may be wrong or have expired, or it wants credentials; or there is no such file"
    return _LOG_IN.get(scheme_of(location), f"{advice}.")


def _touch(filesystem: Any, path: str) -> None:
    """Ask for a bucket's first file in the library's own way, which learns its region and checks the credentials."""
    bucket = (os.getpid(), path.partition("/")[0])
    if bucket not in _touched:
        filesystem.info(path, refresh=True)
        _touched.add(bucket)


def _on_the_hub(location: str) -> Address:
    """Return where a file of a repository lies behind the library's endpoint."""
    filesystem = _filesystem("hf")
    from huggingface_hub import get_token, hf_hub_url

    repository, kind, revision, file = _hub_parts(location)
    token = get_token()
    with _translated(location):
        url = hf_hub_url(repository, file, repo_type=kind, revision=revision, endpoint=filesystem.endpoint)
    return Address(url, {"Authorization": f"Bearer {token}"} if token else {})


def _hub_parts(location: str) -> tuple[str, str, str | None, str]:
    """Return repository, its kind, revision (None: the newest) and file of hf://datasets/org/name@revision/path.

    Raises: UsageError.
    """
    kinds = {"datasets": "dataset", "spaces": "space"}
    pieces = location.partition("://")[2].split("/")
    kind = kinds.get(pieces[0], "model")
    pieces = pieces[1:] if pieces[0] in kinds else pieces
    (organisation, name), file = [*pieces, "", ""][:2], "/".join(pieces[2:])
    name, _, revision = name.partition("@")
    if not (organisation and name and file) or pieces[0] == "buckets" or not {"", ".", ".."}.isdisjoint(pieces):
        raise UsageError(f"{shown(location)}: expected hf://datasets/org/name@revision/path/of/the/file")
    if revision == "refs":  # hf://datasets/org/name@refs/pr/1/file, as the library's file system has it
        revision, file = "/".join(["refs", *pieces[2:4]]), "/".join(pieces[4:])
    return f"{organisation}/{name}", kind, revision.replace("%2F", "/") or None, file


def _filesystem(scheme: str) -> Any:
    """Return this process's file system of a scheme. Raises: UsageError if its library is not installed."""
    key = (os.getpid(), scheme)
    with _lock:  # of two threads, the second would make connections that nobody closes
        if key not in _filesystems:
            try:
                if scheme == "hf":
                    from huggingface_hub import HfFileSystem

                    _filesystems[key] = HfFileSystem(skip_instance_cache=True)
                else:
                    import fsspec

                    settings = {"config_kwargs": _signing(fsspec.config.conf)} if scheme == "s3" else {}
                    _filesystems[key] = fsspec.filesystem(scheme, skip_instance_cache=True, **settings)
            except ImportError as error:
                raise UsageError(f"{scheme}:// is read by libraries that are not installed; {_EXTRA}.") from error
        return _filesystems[key]


def _signing(configured: Mapping[str, Any]) -> dict[str, Any]:
    """Return botocore's settings: as configured, and URLs signed so that every region and newer bucket takes them."""
    return {"signature_version": "s3v4", **configured.get("s3", {}).get("config_kwargs", {})}


@contextmanager
def _translated(location: str) -> Iterator[None]:
    """Turn a library's errors into ours, without the credentials that they may name."""
    try:
        yield
    except FileNotFoundError:
        raise FileMissingError(f"{shown(location)}: no such file") from None
    except _errors_of(scheme_of(location)) as error:
        raise DownloadError(
            f"{shown(location)}: cannot be had: {type(error).__name__}: {scrubbed(str(error))}\n"
            f"  {refused_advice(location)}"
        ) from None


def _errors_of(scheme: str) -> tuple[type[BaseException], ...]:
    """Return what a scheme's libraries raise, which have no ancestor in common."""
    errors: list[type[BaseException]] = [OSError, ValueError]
    if scheme == "s3":
        from botocore.exceptions import BotoCoreError, ClientError

        errors += [BotoCoreError, ClientError]
    elif scheme == "gs":
        from aiohttp import ClientError as AiohttpError
        from gcsfs.retry import HttpError
        from google.auth.exceptions import GoogleAuthError

        errors += [AiohttpError, GoogleAuthError, HttpError]
    else:
        from huggingface_hub.errors import HfHubHTTPError

        errors.append(HfHubHTTPError)
        for name in ("httpx", "httpx2"):  # beneath the library, by its version
            if name in sys.modules:
                errors.append(sys.modules[name].HTTPError)
    return tuple(errors)


def _unlock_in_child() -> None:
    """Give a forked process a lock of its own: a thread that it does not have may hold its parent's."""
    global _lock
    _lock = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock_in_child)

"""From here to a repository of the Hugging Face hub: what it holds, and one commit of several files.

The library sends, with the token that it is logged in with; `HF_ENDPOINT` and `HF_TOKEN` are honoured by it.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import msgspec

from videohub.errors import OfflineError, UploadError, UsageError, VideohubError
from videohub.hub import cache
from videohub.hub.sources import offline

_LARGEST_READ = 16 << 20  # bytes; what is read here are cards and other texts
_NAME = re.compile(r"[A-Za-z0-9]([\w.-]{0,94}\w)?/[A-Za-z0-9_]([\w.-]{0,94}\w)?(?<!\.git)(?<!\.ipc)", re.ASCII)
_REVISION = re.compile(r"(?!.*\.\.)[\w.][\w./-]{0,199}", re.ASCII)
_LARGEST_SHOWN = 1 << 20


@dataclass(frozen=True)
class Head:
    """A branch of a repository as it was when one looked: its last commit, and the files there."""

    repository: str
    revision: str
    commit: str
    files: frozenset[str]


class HubFile(msgspec.Struct, frozen=True):
    """A file for a repository: its bytes, or where they lie; and what sending it does there, in words."""

    content: bytes | Path
    change: str = "new"


class SentFile(msgspec.Struct, frozen=True):
    """A file that was sent, or would be; `text` is its content where people can read that."""

    path: str
    size: int
    sha256: str
    change: str
    text: str | None


class Sent(msgspec.Struct, frozen=True):
    """What was sent to a repository, or would be: then there is no commit."""

    repository: str
    revision: str
    commit: str | None
    url: str | None  # of the commit, or of the pull request that holds it
    files: list[SentFile]


def check(repository: str, *, revision: str = "main", pull_request: bool = False, dry_run: bool = False) -> None:
    """Refuse, before any work and without asking anybody, what can never be sent.

    Raises: UsageError for what is no name of a repository or of a branch, or a pull request for another branch; unless
        it is a dry run, OfflineError where connections are forbidden, and UploadError without a token.
    """
    if not _NAME.fullmatch(repository) or ".." in repository or "--" in repository:
        raise UsageError(f"found {repository!r:.100}, expected the name of a repository of the hub, such as org/repo")
    if not _REVISION.fullmatch(revision):
        raise UsageError(
            f"{repository}: found the revision {revision!r:.100}, expected the name of a branch, such as main"
        )
    if pull_request and revision != "main":
        raise UsageError(f"{repository}: a pull request is opened for main, and the revision is {revision!r:.100}")
    if not dry_run:
        _check_ready(repository)


def endpoint() -> str:
    """Return the address of the hub, `https://huggingface.co` unless `HF_ENDPOINT` says another."""
    from huggingface_hub import HfApi

    return str(HfApi().endpoint)


def head(repository: str, revision: str) -> Head:
    """Return what a branch holds now. Raises: UploadError, OfflineError, UsageError."""
    from huggingface_hub import HfApi

    with _told(repository, revision):
        info = HfApi().model_info(repository, revision=revision)
        return Head(repository, revision, str(info.sha), frozenset(each.rfilename for each in info.siblings or ()))


def read(of: Head, path: str) -> bytes | None:
    """Return a small file of a repository as it was, None if there is none.

    Raises: UploadError, OfflineError, UsageError.
    """
    from huggingface_hub import hf_hub_download

    if path not in of.files:
        return None
    with tempfile.TemporaryDirectory(prefix="videohub-") as folder, _told(of.repository, of.revision):
        file = Path(hf_hub_download(of.repository, path, revision=of.commit, local_dir=folder, endpoint=endpoint()))
        if (size := file.stat().st_size) > _LARGEST_READ:
            raise UploadError(f"{of.repository}: {path} has {size:,} bytes, and none above {_LARGEST_READ:,} is read")
        return file.read_bytes()


def create(repository: str) -> None:
    """Make a public repository of models unless there is one. Raises: UploadError, OfflineError, UsageError."""
    from huggingface_hub import HfApi

    with _told(repository, "main"):
        HfApi().create_repo(repository, exist_ok=True)


def send(of: Head, files: Mapping[str, HubFile], message: str, *, pull_request: bool = False) -> Sent:
    """Send files in one commit: all of them are in the repository afterwards, or none.

    Args:
        of: The repository as it was when the files were made; if it has another commit now, nothing is sent.
        files: By their path in the repository.
        pull_request: Open a pull request with it, instead of changing the branch.
    Raises: UploadError, OfflineError, UsageError.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    with _told(of.repository, of.revision):
        made = HfApi().create_commit(
            of.repository,
            [CommitOperationAdd(path, file.content) for path, file in files.items()],
            commit_message=message,
            revision=of.revision,
            parent_commit=of.commit,
            create_pr=pull_request,
        )
        return sent(of.repository, of.revision, files, commit=made.oid, url=made.pr_url or made.commit_url)


def sent(
    repository: str, revision: str, files: Mapping[str, HubFile], *, commit: str | None = None, url: str | None = None
) -> Sent:
    """Return what sending files comes to; without a commit, what it would come to."""
    return Sent(repository, revision, commit, url, [_sent(path, file) for path, file in files.items()])


def _check_ready(repository: str) -> None:
    """Refuse to send anything offline, or without a token. Raises: OfflineError, UploadError."""
    from huggingface_hub import get_token

    if variable := offline():
        raise OfflineError(
            f"{repository}: nothing can be sent, because {variable} forbids connections.\n"
            "  Unset it, or look at the files with --dry-run."
        )
    if get_token() is None:
        raise UploadError(
            f"{repository}: there is no token to write to the hub with.\n"
            "  Log in with `hf auth login`, or set HF_TOKEN to a token that may write; --dry-run needs none."
        )


@contextmanager
def _told(repository: str, revision: str) -> Iterator[None]:
    """Turn what the library raises into what happened and what to do.

    Raises: UploadError, OfflineError, UsageError.
    """
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    _check_ready(repository)
    # HTTPError of the library below, which differs between versions
    no_connection = cast(type[Exception], HfHubHTTPError.__bases__[0])
    try:
        yield
    except VideohubError:
        raise
    except HFValidationError as error:
        raise UsageError(f"{repository}, {revision}: {error}") from None
    except HfHubHTTPError as error:
        raise UploadError(_refusal(repository, revision, error)) from error
    except (no_connection, OSError, RuntimeError, ValueError) as error:
        if isinstance(error.__cause__, HfHubHTTPError):  # it was of one file among several
            raise UploadError(_refusal(repository, revision, error.__cause__, f"{error} ")) from error
        raise UploadError(
            f"{repository}: cannot be reached, or the connection ended ({error.__cause__ or error!s:.300}).\n"
            "  Run the same command again: if the commit arrived after all, it finds nothing new to send. "
            "HF_HUB_DISABLE_XET=1 sends in the older way, which more proxies let through."
        ) from error


def _refusal(repository: str, revision: str, error: Exception, about: str = "") -> str:
    """Return in words what the hub answered, and what to do."""
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    message = " ".join(f"{about}{getattr(error, 'server_message', None) or error}".split())
    whoami = "`hf auth whoami` says who you are here"
    advice = {
        400: "Nothing was committed.",
        401: f"The token is not valid, or the repository is not there for it; {whoami}, `hf auth login` changes it.",
        403: f"The token may not write there; {whoami}. --pr opens a pull request instead.",
        404: f"There is no such repository, or no {revision} in it: make it (`hf repo create {repository}`), or check "
        "the name.",
        409: "Somebody changed it in the meantime, and nothing was committed. Run the same command again.",
        412: "Somebody changed it in the meantime, and nothing was committed. Run the same command again.",
        429: "Too much was asked of the hub; try again later.",
    }
    what = advice.get(status or 0, "That is a fault of the hub's own. Run the same command again later.")
    return f"{repository}: the hub answered {status}: {message:.300}\n  {what}"


def _sent(path: str, file: HubFile) -> SentFile:
    if isinstance(file.content, bytes):
        try:
            text = file.content.decode()
        except UnicodeDecodeError:
            text = None
        return SentFile(path, len(file.content), hashlib.sha256(file.content).hexdigest(), file.change, text)
    if (size := file.content.stat().st_size) <= _LARGEST_SHOWN:
        return _sent(path, HubFile(file.content.read_bytes(), file.change))
    return SentFile(path, size, cache.sha256_of(file.content), file.change, None)

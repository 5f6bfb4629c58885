"""Files of Hugging Face repositories: huggingface_hub knows endpoint, token and its own cache; we move the bytes."""

from __future__ import annotations

from pathlib import Path

from videohub.errors import DownloadError
from videohub.hub.sources import Source, misleading


def resolve(source: Source) -> Source:
    """Return where hf://org/repo/file@revision lies: in huggingface_hub's cache, else behind a URL of its endpoint.

    `HF_ENDPOINT`, `HF_TOKEN` and `HF_HUB_CACHE` are honoured by the library.
    Raises: DownloadError if the address has no repository, file or revision.
    """
    from huggingface_hub import get_token, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    repository, file, revision = parts(source.address)
    try:
        found = try_to_load_from_cache(repository, file, revision=revision)
        if isinstance(found, str):
            return Source(Path(found).resolve().as_uri(), source.role)
        token = get_token()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return Source(hf_hub_url(repository, file, revision=revision), source.role, headers)
    except HFValidationError as error:
        raise DownloadError(f"{source.address}: {error}") from error


def parts(address: str) -> tuple[str, str, str]:
    """Return repository, file and revision of hf://org/repo/path/to/file@revision.

    Raises: DownloadError if one of them is missing, for without a revision the file could change at any time; or if
        one leads elsewhere.
    """
    path, _, revision = address.removeprefix("hf://").rpartition("@")
    pieces = path.split("/", 2)
    if len(pieces) != 3 or not revision:
        raise DownloadError(f"found {address!r:.200}, expected hf://org/repo/file@revision")
    for name in (path, revision):
        if problem := misleading(name):
            raise DownloadError(f"found {address!r:.200}, which has {problem}; expected hf://org/repo/file@revision")
    return f"{pieces[0]}/{pieces[1]}", pieces[2], revision

"""The folder of a run: made once, by whichever process comes first; all others of the same run find it there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from videohub.errors import CacheError, DataError, FileChangedError, UsageError
from videohub.files import as_json, atomic_write, check_is_no_url, claim, read_file
from videohub.runs import score_file
from videohub.runs.identity import (
    Head,
    Identity,
    MadeBy,
    ShardFile,
    Terms,
    Truth,
    canonical,
    difference,
    digest_of,
    truth_difference,
)
from videohub.runs.score_file import Writer

RUN, DATA, SCORES = "run.json", "data.json", "scores"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Run:
    """A run and the folder that keeps it."""

    folder: Path
    identity: Identity
    truth: Truth
    truth_sha256: str  # of data.json

    @property
    def terms(self) -> Terms:
        """What every entry in this folder has to agree with."""
        scoring = self.identity.scoring
        return Terms(
            run=digest_of(canonical([self.identity, self.truth_sha256])),
            names=self.truth.names,
            classes=self.identity.num_classes,
            rows=None if self.truth.by_box else scoring.clips * scoring.crops,
        )

    def done(self, *, retry_failed: bool = False) -> set[int]:
        """Return the samples that need not be made again: scored, and those that failed unless these are retried.

        Raises: DataError if a score file is damaged; the scores themselves are checked when they are joined.
        """
        terms = self.terms
        files = [score_file.read(path, terms, whole=False) for path in self.score_files()]
        entries = [entry for file in files for entry in file.entries]
        return {entry.index for entry in entries if entry.shape is not None or not retry_failed}

    def check_shards(self, shards: Sequence[ShardFile]) -> None:
        """Refuse tars that have changed since some process read them for this run.

        Raises: FileChangedError; DataError if a score file is damaged.
        """
        versions = {shard.location: shard.version for shard in shards}
        terms = self.terms
        for path in self.score_files() if versions else ():
            for shard in score_file.read(path, terms, whole=False).shards:
                if (now := versions.get(shard.location, shard.version)) != shard.version:
                    raise FileChangedError(
                        f"{self.folder}: {shard.location} has changed since scores were kept here: found version "
                        f"{now}, expected {shard.version}.\n"
                        "  Bring the former file back, or begin anew with another --out."
                    )

    def writer(self, made_by: MadeBy, shards: Sequence[ShardFile] = ()) -> Writer:
        """Return a writer with a file of its own; `shards` are the tars that samples are read from.

        Raises: CacheError if the folder cannot be written.
        """
        return Writer(self.folder / SCORES, self.terms, made_by, shards)

    def score_files(self) -> list[Path]:
        """Return the files of all who ever wrote here, by name. Raises: DataError if the folder cannot be read."""
        try:
            paths = list((self.folder / SCORES).iterdir())
        except FileNotFoundError:  # nobody wrote yet
            return []
        except OSError as error:
            raise DataError(f"{self.folder / SCORES}: cannot be read ({error.strerror or error})") from error
        return sorted(path for path in paths if path.suffix == ".scores" and not path.name.startswith("."))


class _Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What run.json holds."""

    schema_version: int
    identity: Identity
    truth_sha256: str  # of data.json


def open_run(folder: str | Path, identity: Identity, truth: Truth) -> Run:
    """Return the run that a folder keeps, which is made if there is none; many processes may do this at once.

    Raises: UsageError if the folder holds another run (with the fields that differ) or other files; DataError if its
        run.json is damaged; CacheError if it cannot be written.
    """
    check_is_no_url(folder)
    folder = Path(folder)
    if len(truth.names) != len(truth.classes):
        raise UsageError(f"found {len(truth.names)} names and {len(truth.classes)} lists of classes, expected as many")
    data = canonical(truth)
    # as they will be read: JSON knows neither tuples nor keys that are numbers
    identity = msgspec.json.decode(msgspec.json.encode(identity), type=Identity)
    ours = Run(folder, identity, msgspec.json.decode(data, type=Truth), digest_of(data))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Looked for first: whoever starts with us may write at any moment. What is hidden is of file systems, or of
        # killed writers.
        strangers = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
        if not (folder / RUN).exists():
            if strangers:
                raise UsageError(
                    f"{folder}: found {strangers[0]!r:.80} and no {RUN}, expected an empty folder or one of this run.\n"
                    "  Choose another --out."
                )
            claim(folder / RUN, as_json(_Card(SCHEMA_VERSION, ours.identity, ours.truth_sha256)))
        _refuse_another(ours, _read_card(folder))
        if not (folder / DATA).exists() or read_file(folder / DATA) != data:  # no longer what run.json vouches for
            with atomic_write(folder / DATA) as part:
                part.write_bytes(data)
    except (FileExistsError, NotADirectoryError):
        raise UsageError(f"{folder}: found a file, expected a folder to keep the scores in") from None
    except OSError as error:
        raise CacheError(f"{folder}: cannot keep a run ({error.strerror or error}); choose another --out") from error
    return ours


def read_run(folder: str | Path) -> Run:
    """Return the run that a folder keeps.

    Raises: UsageError if it keeps none; DataError if its files are damaged.
    """
    folder = Path(folder)
    if not (folder / RUN).is_file():
        raise UsageError(f"{folder}: found no {RUN}, expected the folder of a run, as `videohub verify --out` makes it")
    try:
        card = _read_card(folder)
        data = read_file(folder / DATA) if (folder / DATA).exists() else b""
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror or error})") from error
    if digest_of(data) != card.truth_sha256:
        raise DataError(
            f"{folder / DATA}: found {digest_of(data)[:12] + '…' if data else 'nothing'}, {RUN} vouches for "
            f"{card.truth_sha256[:12]}….\n"
            "  The run was killed as it began, or the file was changed: the command that made the run mends it."
        )
    try:
        truth = msgspec.json.decode(data, type=Truth)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:  # the first is not always a ValueError
        raise DataError(
            f"{folder / DATA}: cannot be understood ({error!s:.200}), and {RUN} vouches for it.\n"
            "  No videohub wrote that: bring both back from a copy, or remove the folder."
        ) from None
    return Run(folder, card.identity, truth, card.truth_sha256)


def differences(a: Run, b: Run, where: tuple[str, str]) -> list[str]:
    """Return in words why the scores of two runs cannot be joined; empty if they can."""
    messages = difference(a.identity, b.identity, where)
    return messages if messages or a.truth_sha256 == b.truth_sha256 else truth_difference(a.truth, b.truth, where)


def _read_card(folder: Path) -> _Card:
    """Return what run.json says. Raises: DataError if it cannot be understood."""
    raw = read_file(folder / RUN)
    try:
        version = msgspec.json.decode(raw, type=Head).schema_version
        if version != SCHEMA_VERSION:
            raise DataError(
                f"{folder / RUN}: a run of version {version}, and this videohub reads {SCHEMA_VERSION}.\n"
                "  Use the videohub that made it, or another --out."
            )
        card = msgspec.json.decode(raw, type=_Card)
        _ = card.identity.scoring
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:  # the first is not always a ValueError
        raise DataError(
            f"{folder / RUN}: cannot be understood ({error!s:.200}).\n"
            "  It is damaged: bring it back from a copy (every shard of a run has the same one), or remove the folder."
        ) from None
    return card


def _refuse_another(ours: Run, card: _Card) -> None:
    """Refuse a folder whose run.json is not ours. Raises: UsageError."""
    messages = difference(ours.identity, card.identity)
    if not messages and ours.truth_sha256 != card.truth_sha256:
        messages = truth_difference(ours.truth, read_run(ours.folder).truth)
    if messages:
        raise UsageError(
            f"{ours.folder}: holds another run:\n  "
            + "\n  ".join(messages)
            + "\n  Give the options that it was made with, choose another --out, or remove the folder if its "
            "scores are no longer wanted."
        )

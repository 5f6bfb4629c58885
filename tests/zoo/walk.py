"""Walk over the whole zoo: each record's network built, its file made, fetched, converted, loaded, compared.

`make test-zoo` writes `results.md` beside this; `make test-zoo PUBLISHER=torchvision` prints that publisher's alone.
"""

from __future__ import annotations

import argparse
import datetime
import logging
import os
import platform
import resource
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import msgspec
import numpy as np
import torch

import videohub
from tests.zoo import published_files
from videohub import registry
from videohub.building import build_empty
from videohub.convert import conversion, kept_weights, steps
from videohub.convert.recognition import recognise
from videohub.errors import VideohubError
from videohub.hub import cache, sources
from videohub.registry.schema import Record

RESULTS = Path(__file__).with_name("results.md")
GIANT = 700_000_000  # parameters; of larger networks the keys alone are walked, as several GB a file would take minutes
KEYS_ALONE = "keys and shapes alone, without memory"
NO_FILE = {"unreleased": "never released", "program": "a program, which is not run"}


class Mismatch(Exception):
    """A network that was loaded is not what its file holds."""


@dataclass(frozen=True)
class Outcome:
    """What became of a record."""

    record: Record  # whose checkpoint is the form that was walked
    parameters: int
    form: int = 1  # of its file, where that is published in several
    tensors: int | None = None  # in its file
    weights: str = ""
    came_in_by: str = ""  # or why it did not
    seconds: float | None = None
    failed: bool = False


def forms(record: Record) -> list[Record]:
    """Return a record for each form in which its file is published, which has that one alone."""
    files = (record.checkpoint, *record.other_checkpoints)
    return [msgspec.structs.replace(record, checkpoint=file, other_checkpoints=()) for file in files]


def check(record: Record, form: int = 1) -> Outcome:
    """Return what became of a record whose file is made in a folder, with a mirror, a cache and no connection.

    A file that is made here has another digest: digests and sizes that the record states become the made file's. One
    whose publisher's file is broken comes in as a file of one's own.
    Raises: Mismatch if the network does not hold what the file does; VideohubError if it cannot be read.
    """
    began, url = time.perf_counter(), record.checkpoint.url
    if record.status in NO_FILE or url is None:
        return Outcome(record, _parameters(record), form, came_in_by=NO_FILE[record.status])
    if _parameters(record) > GIANT:
        check_keys(record)
        return Outcome(record, _parameters(record), form, came_in_by=KEYS_ALONE)
    with tempfile.TemporaryDirectory(prefix="zoo-") as folder:
        by_hand = record.status == "broken" or url.startswith("file:")
        path = Path(folder, "mirror", "file" if by_hand else sources.path_in_mirror(url))
        path.parent.mkdir(parents=True)
        file = published_files.published_file(record)
        beside = [Path(folder, "mirror", sources.path_in_mirror(each.url)) for each in record.checkpoint.beside]
        published_files.write(file.tensors, record, path, beside)
        tensors = len(file.tensors)
        file.tensors.clear()  # before they are read again
        places = {"VIDEOHUB_HOME": f"{folder}/cache", "VIDEOHUB_MIRRORS": f"{folder}/mirror"}
        with mock.patch.dict(os.environ, {**places, "VIDEOHUB_OFFLINE": "1"}):
            stated, given = _with_digest_of(path, record), path if by_hand else None
            _check_kind(videohub.fetch(stated, checkpoint=given), record)
            state = videohub.load(stated, checkpoint=given).state_dict()
    if different := [name for name, tensor in state.items() if not torch.equal(tensor, file.expected(name))]:
        raise Mismatch(f"other weights than in its file: {', '.join(different[:5])}, {len(different)} in all")
    way = {"broken": "a file of one's own: the published one is broken", "manual": "mirror, downloaded by hand"}
    return Outcome(
        record,
        _parameters(record),
        form,
        tensors,
        f"golden, {file.golden}" if file.golden else "made up",
        way.get(record.status, "a file of one's own" if by_hand else "mirror"),
        time.perf_counter() - began,
    )


def check_keys(record: Record) -> None:
    """Check that the keys and shapes of a record's file become its network's, on the meta device.

    What such files have no place for has the values that their tables state.
    Raises: Mismatch if they do not; ConversionError.
    """
    arguments, ours = conversion.arguments_of(record), build_empty(record).state_dict()
    table = published_files.as_published(record)
    there = {name: ours[name] for name, match in table.matches(ours, to_ours=False).items() if match}
    for name, array in steps.fills(there, table, arguments, unused=False).items():
        ours[name] = torch.from_numpy(array)
    file = {key: np.broadcast_to(np.float32(0), tuple(tensor.shape)) if tensor.is_meta else tensor.numpy()
            for key, tensor in conversion.to_published(ours, table, arguments).items()}  # fmt: skip
    recognised = recognise(file, record.family, arguments)
    if recognised is None or recognised.layout != record.checkpoint.layout:
        raise Mismatch(f"its keys are not known for those of {record.checkpoint.layout}")
    state = conversion.imported(file, recognised, arguments, record.name)
    if {name: tuple(array.shape) for name, array in state.items()} != {
        name: tuple(tensor.shape) for name, tensor in ours.items()
    }:
        raise Mismatch("other names or shapes than its network has")


def _parameters(record: Record) -> int:
    return sum(parameter.numel() for parameter in build_empty(record).parameters())


def _with_digest_of(path: Path, record: Record) -> Record:
    """Return a record that states of a file what it stated of the published one."""
    stated = record.checkpoint
    sha256 = cache.sha256_of(path)
    changes = {
        "sha256": stated.sha256 and sha256,
        "size": stated.size and path.stat().st_size,
        "sha256_prefix": stated.sha256_prefix and sha256[: len(stated.sha256_prefix)],
        "reported_sha256": stated.reported_sha256 and sha256,
    }
    return msgspec.structs.replace(record, checkpoint=msgspec.structs.replace(stated, **changes))


def _check_kind(weights: Path, record: Record) -> None:
    """Raise Mismatch if a file was read as something else than its record says."""
    origin = kept_weights.origin(weights)
    kind = (origin["source_kind"], origin["layout"])
    if kind != (stated := (published_files.container_of(record), record.checkpoint.layout)):
        raise Mismatch(f"read as {kind}, and the record says {stated}")


def walk(records: Iterable[Record]) -> list[Outcome]:
    """Return what became of each form of records' files, one after the other; tells each on stderr."""
    outcomes = []
    for form, number in ((form, number) for record in records for number, form in enumerate(forms(record), start=1)):
        try:
            outcome = check(form, number)
        except (Mismatch, VideohubError) as error:
            why = textwrap.shorten(f"failed: {error}", 300)
            outcome = Outcome(form, _parameters(form), number, came_in_by=why, failed=True)
        print(row(outcome), file=sys.stderr, flush=True)
        outcomes.append(outcome)
    return outcomes


def page(outcomes: list[Outcome]) -> str:
    """Return results.md."""
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=True)
    loaded = [outcome for outcome in outcomes if outcome.tensors is not None]
    records = len({outcome.record.name for outcome in outcomes})
    golden = sum(outcome.weights.startswith("golden") for outcome in loaded)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    minutes = sum(outcome.seconds or 0 for outcome in outcomes) / 60
    lines = [
        "# Every record, loaded once",
        "",
        f"Written by `make test-zoo` on {datetime.date.today()} at {commit.stdout.strip()}:",
        f"torch {torch.__version__}, Python {platform.python_version()}, {torch.get_num_threads()} threads;",
        f"{minutes:.0f} minutes, at most {peak:.1f} GiB of memory.",
        "",
        f"{len(outcomes)} lines: one for each of {records} records, and one for each further form of its file.",
        f"{len(loaded)} of them loaded from a file that was made here, with",
        "the container, the layout and all sizes of the published one: fetched from a mirror without a connection,",
        "recognised, converted, loaded strictly, and every tensor compared bit for bit. No published file was at hand.",
        f"Of networks above {GIANT // 10**6} million parameters keys and shapes alone went this way, without memory.",
        "",
        f"In {golden} of these files the keys and shapes are those of an original network, and the weights are golden.",
        "In the others they come from our table, which shows that table and network agree, and not that the publisher",
        "spells its keys so.",
        "",
        "| record | network | parameters | file | tensors | weights | came in by | seconds |",
        "| --- " * 8 + "|",
        *map(row, outcomes),
    ]
    return "\n".join(lines) + "\n"


def row(outcome: Outcome) -> str:
    """Return one record's line."""
    record = outcome.record
    cells = (
        title(record, outcome.form),
        network(record),
        f"{outcome.parameters:,}",
        "" if outcome.tensors is None else kind(record),
        outcome.tensors or "",
        outcome.weights,
        outcome.came_in_by,
        "" if outcome.seconds is None else f"{outcome.seconds:.1f}",
    )
    return f"| {' | '.join(map(str, cells))} |"


def title(record: Record, form: int = 1) -> str:
    """Return what a form of a record's file is called in its line."""
    return f"`{record.name}`" + (f", form {form}" if form > 1 else "")


def network(record: Record) -> str:
    """Return what a record's network is called in its line."""
    return f"{record.arch} {record.depth}"


def kind(record: Record) -> str:
    """Return what a line says of a file: its container and layout."""
    return f"{published_files.container_of(record)}, {record.checkpoint.layout}"


def main() -> int:
    """Walk, and write or print what became of the records."""
    parser = argparse.ArgumentParser(prog="python -m tests.zoo.walk", description=__doc__)
    parser.add_argument("--publisher", help="a publisher's short name: its records alone, printed and not written")
    publisher = parser.parse_args().publisher
    logging.getLogger("videohub").setLevel(logging.ERROR)
    known = registry.load(registry.files()[0])
    names = known.select("*", publisher=publisher)
    outcomes = walk(known.records[name] for name in names)
    if publisher is None:
        RESULTS.write_text(page(outcomes), encoding="utf-8")
    else:
        print(page(outcomes))
    return int(any(outcome.failed for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())

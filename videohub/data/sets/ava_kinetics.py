"""AVA-Kinetics: AVA's films, and clips of Kinetics whose names say which seconds of a film they are."""

from __future__ import annotations

import re
from pathlib import Path

from videohub.data.samples import DataSet
from videohub.data.sets.ava import BEGIN, END, ClipNames, read_annotated
from videohub.errors import DataError
from videohub.registry.schema import Record

_FILM = 11  # letters of a name that is a film's alone


def read(data: Path, *, root: Path | None, record: Record) -> DataSet:
    """Read the annotated moments of a split, as mmaction2 joins the two data sets; see `read_annotated`.

    `ID_000010_000020` begins at second 10 of ID; a name of 11 letters is a film of AVA's, from second 900 on. Boxes
    stand in their file under the name without the seconds, and may leave the frame.
    """
    return read_annotated(data, root=root, record=record, names=CLIPS)


def _seconds(video: str) -> tuple[int, int]:
    """Return the seconds that a name says; of one with fewer than two underscores, those of a film."""
    if len(video) == _FILM or video.count("_") < 2:
        return BEGIN, END
    match = re.fullmatch(r".*_([0-9]{1,9})_([0-9]{1,9})", video, re.DOTALL)
    if match is None or int(match[1]) >= int(match[2]):
        raise DataError(
            f"video {video!r:.200}: expected an id of {_FILM} letters, or one with seconds, ID_000010_000020"
        )
    return int(match[1]), int(match[2])


def _proposal(moment: str) -> str:
    """Return what the file of boxes calls a moment; the original takes two parts off every longer name."""
    video, _, second = moment.rpartition(",")
    return moment if len(moment) == _FILM + len(",0902") else f"{'_'.join(video.split('_')[:-2])},{second}"


CLIPS = ClipNames(seconds=_seconds, proposal=_proposal, within=False)

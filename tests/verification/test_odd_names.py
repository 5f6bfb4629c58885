"""Names of files that are no UTF-8, from the list to the report: they are scored, kept, joined and printed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.verification import datasets
from videohub import preflight, runs
from videohub.verification import report, verify

ODD = os.fsdecode(b"caf\xe9")  # "café" in Latin-1, as old archives unpack
TEXT = "caf\\udce9"  # what stands for it where only text can


def write(path: Path, text: str) -> Path:
    path.write_bytes(os.fsencode(text))
    return path


def kinetics(folder: Path) -> tuple[Path, dict[str, Path]]:
    """Two sound videos, a broken and a missing one, all with odd names, in a folder and a list with one."""
    for number in range(2):
        datasets.video(folder / ODD / f"{ODD}{number}.mp4", number)
    (folder / ODD / f"{ODD}2.mp4").write_bytes(b"no video at all")
    return write(folder / f"{ODD}.csv", "".join(f"{ODD}/{ODD}{number}.mp4 {number}\n" for number in range(4))), {}


def ssv2(folder: Path) -> tuple[Path, dict[str, Path]]:
    """Two videos of frames with odd names, and one of which a frame is no image."""
    folder.mkdir()
    names = [datasets.frames(folder / ODD / f"{ODD}{number}", number, 12) for number in range(3)]
    (folder / ODD / names[2][3]).write_bytes(b"no image at all")
    rows = [
        f'{number} {number} {frame} {ODD}/{name} ""\n'
        for number in range(3)
        for frame, name in enumerate(names[number])
    ]
    write(folder / "val.csv", "original_vido_id video_id frame_id path labels\n" + "".join(rows))
    (folder / "labels.json").write_text(json.dumps({"a": "0"}))
    (folder / "validation.json").write_text(json.dumps([{"id": f"{number}", "template": "a"} for number in range(3)]))
    return folder, {}


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(("name", "make", "failed"), [("tiny_kinetics", kinetics, 2), ("tiny_ssv2", ssv2, 1)])
def test_a_run_takes_them_to_its_report(zoo, tmp_path, name, make, failed, workers):
    data, options = make(tmp_path / ODD)
    out = tmp_path / f"run {ODD}"
    made = verify(name, data, out=out, workers=workers, **options)
    assert (made.counts.scored, made.counts.failed) == (2, failed)
    assert TEXT in made.failures[0].reason
    assert report([out]) == made
    assert verify(name, data, out=out, workers=workers, **options).counts == made.counts  # there is nothing left to do
    written = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert written["failures"][0]["name"] == made.failures[0].name
    for page in ("report.md", "report.html"):
        text = (out / page).read_text(encoding="utf-8").replace("\\\\", "\\").replace("<wbr/>", "")
        assert made.failures[0].name in text
    assert len(runs.join([out]).entries) == made.counts.listed


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize(("name", "make", "unreadable"), [("tiny_kinetics", kinetics, 1), ("tiny_ssv2", ssv2, 0)])
def test_a_check_looks_at_them_and_remembers(zoo, tmp_path, name, make, unreadable, deep):
    data, options = make(tmp_path / ODD)
    index = tmp_path / "index.json"
    first, second = (preflight.check(name, data, deep=deep, index=index, **options) for _ in range(2))
    assert (first.listed - first.missing, first.unreadable) == (3, unreadable or deep)
    assert (second.looked_at, second.findings) == (0, first.findings)
    assert first.index == str(index)


def test_the_command_line_prints_them(zoo, tmp_path, run):
    data, _ = kinetics(tmp_path / ODD)
    for verb in (("data", "check"), ("verify",), ("benchmark",)):
        keep = ("--out", tmp_path / "out") if verb == ("verify",) else ()
        code, out, err = run(*verb, "tiny_kinetics", "--data", data, *keep)
        assert code in (0, 1, 3), err
        assert TEXT in out
        assert (out + err).encode()
        _, out, _ = run(*verb, "tiny_kinetics", "--data", data, *keep, "--json")
        assert json.loads(out)

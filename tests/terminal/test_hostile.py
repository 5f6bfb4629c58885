"""Every verb, where all that strangers may write tries to steer the terminal: nothing but text comes out."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from videohub import registry
from videohub.data.synthetic import motions
from videohub.registry import writer
from videohub.registry.schema import DatasetInfo

NAME = "slowfast_motions"

# Markup of rich; a title and colours of the terminal, by ESC and by C1; letters that run back; ends of lines and what a
# forged line would say; letters without a look.
MARKUP = "[/usr/share] [red]:smile: "
REST = "\x1b]0;t\x07\x1b[31m\x9b1m \u202egpj\u2066 \u2028\x85\r\nUsageError: forged\t\x7f\ufeff"
SAID = MARKUP + REST
FILE = SAID.replace("/", "").replace(":", "")  # as a file may be called, and stand in a list of files
LINE = re.sub("[\r\n\x85\u2028]", "", SAID)  # as a line of a list may have it
BYTES = os.fsdecode(os.fsencode(FILE) + b"\xff")  # neither need it be UTF-8
FORGED = re.compile(r"^UsageError:? forged", re.MULTILINE)

_FREE = {"upstream_name", "paper", "dataset", "split", "license", "training", "source", "config", "title", "short",
         "group"}  # fmt: skip


def written(value: Any) -> Any:
    """Return a record's part with the hostile words in every field that may hold any text."""
    changes: dict[str, Any] = {}
    for field in msgspec.structs.fields(value):
        part = getattr(value, field.name)
        if isinstance(part, msgspec.Struct):
            changes[field.name] = written(part)
        elif field.name in _FREE:
            changes[field.name] = SAID
    return msgspec.structs.replace(value, **changes)


def test_no_field_of_a_record_that_may_hold_any_text_is_left_out():
    free = set()
    for struct in (registry.Record, registry.Protocol, registry.Checkpoint, registry.Published, DatasetInfo):
        free |= {field.name for field in msgspec.structs.fields(struct) if field.type in (str, str | None)}
    # the rest are names of records, tables and metrics, which have to be known, and addresses, which are checked
    assert free - _FREE == {"name", "layout", "metric", "pretrain", "url"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a registry, weights, a data set and files, all of them hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    ours = registry.load(registry.resources.registry_file()).records[NAME]
    record = written(ours)
    protocol = msgspec.structs.replace(record.protocol, name=SAID)
    published = msgspec.structs.replace(record.number, as_printed={SAID: 12.0})
    record = msgspec.structs.replace(
        record,
        name="hostile",
        protocol=protocol,
        dataset=msgspec.structs.replace(record.dataset, name=SAID),
        published=(published,),
        notes=[SAID, SAID],
    )
    gone = msgspec.structs.replace(
        record, name="gone",
        upstream_name="GONE", status="unreleased",
        checkpoint=msgspec.structs.replace(record.checkpoint, url=None),
    )  # fmt: skip
    names = tuple(f"{SAID} {number}" for number in range(10))
    named = msgspec.structs.replace(record, name="named", upstream_name="NAMED", labels=names)
    shutil.copy(ours.checkpoint.url.removeprefix("file://"), folder)
    (folder / f"{FILE}.yaml").write_text(writer.text([record, gone, named]), encoding="utf-8")

    listing = motions.generate(folder / "good", clips=10)
    names = [line.split() for line in listing.read_text().splitlines()]
    data = folder / f"{FILE} data"
    for place, (name, label) in enumerate(names[:4]):
        into = data / motions.CLASSES[int(label)]
        into.mkdir(parents=True, exist_ok=True)
        shutil.copy(listing.parent / name, into / f"{place} {BYTES if place % 2 else FILE}.mp4")
    (into / f"broken {BYTES}.mp4").write_bytes(b"no video")
    (into / f"{FILE}.txt").write_text("no video either")
    return folder


@pytest.fixture
def screen(place, run, monkeypatch, tmp_path):
    """Run the command line at a terminal without colours; check what comes out, and return it with the exit code."""
    for name in ("VIDEOHUB_CACHE_RO", "VIDEOHUB_MIRRORS", "VIDEOHUB_OFFLINE", "HF_HUB_OFFLINE", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VIDEOHUB_REGISTRY", str(place / f"{FILE}.yaml"))
    monkeypatch.setenv("VIDEOHUB_HOME", str(place / f"{FILE} cache"))
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)

    def see(*arguments: object) -> tuple[int, str]:
        for stream in (sys.stdout, sys.stderr):
            monkeypatch.setattr(stream, "isatty", lambda: True)
        code, out, err = run(*arguments)
        for text, allowed in ((out, "\n"), (err.replace("\x1b[A", ""), "\n\r")):  # bars go back to a line's beginning
            odd = {letter for letter in text if not (letter.isprintable() or letter in allowed)} - set("\u00a0")
            assert not odd, (arguments, odd, text)
            assert not FORGED.search(text), text
        assert not re.search(r"[ \t]$", out, re.MULTILINE), "lines that end with blanks"
        if "--json" in arguments and (out or code == 0):  # an error has none
            json.loads(out)
        return code, out if "--json" in arguments and code == 0 else out + err

    return see


def test_looking_at_a_zoo(screen, monkeypatch):
    shown = REST.encode("unicode_escape").decode()
    assert screen("list")[0] == 0
    monkeypatch.setenv("COLUMNS", "1000")  # on a narrow one the data set has no column
    assert shown in screen("list")[1]
    monkeypatch.setenv("COLUMNS", "80")
    for verb in (["list", "--json"], ["list", "--dataset", SAID], ["list", "--dataset", SAID, "--status", "broken"],
                 ["show", "hostile"], ["show", "gone"], ["show", "named"],
                 ["show", "hostile", "--json"], ["show", SAID]):  # fmt: skip
        assert screen(*verb)[0] == 0, verb
    messages = "".join(screen("show", "hostile")[1].split())
    assert r"[/usr/share][red]:smile:\x1b]0;t\x07\x1b[31m\x9b1m\u202egpj\u2066" in messages
    shown = json.loads(screen("show", "hostile", "--json")[1])
    assert shown["notes"] == [SAID, SAID]  # JSON says the same
    assert shown["protocol"]["name"] == SAID
    for verb in (["list", f"{SAID}*"], ["list", "hostile", "--dataset", "k400"]):
        assert screen(*verb)[0] == 0
    for verb in (["show", f"{SAID}x"], ["list", "--dataset", f"{SAID}x"], ["list", "--depth", f"{SAID}x"]):
        code, messages = screen(*verb)
        assert (code, r"\x1b" in messages) == (2, True)


def test_misuse(screen, place):
    for verb in ([f"no {SAID}"], [f"--{SAID}"], ["--registry", f"{place}/{SAID}", "list"],
                 ["show", "hostile", f"--{SAID}"],
                 ["cache", "prune", "--status", SAID], ["cache", "prune", "--older", SAID], ["data", f"no {SAID}"],
                 ["verify", "hostile", "--data", "x", "--shard", SAID], ["verify", "hostile", "--data", f"no {FILE}"],
                 ["predict", f"no {FILE}", "--model", SAID], ["benchmark", "hostile", "--device", SAID],
                 ["convert", f"no {FILE}", "--model", "hostile", "-o", "x"],
                 ["cache", "pins", "--forget", f"no {SAID}"],
                 ["report", f"no {FILE}"], ["unbundle", f"no {FILE}"], ["bundle", f"no {SAID}", "-o", FILE],
                 ["fetch", "gone"], ["fetch", f"no {SAID}"]):  # fmt: skip
        code, messages = screen(*verb)
        assert code > 0, verb
        assert r"\u202e" in messages, verb


def test_files_and_the_cache(screen, place):
    assert screen("fetch", "hostile")[0] == 0
    assert screen("fetch", "hostile", "--json")[0] == 0
    weights = place / "SLOWFAST_MOTIONS.pkl"
    odd = place / f"{BYTES}.pkl"
    shutil.copy(weights, odd)
    for form in ("videohub", "caffe2", "pyslowfast"):
        assert screen("convert", odd, "--model", "hostile", "-o", f"{form} {BYTES}", "--to", form)[0] == 0
    assert screen("convert", odd, "--model", "hostile", "-o", f"{BYTES}", "--json")[0] == 0
    odd.write_bytes(SAID.encode())
    assert screen("convert", odd, "--model", "hostile", "-o", "x")[0] > 0
    assert screen("bundle", "hostile", "-o", f"{FILE}.tar")[0] == 0
    assert screen("bundle", "hostile", "-o", f"{FILE}.tar", "--json")[0] == 0
    assert screen("unbundle", f"{FILE}.tar")[0] == 0
    home = place / f"{FILE} cache"
    (home / "converted" / BYTES).write_text("a stranger's")
    (home / BYTES).write_text("a stranger's")
    for verb in ("path", "list", "verify", "pins"):
        screen("cache", verb)
        screen("cache", verb, "--json")
    assert screen("cache", "pins", "--patch")[0] == 0
    assert screen("cache", "prune", "--older", "0h")[0] == 0
    assert screen("demo", place / f"{BYTES} demo", "--clips", 1)[0] == 0


@pytest.mark.slow
def test_measuring(screen, place):
    data, run = place / f"{FILE} data", place / f"{BYTES} run"
    code, messages = screen("data", "check", "hostile", "--data", data, "--deep")
    assert code == 0  # usable, with remarks
    assert r"\u202e" in messages
    screen("data", "check", "hostile", "--data", data, "--json")
    for out, options in ((run, []), (place / f"{FILE} other", ["--clips", "1", "--json"])):
        code, messages = screen("verify", "hostile", "--data", data, "--out", out, "--workers", "0", *options)
        assert code == 3
        assert r"\u202e" in messages
    assert screen("report", run)[0] == 3
    assert screen("report", run, "--json", "--card", place / f"{BYTES} card")[0] == 3
    assert screen("compare", run, place / f"{FILE} other")[0] == 0
    assert screen("compare", run, place / f"{FILE} other", "--json")[0] == 0
    assert screen("compare", run, place / f"no {FILE}")[0] > 0
    assert screen("benchmark", "hostile", "--data", data, "--clips", "1", "--crops", "1")[0] == 0
    assert screen("benchmark", "hostile", "--seconds", "0.01")[0] == 0
    *_, video, broken = sorted(data.rglob("*.mp4"), key=lambda path: path.name)
    assert screen("predict", video, "--model", "hostile")[0] == 0
    assert screen("predict", video, "--model", "hostile", "--json")[0] == 0
    code, messages = screen("predict", video, "--model", "named")
    assert (code, r"\u202e" in messages) == (0, True)
    result = json.loads(screen("predict", video, "--model", "named", "--json")[1])
    assert SAID in result["predictions"][0]["label"]
    assert screen("predict", broken, "--model", "hostile")[0] == 3


@pytest.mark.parametrize(
    "lines", [[f"gone {n} {LINE} {n}" for n in range(8)], [LINE], [f"{LINE},{LINE}"], [f'"{LINE}'], [f"a.mp4 {LINE}"]],
    ids=["missing", "one word", "a comma", "a quote", "no number"],
)  # fmt: skip
def test_lists_of_a_data_set(screen, place, tmp_path, lines):
    for data in (tmp_path / f"{FILE}.csv", tmp_path / f"{FILE}.txt"):
        data.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        check, verify = ["data", "check", "hostile", "--data", data], ["verify", "hostile", "--data", data]
        for verb in (check, [*check, "--json"], [*verify, "--workers", "0", "--out", tmp_path / f"{FILE} run"]):
            code, messages = screen(*verb)
            assert code in (2, 3)
            assert r"\u202e" in messages

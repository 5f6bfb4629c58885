"""Output for people, wherever it goes: an old terminal, a pipe, a script."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from tests.own_registry import like, write_registry
from videohub.cli.predict import print_predictions
from videohub.prediction import Prediction
from videohub.terminal import layout


class Pipe(io.TextIOWrapper):
    """A stream of another encoding than UTF-8, which keeps what it was given."""

    def __init__(self, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding=encoding)

    def text(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode(self.encoding)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_bars_are_of_ascii_where_the_encoding_has_no_blocks(monkeypatch, encoding):
    monkeypatch.setattr(sys, "stdout", out := Pipe(encoding))
    monkeypatch.setattr(sys, "stderr", err := Pipe(encoding))
    layout.write_anywhere()
    print_predictions([Prediction("日本 – naïve", 0.5, 0)])
    layout.print_error(ValueError("10 × 3 …"))
    dot, dash, naive, times, more = {
        "ascii": (".", "-", "na\\xefve", "x", "..."),
        "cp1252": ("·", "–", "naïve", "×", "…"),
        "latin-1": ("·", "-", "naïve", "×", "..."),
    }[encoding]
    assert out.text() == f"0.5000  {'#' * 10}{dot * 10}  \\u65e5\\u672c {dash} {naive}\n"
    assert err.text() == f"ValueError: 10 {times} 3 {more}\n"


def test_a_terminal_that_knows_all_letters_gets_them(monkeypatch):
    monkeypatch.setattr(sys, "stdout", out := Pipe("utf-8"))
    layout.write_anywhere()
    print_predictions([Prediction("日本", 0.5, 0), Prediction("b", 0.25, 1)])
    assert out.text() == f"0.5000  {'█' * 10}{'·' * 10}  日本\n0.2500  {'█' * 5}{'·' * 15}  b\n"


@pytest.mark.parametrize(
    "environment",
    [{"PYTHONIOENCODING": "cp1252"}, {"PYTHONIOENCODING": "ascii"},
     {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}],
    ids=["cp1252", "ascii", "C"],
)  # fmt: skip
def test_every_letter_of_a_registry_can_be_written_into_a_pipe(tmp_path, environment):
    note = "Größe × 3 – 日本 👍"
    write_registry(tmp_path / "ours.yaml", like("slow_r50_4x16", name="ours", training=note))
    command = [sys.executable, "-m", "videohub", "show", "ours"]
    printed = {}
    for json_too in ([], ["--json"]):
        done = subprocess.run(
            [*command, *json_too],
            env={**os.environ, **environment, "VIDEOHUB_REGISTRY": str(tmp_path / "ours.yaml"), "COLUMNS": "80"},
            capture_output=True,
        )
        assert (done.returncode, done.stderr) == (0, b"")
        printed[bool(json_too)] = done.stdout
    assert json.loads(printed[True].decode("latin-1"))["training"] == note
    assert b"\\u65e5\\u672c \\U0001f44d" in printed[False]


@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["show", "slow_r50_8x8"]])
def test_where_nobody_reads_on_the_exit_code_is_no_verdict(arguments):
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, "wb") as nobody:
        command = [sys.executable, "-m", "videohub", *arguments]
        done = subprocess.run(command, stdout=nobody, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_script_gets_the_bytes_of_a_path_and_a_screen_what_can_be_shown(run, monkeypatch, tmp_path, capsys):
    odd = os.fsdecode(b"\xff\x1b[31m\n")
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path / odd))
    done = subprocess.run([sys.executable, "-m", "videohub", "cache", "path"], check=True, capture_output=True)
    assert done.stdout == os.fsencode(tmp_path) + b"/\xff\x1b[31m\n\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert run("cache", "path")[1] == f"{tmp_path}/\\udcff\\x1b[31m\\n\n"


def test_a_warning_of_a_library_is_shown_and_not_obeyed(run, monkeypatch, capsys):
    from videohub import registry

    def warned(*arguments: object) -> registry.Record:
        warnings.warn("\x1b[31mold\nand odd", UserWarning, stacklevel=1)
        return record

    record = registry.record("slow_r50_8x8")
    monkeypatch.setattr(registry, "record", warned)
    code, _, err = run("show", "slow_r50_8x8")
    assert code == 0
    assert err.startswith(f"{Path(__file__)}:")
    assert err.endswith(": UserWarning: \\x1b[31mold\n  and odd\n")


def test_an_unforeseen_error_is_shown_and_not_obeyed():
    code = (
        "import sys; from videohub import registry; from videohub.cli import main; sys.argv = ['videohub', 'list']\n"
        "def broken(**options): raise RuntimeError('\\x1b[31ma\\nb\\u202e' + 'x' * 9_999_999)\n"
        "registry.default = broken\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert "\n  RuntimeError: \\x1b[31ma\n  b\\u202exxx" in done.stderr
    assert done.stderr.endswith("what `videohub doctor` says.\n")
    assert len(done.stderr) < 5_000


def test_an_error_is_cut_to_what_can_be_read(run, monkeypatch):
    code, _, err = run("show", "x" * 1_000_000)
    assert (code, len(err) < 2_000) == (2, True)
    assert "more letters) …" in err
    assert err.endswith("`videohub list` shows all names.\n")


ROWS = [("slow_r50", "74.8", "32.5M", "available"), ("c2d", "67.2", "24.3M", "broken")]


@pytest.mark.parametrize(
    ("columns", "first", "last"),
    [
        ("31", "slow_r50 74.8  32.5M  available", "two records"),  # 8 + 5 + 6 + 9 letters and 3 blanks
        ("30", "slow_r50 32.5M  available", "in a wider terminal: top-1"),
    ],
)
def test_columns_go_until_the_rest_fits_and_the_summary_tells_which(monkeypatch, capsys, columns, first, last):
    monkeypatch.setenv("COLUMNS", columns)
    layout.print_columns(("name", "top-1", "params", "status"), ROWS, "two records", dispensable=["top-1"])
    lines = capsys.readouterr().out.splitlines()
    assert (lines[1], lines[-1]) == (first, last)


def test_where_nothing_makes_columns_fit_none_goes(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "12")
    layout.print_columns(("name", "top-1", "params", "status"), ROWS, "two records", dispensable=["top-1", "params"])
    assert capsys.readouterr().out.splitlines()[0].split() == ["name", "top-1", "params", "status"]

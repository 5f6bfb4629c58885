"""A number can be cited: its document is the same each time, and the scores bear it out or name what is not so."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import jsonschema
import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from tests.reporting.kept import kept, process, record, views
from videohub import registry, runs, verification
from videohub.cli import cli
from videohub.errors import DataError, UsageError
from videohub.reporting import pages, verification_file
from videohub.reporting.verification_file import Verification
from videohub.verification.results import build

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "schemas" / "verification.schema.json"
MOTIONS = "slowfast_motions"


@pytest.fixture
def run(tmp_path) -> Path:
    """The folder of a run of the demo's record, with its report: 30 of 40 videos right, one failed."""
    of = registry.record(MOTIONS)
    samples = [(f"v{n}", [0], scores(right=n < 30)) for n in range(40)] + [("broken", [0], "no such file")]
    kept(tmp_path / "run", of, samples)
    pages.write(verification.report([tmp_path / "run"]), tmp_path / "run")
    return tmp_path / "run"


def scores(*, right: bool) -> np.ndarray:
    protocol = registry.record(MOTIONS).protocol
    order = tuple(range(10)) if right else (1, 0, *range(2, 10))
    return views(*[order] * protocol.num_views)


def document(run: Path) -> dict:
    return json.loads((run / verification_file.NAME).read_bytes())


def replayed(file: Path, *folders: Path) -> tuple[int, dict]:
    done = CliRunner().invoke(cli, ["report", *map(str, folders), "--replay", str(file), "--json"])
    return done.exit_code, json.loads(done.stdout)


def test_the_document_says_what_was_measured_and_on_what(run):
    text = document(run)
    assert text["model"] == {"record": MOTIONS, "upstream_name": registry.record(MOTIONS).upstream_name,
                             "publisher": registry.record(MOTIONS).publisher,
                             "paper": registry.record(MOTIONS).paper}  # fmt: skip
    assert text["weights"]["sha256"] == "ab" * 32
    assert [file["sha256"] for file in text["weights"]["files"]] == ["99" * 32]
    assert text["data"]["counts"] == {"listed": 41, "chosen": 41, "scored": 40, "failed": 1, "pending": 0}
    assert text["numbers"][0]["recomputed"] == 75.0  # 30 of 40
    assert (text["interval_level"], text["precision"], text["decoder"]) == (0.95, "fp32", "fast")
    assert text["made_by"][0]["software"] == {"videohub": "1.2.3", "torch": "2.6.0"}
    assert text["protocol"]["pixels"], "the steps themselves"


def test_the_same_run_gives_the_same_bytes_wherever_it_lies(run, tmp_path):
    before = (run / verification_file.NAME).read_bytes()
    shutil.copytree(run, tmp_path / "elsewhere")
    pages.write(verification.report([tmp_path / "elsewhere"]), tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere" / verification_file.NAME).read_bytes() == before
    assert str(tmp_path).encode() not in before


def test_the_digest_of_the_scores_is_what_the_document_says_it_is(tmp_path):
    """By another way of writing the same rule; which process kept a sample, and in which order, does not matter."""
    good = views((0, 1, 2, 3), (0, 1, 2, 3))
    kept(tmp_path / "run", of := record(), [("é", [0], good), ("failed", [0], "no file"), ("pending", [0], None)])
    expected = hashlib.sha256(
        hashlib.sha256(f'[0,"é","{"ef" * 32}",null,[2,4]]\n'.encode() + good.astype("<f4").tobytes()).digest()
        + hashlib.sha256(b'[1,"failed",null,"no file",null]\n').digest()
    ).hexdigest()
    assert runs.join([tmp_path / "run"]).scores_sha256() == expected
    assert build(runs.join([tmp_path / "run"]), of).scores_sha256 == expected
    first, second = runs.open_run(tmp_path / "run", *identity(tmp_path / "run")), tmp_path / "two"
    other = runs.open_run(second, first.identity, first.truth)
    with other.writer(process(shard="1/2")) as writer:
        writer.fail(1, "failed", "no file")
    with other.writer(process(shard="2/2")) as writer:
        writer.append(0, "é", "ef" * 32, good)
    assert runs.join([second]).scores_sha256() == expected


def identity(folder: Path) -> tuple[runs.Identity, runs.Truth]:
    run = runs.read_run(folder)
    return run.identity, run.truth


def test_what_the_scores_bear_out_is_told_with_how_much_was_compared(run):
    code, text = replayed(run / verification_file.NAME, run)
    assert (code, text["differences"]) == (0, [])
    assert text["compared"]["numbers"] == 10 * len(document(run)["numbers"])  # eight fields, two of them pairs
    assert text["compared"]["scores_sha256"] == 1
    shown = CliRunner().invoke(cli, ["report", str(run), "--replay", str(run)])
    assert shown.exit_code == 0
    assert "top-1" in shown.stdout
    assert "every field is what the scores give" in shown.stdout


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("numbers[0].recomputed", lambda said: said["numbers"][0].update(recomputed=75.01)),
        ("numbers[0].interval[1]", lambda said: said["numbers"][0]["interval"].__setitem__(1, 99.0)),
        ("numbers[0].published", lambda said: said["numbers"][0].update(published=75.0)),
        ("numbers[0].answer", lambda said: said["numbers"][0].update(answer="consistent")),
        ("verdict", lambda said: said.update(verdict="consistent")),
        ("data.counts.failed", lambda said: said["data"]["counts"].update(failed=0)),
        ("data.sha256", lambda said: said["data"].update(sha256="00" * 32)),
        ("weights.sha256", lambda said: said["weights"].update(sha256="00" * 32)),
        ("weights.files[0].vouched_by", lambda said: said["weights"]["files"][0].update(vouched_by="registry")),
        ("protocol.views.clips", lambda said: said["protocol"]["views"].update(clips=99)),
        ("made_by[0].device", lambda said: said["made_by"][0].update(device="cpu")),
        ("made_by[0].software.numpy", lambda said: said["made_by"][0]["software"].update(numpy="9")),
        ("rule", lambda said: said.update(rule="always consistent")),
        ("scores_sha256", lambda said: said.update(scores_sha256="00" * 32)),
        ("model.publisher", lambda said: said["model"].update(publisher="somebody else")),
    ],
)
def test_each_field_that_was_changed_is_named(run, tmp_path, field, change):
    said = document(run)
    change(said)
    (tmp_path / "changed.json").write_text(json.dumps(said))
    code, answer = replayed(tmp_path / "changed.json", run)
    assert code == 1
    assert [each["field"] for each in answer["differences"]] == [field]


def test_numbers_are_recomputed_from_the_scores_and_not_taken_from_a_report(run):
    for name in (verification_file.NAME, "report.json"):
        text = (run / name).read_text()
        assert '"recomputed": 75.0' in text
        (run / name).write_text(text.replace('"recomputed": 75.0', '"recomputed": 77.5'))
    code, words = replayed(run / verification_file.NAME, run)
    assert code == 1
    assert words["differences"] == [{"field": "numbers[0].recomputed", "stated": "77.5", "recomputed": "75.0"}]


def test_other_scores_of_the_same_run_are_told_as_such(run, tmp_path):
    joined = runs.join([run])
    other = runs.open_run(tmp_path / "other", joined.identity, joined.truth)
    with other.writer(joined.made_by[0]) as writer:
        for entry in joined.entries.values():
            if entry.scores is None:
                writer.fail(entry.index, entry.name, entry.failure or "")
            else:
                writer.append(entry.index, entry.name, entry.views, scores(right=True))
    code, text = replayed(run / verification_file.NAME, tmp_path / "other")
    fields = {each["field"]: each["recomputed"] for each in text["differences"]}
    assert code == 1
    assert fields["numbers[0].recomputed"] == "100.0"
    assert "scores_sha256" in fields


def test_shards_in_folders_of_their_own_are_joined_and_replayed(tmp_path):
    of = registry.record(MOTIONS)
    names = [f"v{n}" for n in range(40)]
    truth = runs.Truth(names=names, classes=[[0]] * 40)
    whole = kept(tmp_path / "whole", of, [(name, [0], scores(right=True)) for name in names])
    for part in (0, 1):
        shard = runs.open_run(tmp_path / f"{part}", whole.identity, truth)
        with shard.writer(process(shard=f"{part + 1}/2")) as writer:
            for index in range(part, 40, 2):
                writer.append(index, names[index], "ef" * 32, scores(right=True))
    shards = [tmp_path / "0", tmp_path / "1"]
    pages.write(verification.report(shards), tmp_path / "joined")
    file = tmp_path / "joined" / verification_file.NAME
    assert replayed(file, *shards)[0] == replayed(file, *reversed(shards))[0] == 0
    assert document(tmp_path / "joined")["scores_sha256"] == whole.scores_sha256()
    code, text = replayed(file, shards[0])
    assert code == 1
    assert {"data.counts.pending", "made_by[1].shard"} <= {each["field"] for each in text["differences"]}


def test_the_last_digit_of_another_machine_is_no_difference(run, tmp_path):
    text = document(run)
    text["numbers"][0]["interval"][0] *= 1 + 1e-12
    (tmp_path / "near.json").write_text(json.dumps(text))
    assert replayed(tmp_path / "near.json", run)[0] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[:200], "is no verification.json, or one that was changed"),
        (lambda text: "[" * 200_000, "is no verification.json"),
        (lambda text: text.replace('"fp32"', "NaN"), "is no verification.json"),
        (lambda text: text.replace("75.0", '"75.0"', 1), "Expected `float`, got `str`"),
        (lambda text: text.replace('"verdict"', '"extra": 1, "verdict"'), "unknown field `extra`"),
        (lambda text: text.replace('"metric": "top-1"', '"metric": "top-1", "x": 1'), "unknown field `x`"),
        (lambda text: text.replace('"rule"', '"rules"'), "missing required field|unknown field `rules`"),
        (lambda text: text.replace('"rule"', '"verdict": "consistent", "rule"'), "'verdict' stands there twice"),
        (lambda text: text.replace('"schema_version": 1', '"schema_version": 2'), "of version 2, and this videohub"),
    ],
)
def test_what_is_no_verification_is_refused_with_the_reason(run, tmp_path, change, message):
    text = (run / verification_file.NAME).read_text()
    (tmp_path / "hostile.json").write_text(change(text))
    with pytest.raises((DataError, UsageError), match=message):
        verification_file.read(tmp_path / "hostile.json")


def test_a_file_without_end_is_not_read(run, tmp_path):
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(verification_file.LARGEST + 1)
    with pytest.raises(DataError, match="has 16,777,217 bytes"):
        verification_file.read(tmp_path / "large.json")
    with pytest.raises(UsageError, match="no such verification file"):
        verification_file.read(tmp_path / "nowhere.json")
    with pytest.raises(UsageError, match="no such verification file"):
        verification_file.read(tmp_path)


def test_replay_writes_nothing(run, tmp_path):
    for option in ("--out", "--card"):
        text = CliRunner().invoke(cli, ["report", str(run), "--replay", str(run), option, str(tmp_path / "new")])
        assert text.exit_code == 2
    before = {path: path.stat().st_mtime_ns for path in run.iterdir()}
    assert replayed(run / verification_file.NAME, run)[0] == 0
    assert {path: path.stat().st_mtime_ns for path in run.iterdir()} == before


def test_the_committed_schema_is_up_to_date():
    command = "python -c \"from videohub.reporting import verification_file as v; print(v.json_schema(), end='')\""
    assert SCHEMA.read_text(encoding="utf-8") == verification_file.json_schema(), f"run: {command} > {SCHEMA}"


def test_documents_of_every_kind_are_valid_and_changed_ones_are_not(run, kinetics, charades, ava):
    schema = json.loads(verification_file.json_schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for report in (kinetics, charades, ava):
        whole = json.loads(verification_file.of(report).encoded())
        assert list(validator.iter_errors(whole)) == []
        assert msgspec.convert(whole, Verification) == verification_file.of(report)
    text = document(run)
    assert validator.is_valid(text)
    assert not validator.is_valid({**text, "verdict": "splendid"})
    assert not validator.is_valid({**text, "surprise": 1})
    assert not validator.is_valid({name: value for name, value in text.items() if name != "rule"})

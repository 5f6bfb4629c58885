"""`videohub registry`: all errors of a file at once, and a file to begin with."""

from __future__ import annotations

import json
import os

import pytest
from msgspec.structs import replace as replaced

from tests.own_registry import like as own_record
from tests.own_registry import write_registry
from videohub import registry


def test_a_good_file_is_said_to_be_good(company, run):
    code, out, _ = run("registry", "check", company)
    assert (code, out) == (0, f"{company.resolve()}: 1 record, nothing wrong\n")
    code, out, _ = run("registry", "check", company, "--json")
    assert (code, json.loads(out)) == (
        0,
        {"file": str(company.resolve()), "records": ["company_slow"], "errors": [], "notes": []},
    )


def test_all_errors_are_told_and_the_exit_code_is_1(company, run):
    text = company.read_text().replace("rate: 8\n", 'rate: "8"\n').replace("status: available", "status: ok")
    company.write_text(text.replace("notes: []", f"notes: [{', '.join('1' * 60)}]"))
    code, out, err = run("registry", "check", company)
    assert (code, out) == (1, "")
    assert 'company_slow: rate is "8", expected a whole number or null.' in err
    assert err.count("expected text") == 60
    assert err.rstrip().endswith("62 errors.")
    code, out, _ = run("registry", "check", company, "--json")
    messages = json.loads(out)
    assert (code, len(messages["errors"]), messages["records"]) == (1, 62, [])
    assert {"place": "company_slow: rate", "line": 24} in [
        {name: error[name] for name in ("place", "line")} for error in messages["errors"]
    ]


def test_a_file_that_is_no_yaml_or_not_there_is_told(company, run):
    company.write_text("records: [\n")
    code, _, err = run("registry", "check", company)
    assert (code, "is not YAML" in err) == (1, True)
    assert run("registry", "check", company.with_name("gone.yaml"))[0] == 2


@pytest.mark.parametrize(
    "like", ["slowfast_r50_8x8", "slowfast_r101_8x8", "SLOWFAST_32x2_R101_50_50", "slowfast_motions"]
)
def test_a_draft_of_any_record_passes_the_check_as_it_is(run, tmp_path, like):
    code, out, _ = run("registry", "new", "--from", like)
    assert code == 0
    file = tmp_path / "mine.yaml"
    file.write_text(out)
    assert run("registry", "check", file)[0] == 0
    theirs, mine = registry.record(like), registry.default([file]).find(f"my_{registry.record(like).name}")
    assert (mine.model, mine.clip, mine.protocol) == (theirs.model, theirs.clip, theirs.protocol)
    assert (mine.published, mine.checkpoint.sha256, mine.proof) == ((), None, None)


def test_a_draft_states_only_what_its_record_does(run):
    _, out, _ = run("registry", "new", "--from", "slowfast_r50_4x16")
    assert '    model: {family: "slowfast", depth: "R50", alpha: 8, lateral_kernel: 5}\n' in out
    assert '    protocol: "kinetics_30view"\n' in out
    assert "protocols:" not in out
    _, out, _ = run("registry", "new", "--from", "i3d_nln_r50_8x8")
    assert 'non_local: {after: {res3: [1, 3], res4: [1, 3, 5]}, affinity: "softmax", pool: [1, 2, 2]}\n' in out
    _, out, _ = run("registry", "new", "--from", "slowfast_motions")
    assert 'head: {kind: "average_window", window: 1}' in out


def test_a_name_that_takes_an_upstream_name_of_ours_is_told(company, run):
    """An id or alias goes before an upstream name: SLOWFAST_8x8_R50 would lead to the company's."""
    company.write_text(company.read_text().replace("notes: []", "notes: []\n    aliases: [SLOWFAST_8x8_R50]"))
    code, out, err = run("registry", "check", company)
    assert (code, out) == (0, f"{company.resolve()}: 1 record, nothing wrong\n")
    assert err == "company_slow: takes the name SLOWFAST_8x8_R50, by which slowfast_r50_8x8 was found without it\n"
    (note,) = json.loads(run("registry", "check", company, "--json")[1])["notes"]
    assert note + "\n" == err


@pytest.mark.parametrize(
    ("name", "frames", "why"),
    [
        ("slowfast_r50_8x8", 31, "clip: found 31 frames, expected a multiple of alpha = 4"),
        ("tv_s3d", 4, "clip: found 4 frames, expected at least 5"),
        ("mvit_b_16_in1k", 2, "frames: found 2, expected 1, as this network is for images"),
        ("slowfast_r101_8x8_ava22", 30, "clip: found 30 frames, expected a multiple of alpha = 4"),
    ],
)
def test_clips_that_a_network_does_not_take_are_found(run, tmp_path, name, frames, why):
    like = registry.record(name)
    write_registry(
        tmp_path / "mine.yaml", own_record(name, name="mine", aliases=[], clip=replaced(like.clip, frames=frames))
    )
    code, _, err = run("registry", "check", tmp_path / "mine.yaml")
    assert code == 1
    assert f"mine: clip does not fit the model: its network does not take clips of {frames} frames" in err
    assert why in " ".join(err.split())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_keeps_nobody_waiting(run, tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    code, _, err = run("registry", "check", tmp_path / "pipe.yaml")
    assert (code, "cannot be read: a pipe or a device, expected a file" in err) == (1, True)


@pytest.mark.parametrize("name", ["x" * 5000, "x/" * 5000, "é" * 200])
def test_a_path_that_no_disk_has_is_a_complaint(run, tmp_path, name):
    text = f"schema_version: 1\ninclude: ['{name}']\ndatasets: '{name}'\nrecords: {{}}\n"
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    code, _, err = run("registry", "check", tmp_path / "mine.yaml")
    assert (code, "include names " in err, "datasets is " in err) == (1, True, True)


def test_a_draft_takes_a_name(run, tmp_path):
    code, out, _ = run("registry", "new", "--from", "slow_r50_8x8", "--name", "company_slow", "--json")
    assert code == 0
    (tmp_path / "mine.yaml").write_text(json.loads(out)["text"])
    assert registry.default([tmp_path / "mine.yaml"]).find("company_slow").name == "company_slow"


def test_lists_that_nothing_reads_are_told_with_all_else_that_is_wrong(company, run):
    text = company.read_text().replace("title: Actions of a company", "lists: my_reader, title: Actions of a company")
    company.write_text(text.replace("rate: 8\n", "rat: 8\n"))
    code, _, err = run("registry", "check", company)
    assert (code, "rat is not a field" in err, "3 errors." in err) == (1, True, True)
    assert 'data set company_actions: lists is "my_reader": nothing reads lists of the kind' in err
    assert "expected one of ava, ava_kinetics, charades, imagenet, kinetics, multisports, something" in err
    assert "Line 2." in err
    company.write_text(text.replace("my_reader", "null"))  # which says that nothing does
    assert run("registry", "check", company)[0] == 0


def test_a_publisher_s_file_that_ours_includes_is_checked_by_itself(company, run, monkeypatch):
    """As `registry/NAME.yaml` is, which registry.yaml includes."""
    top = company.with_name("top.yaml")
    top.write_text(f"schema_version: 1\ninclude: ['{company.name}', '*pany.yaml']\nrecords: {{}}\n")
    monkeypatch.setenv("VIDEOHUB_REGISTRY", str(top))
    assert run("registry", "check", company)[:2] == (0, f"{company.resolve()}: 1 record, nothing wrong\n")
    company.write_text(company.read_text().replace("status: available", "status: ok"))
    code, _, err = run("registry", "check", company)
    assert (code, err.count("status is"), "1 error." in err) == (1, 1, True)


def test_tables_beside_a_file_are_checked_with_it(company, run):
    good = "recognised_by: {has: [x]}\nwritten_as: {container: torch}\nfields: {}\nrules: ['x <-> y']\n"
    for name, text in {"resnet/good": good, "resnet/caffe2": good, "resnet/open": "rules: [", "nobody/good": good,
                       "resnet/odd": good.replace("<->", "->")}.items():  # fmt: skip
        table = company.with_name("converters") / f"{name}.yaml"
        table.parent.mkdir(parents=True, exist_ok=True)
        table.write_text(text)
    code, out, _ = run("registry", "check", company, "--json")
    messages = {error["file"].partition("converters/")[2]: error["what"] for error in json.loads(out)["errors"]}
    assert (code, sorted(messages)) == (
        1,
        ["nobody/good.yaml", "resnet/caffe2.yaml", "resnet/odd.yaml", "resnet/open.yaml"],
    )
    assert "is no family of networks" in messages["nobody/good.yaml"]
    assert "converters/resnet/caffe2.yaml, the table of resnet/caffe2" in messages["resnet/caffe2.yaml"]

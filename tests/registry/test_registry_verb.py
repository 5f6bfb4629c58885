"""`videohub registry`: all errors of a file at once, and a file to begin with."""

from __future__ import annotations

import json

import pytest

from videohub import registry


def test_a_good_file_is_said_to_be_good(company, run):
    code, out, _ = run("registry", "check", company)
    assert (code, out) == (0, f"{company.resolve()}: 1 record, nothing wrong\n")
    code, out, _ = run("registry", "check", company, "--json")
    assert (code, json.loads(out)) == (0, {"file": str(company.resolve()), "records": ["company_slow"], "errors": []})


def test_all_errors_are_told_and_the_exit_code_is_1(company, run):
    text = company.read_text().replace("rate: 8\n", 'rate: "8"\n').replace("status: available", "status: ok")
    company.write_text(text.replace("notes: []", f"notes: [{', '.join('1' * 60)}]"))
    code, out, err = run("registry", "check", company)
    assert (code, out) == (1, "")
    assert 'company_slow: rate is "8", expected a whole number or null.' in err
    assert err.count("expected text") == 60
    assert err.rstrip().endswith("62 errors.")
    code, out, _ = run("registry", "check", company, "--json")
    told = json.loads(out)
    assert (code, len(told["errors"]), told["records"]) == (1, 62, [])
    assert {"place": "company_slow: rate", "line": 24} in [
        {name: error[name] for name in ("place", "line")} for error in told["errors"]
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


def test_a_draft_takes_a_name(run, tmp_path):
    code, out, _ = run("registry", "new", "--from", "slow_r50_8x8", "--name", "company_slow", "--json")
    assert code == 0
    (tmp_path / "mine.yaml").write_text(json.loads(out)["text"])
    assert registry.default([tmp_path / "mine.yaml"]).find("company_slow").name == "company_slow"

"""What was learnt of files fills the registry's nulls, and a patch changes nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tests.registry.conftest import COMPANY
from videohub import registry, resources
from videohub.cache_admin import trust

SHA256 = "0123456789abcdef" * 4
LEARNT = {"sha256": SHA256, "size": 138_000_000}

BLOCK = "      sha256: null\n      size: null\n"
APPLY = [["git", "apply", "--whitespace=nowarn"], ["patch", "-p1", "--quiet"]]


@pytest.fixture
def company(tmp_path):
    file = tmp_path / "company.yaml"
    file.write_text(COMPANY, encoding="utf-8")
    return file


def apply(command, folder, text):
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]} here")
    subprocess.run(command, cwd=folder, input=text.encode(), check=True)


@pytest.mark.parametrize("command", APPLY, ids=["git apply", "patch"])
def test_a_patch_of_our_registry_applies_and_is_read_back(tmp_path, command):
    text = resources.registry_file().read_text()
    names = ["slowfast_r50_8x8", "slowfast_r50_16x8_ssv2", "resnet_r50_in1k"]
    made = trust.registry_patch(dict.fromkeys(names, LEARNT), registry.files())
    assert (made.records, made.left) == (names, {})
    (tmp_path / "registry.yaml").write_text(text)
    apply(command, tmp_path, made.text)
    records = registry.load(tmp_path / "registry.yaml").records
    filled = {name for name, record in records.items() if record.checkpoint.sha256 == SHA256}
    assert filled == set(names)
    assert {records[name].checkpoint.size for name in names} == {138_000_000}
    changed = [
        (old, new)
        for old, new in zip(text.splitlines(), (tmp_path / "registry.yaml").read_text().splitlines(), strict=True)
        if old != new
    ]
    assert len(changed) == 6
    assert {old.partition("#")[0].strip() for old, _ in changed} == {"sha256: null", "size: null"}


@pytest.mark.parametrize("command", APPLY, ids=["git apply", "patch"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"], ids=["unix", "windows"])
@pytest.mark.parametrize("last", [True, False], ids=["", "no end of line at the end"])
def test_a_patch_of_a_user_s_registry_keeps_its_comments_and_line_ends(company, command, ends, last):
    text = company.read_text().replace(BLOCK, "      sha256: null   # ask Zoë\n      size:    ~\n")
    text = text if last else text.replace("    notes: []\n", "").rstrip("\n") + "\n    notes: []"
    company.write_bytes(text.replace("\n", ends).encode())
    made = trust.registry_patch({"company_slow": LEARNT}, [company])
    apply(command, company.parent, made.text)
    expected = text.replace("sha256: null ", f"sha256: {SHA256} ").replace("size:    ~", "size:    138000000")
    assert company.read_bytes() == expected.replace("\n", ends).encode()


def test_a_file_in_a_repository_is_named_from_its_top(company, tmp_path):
    top = tmp_path / "repository"
    (top / "zoo").mkdir(parents=True)
    shutil.move(company, top / "zoo" / "company.yaml")
    subprocess.run(["git", "init", "--quiet", top], check=True)
    made = trust.registry_patch({"company_slow": LEARNT}, [top / "zoo" / "company.yaml"])
    assert "--- a/zoo/company.yaml\n" in made.text
    apply(APPLY[0], top, made.text)
    assert registry.load(top / "zoo" / "company.yaml").records["company_slow"].checkpoint.sha256 == SHA256


def test_several_files_make_one_patch(company, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text(company.read_text().replace("company_slow", "other_slow"))
    made = trust.registry_patch({"company_slow": LEARNT, "other_slow": LEARNT}, [company, other])
    assert made.files == [str(company), str(other)]
    apply(APPLY[1], tmp_path, made.text)
    for file, name in ((company, "company_slow"), (other, "other_slow")):
        assert registry.load(file).records[name].checkpoint.size == 138_000_000


def test_flow_style_is_filled_where_it_stands(company):
    text = company.read_text()
    flow = re.sub(
        r"    checkpoint:\n(      .*\n)+",
        "    checkpoint: {url: weights/é.pth, sha256: null, size: ~,   # null, for now\n"
        "      container: null, layout: pyslowfast, license: mine}\n",
        text,
    )
    found, left = trust.fill(flow, {"company_slow": LEARNT})
    assert left == {}
    assert found == flow.replace("sha256: null", f"sha256: {SHA256}").replace("size: ~", "size: 138000000")
    company.write_text(found)
    assert registry.load(company).records["company_slow"].checkpoint.container is None


def test_what_the_registry_states_already_stays(company):
    text = company.read_text().replace("size: null", "size: 12")
    found, _ = trust.fill(text, {"company_slow": LEARNT})
    assert found == text.replace("sha256: null", f"sha256: {SHA256}")


@pytest.mark.parametrize("digest", ["1" * 64, "0" * 63 + "7", "1" * 62 + "e5"])
def test_a_digest_that_yaml_would_take_for_a_number_is_quoted(company, digest):
    found, _ = trust.fill(company.read_text(), {"company_slow": {"sha256": digest}})
    company.write_text(found)
    assert registry.load(company).records["company_slow"].checkpoint.sha256 == digest


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("sha256: null", "sha256: &nothing null").replace("size: null", "size: *nothing"),
        lambda text: text.replace("checkpoint:", "checkpoint: &shared") + _twin(text, "    checkpoint: *shared\n"),
    ],
    ids=["value", "mapping"],
)
def test_what_an_alias_shares_is_left_with_what_to_write_by_hand(company, change):
    text = change(company.read_text())
    company.write_text(text)
    registry.load(company)  # YAML, and a registry
    name = "twin" if "twin" in text else "company_slow"
    made = trust.registry_patch({name: LEARNT}, [company])
    assert (made.text, made.files, made.records) == ("", [], [])
    assert f"Write by hand: sha256: {SHA256}, size: 138000000" in made.left[name]


def _twin(text, checkpoint):
    record = text[text.index("  company_slow:") :].replace("company_slow", "twin").replace("COMPANY_SLOW", "TWIN")
    return re.sub(r"    checkpoint:\n(      .*\n)+", lambda _: checkpoint, record)


def test_nothing_learnt_is_no_patch(company):
    assert trust.registry_patch({}, [company]) == trust.Patch("", [], [], {})
    assert trust.registry_patch({"of another file": LEARNT}, [company]).text == ""

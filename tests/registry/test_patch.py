"""What was learnt of files is written into registry files where it belongs, and no other character changes."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
import yaml

from videohub import registry, resources
from videohub.registry import patch
from videohub.registry.schema import Checkpoint

SEEN = "0123456789abcdef" * 4
URL = "weights/company_slow.pth"
LEARNT = patch.Learnt([patch.Measured(URL, {"sha256": SEEN, "size": 138_000_000})])

BLOCK = "      sha256: null\n      size: null\n"
APPLY = [["git", "apply", "--whitespace=nowarn"], ["patch", "-p1", "--quiet"]]


def apply(command, folder, text):
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]} here")
    subprocess.run(command, cwd=folder, input=text.encode(), check=True)


@pytest.mark.parametrize("command", APPLY, ids=["git apply", "patch"])
def test_a_patch_of_our_registry_applies_and_is_read_back(tmp_path, command):
    text = resources.registry_file().read_text()
    names = ["slowfast_r50_8x8", "slowfast_r50_16x8_ssv2", "resnet_r50_in1k"]
    made = patch.registry_patch(dict.fromkeys(names, LEARNT), registry.files())
    assert (made.records, made.left) == (names, {})
    (tmp_path / "registry.yaml").write_text(text)
    shutil.copytree(resources.registry_file().parent / "registry", tmp_path / "registry")  # which it names records of
    apply(command, tmp_path, made.text)
    records = registry.load(tmp_path / "registry.yaml").records
    filled = {name for name, record in records.items() if record.checkpoint.sha256 == SEEN}
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
    made = patch.registry_patch({"company_slow": LEARNT}, [company])
    apply(command, company.parent, made.text)
    expected = text.replace("sha256: null ", f"sha256: {SEEN} ").replace("size:    ~", "size:    138000000")
    assert company.read_bytes() == expected.replace("\n", ends).encode()


def test_a_file_in_a_repository_is_named_from_its_top(company, tmp_path):
    top = tmp_path / "repository"
    (top / "zoo").mkdir(parents=True)
    shutil.move(company, top / "zoo" / "company.yaml")
    subprocess.run(["git", "init", "--quiet", top], check=True)
    made = patch.registry_patch({"company_slow": LEARNT}, [top / "zoo" / "company.yaml"])
    assert "--- a/zoo/company.yaml\n" in made.text
    apply(APPLY[0], top, made.text)
    assert registry.load(top / "zoo" / "company.yaml").records["company_slow"].checkpoint.sha256 == SEEN


def test_several_files_make_one_patch(company, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text(company.read_text().replace("company_slow", "other_slow"))
    made = patch.registry_patch({"company_slow": LEARNT, "other_slow": LEARNT}, [company, other])
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
    result, left = patch.fill(flow, {"company_slow": LEARNT})
    assert left == {}
    assert result == flow.replace("sha256: null", f"sha256: {SEEN}").replace("size: ~", "size: 138000000")
    company.write_text(result)
    assert registry.load(company).records["company_slow"].checkpoint.container is None


def test_what_the_registry_states_already_stays(company):
    text = company.read_text().replace("size: null", "size: 12")
    result, _ = patch.fill(text, {"company_slow": LEARNT})
    assert result == text.replace("sha256: null", f"sha256: {SEEN}")


@pytest.mark.parametrize("digest", ["1" * 64, "0" * 63 + "7", "1" * 62 + "e5"])
def test_a_digest_that_yaml_would_take_for_a_number_is_quoted(company, digest):
    learnt = patch.Learnt([patch.Measured(URL, {"sha256": digest, "size": 138_000_000})])
    result, _ = patch.fill(company.read_text(), {"company_slow": learnt})
    company.write_text(result)
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
    made = patch.registry_patch({name: LEARNT}, [company])
    assert (made.text, made.files, made.records) == ("", [], [])
    assert f"Write by hand: sha256: {SEEN}, size: 138000000" in made.left[name]


def test_of_several_forms_the_one_with_the_url_is_filled(company):
    text = company.read_text()
    form = "{url: %s, sha256: null, size: null, container: null, layout: pyslowfast, license: mine}"
    forms = f"    checkpoint:\n      - {form % 'other.pth'}\n      - {form % URL}\n"
    listed = re.sub(r"    checkpoint:\n(      .*\n)+", lambda _: forms, text)
    filled, left = patch.fill(listed, {"company_slow": LEARNT})
    assert left == {}
    first, second = listed.rindex("sha256: null", 0, listed.index(URL)), listed.index(URL)
    assert filled == listed[:second] + listed[second:].replace("sha256: null", f"sha256: {SEEN}", 1).replace(
        "size: null", "size: 138000000", 1)  # fmt: skip
    assert filled[first:].startswith("sha256: null")
    company.write_text(filled)
    assert registry.load(company).records["company_slow"].other_checkpoints[0].sha256 == SEEN


def test_a_field_that_a_record_leaves_to_its_file_is_to_be_written_by_hand(company):
    text = company.read_text().replace("      sha256: null\n", "")
    filled, left = patch.fill(text, {"company_slow": LEARNT})
    assert filled == text
    assert "`shared`" in left["company_slow"]
    assert f"Write by hand: sha256: {SEEN}, size: 138000000" in left["company_slow"]


def _twin(text, checkpoint):
    record = text[text.index("  company_slow:") :].replace("company_slow", "twin").replace("COMPANY_SLOW", "TWIN")
    return re.sub(r"    checkpoint:\n(      .*\n)+", lambda _: checkpoint, record)


def test_nothing_learnt_is_no_patch(company):
    assert patch.registry_patch({}, [company]) == patch.Patch("", [], [], {})
    assert patch.registry_patch({"of another file": LEARNT}, [company]).text == ""


# --- containers and dead links ---------------------------------------------------------------------------------------


def edited(company, text, learnt):
    """The text after what was learnt, and the record that it is read as."""
    result, left = patch.fill(text, {"company_slow": learnt})
    assert left == {}
    company.write_text(result, newline="")
    return result, registry.load(company).records["company_slow"]


IN_TORCH = patch.Learnt([patch.Measured(URL, {"container": "torch_legacy"})])
DEAD = patch.Learnt(dead='It "answered" 404.')


def test_another_container_takes_the_place_of_the_stated_one(company):
    result, record = edited(company, text := company.read_text(), IN_TORCH)
    assert result == text.replace("container: torch", "container: torch_legacy")
    assert record.checkpoint.container == "torch_legacy"


@pytest.mark.parametrize("ends", ["\n", "\r\n"], ids=["unix", "windows"])
def test_a_container_that_a_record_leaves_to_its_file_is_put_before_its_other_fields(company, ends):
    shared = "shared: {checkpoint: {container: torch}}\nrecords:"
    text = company.read_text().replace("      container: torch\n", "").replace("records:", shared).replace("\n", ends)
    result, record = edited(company, text, IN_TORCH)
    assert result == text.replace("      url:", f"      container: torch_legacy{ends}      url:")
    assert record.checkpoint.container == "torch_legacy"


@pytest.mark.parametrize(
    ("notes", "expected"),
    [
        ("    notes: []\n", '    notes: ["It \\"answered\\" 404."]\n'),
        ("    notes: [one]\n", '    notes: [one, "It \\"answered\\" 404."]\n'),
        ("    notes:\n      - &one one\n", '    notes:\n      - "It \\"answered\\" 404."\n      - &one one\n'),
        ("    notes:\n    - one\n    - two\n", '    notes:\n    - "It \\"answered\\" 404."\n    - one\n    - two\n'),
        ("    notes: &a-b\n      - one\n", '    notes: &a-b\n      - "It \\"answered\\" 404."\n      - one\n'),
    ],
    ids=["none", "in flow style", "with an anchor", "not set in", "themselves with an anchor"],
)
def test_a_dead_link_makes_the_status_broken_and_adds_a_note(company, notes, expected):
    text = company.read_text().replace("    notes: []\n", notes)
    result, record = edited(company, text, DEAD)
    assert result == text.replace("status: available", "status: broken").replace(notes, expected)
    assert (record.status, 'It "answered" 404.' in record.notes) == ("broken", True)


def test_a_status_that_a_record_leaves_to_its_file_is_its_own_where_its_link_is_dead(company):
    shared = "shared: {status: available, notes: []}\nrecords:"
    text = company.read_text().replace("    status: available\n    notes: []\n", "").replace("records:", shared)
    _, record = edited(company, text, DEAD)
    assert (record.status, record.notes) == ("broken", ['It "answered" 404.'])


def test_a_record_whose_notes_are_another_s_too_is_left_with_what_to_write_by_hand(company):
    text = company.read_text().replace("notes: []", "notes: &all [one]")
    checkpoint = "    checkpoint: {url: x, sha256: null, size: null, container: null, layout: a, license: b}\n"
    text += _twin(text, checkpoint).replace("notes: &all [one]", "notes: *all")
    result, left = patch.fill(text, {"company_slow": DEAD})
    assert result == text
    assert "by an alias. Write by hand: broken, and It" in left["company_slow"]


def test_every_record_of_ours_takes_what_first_contact_may_learn(tmp_path):
    """Also where its container, status or notes stand at its file's head, or its notes are anchored."""
    records = registry.load(resources.registry_file()).records
    links = {name: record.checkpoint.url for name, record in records.items() if record.status == "available"}
    learnt = {
        name: patch.Learnt([patch.Measured(url, {"size": 12, "container": "npz"})], dead="It answered 404.")
        for name, url in links.items()
        if "://" in url and not url.startswith("file:")
    }
    made = patch.registry_patch(learnt, registry.record_files())
    assert made.left == {}
    shutil.copy(resources.registry_file(), tmp_path / "registry.yaml")
    shutil.copytree(resources.path("registry"), tmp_path / "registry")
    apply(APPLY[0], tmp_path, made.text)
    for name, record in registry.load(tmp_path / "registry.yaml").records.items():
        if name in learnt:
            assert (record.checkpoint.container, record.status) == ("npz", "broken"), name
            assert "It answered 404." in record.notes, name
            assert record.checkpoint.size == (records[name].checkpoint.size or 12), name


# --- further forms ---

FORM = Checkpoint(url="hf://org/repo/a.safetensors@c0ffee", sha256="ab" * 32, size=5, container="safetensors",
                  layout="videohub", license="MIT")  # fmt: skip
PLAIN = {"url": FORM.url, "sha256": FORM.sha256, "size": 5, "container": "safetensors", "layout": "videohub",
         "license": "MIT"}  # fmt: skip
STATUS = "    status: manual # why\n"
FORMS = """\
records:
  one: # the first
    upstream_name: ONE
    checkpoint:
      # where it lies
      url: a.pkl # here
      beside:
        - {url: b.pkl, sha256: null}

      sha256: null # not yet

    notes: [x]
  two:
    checkpoint: &shared {url: c.pkl, sha256: null}
  three:
    checkpoint: *shared
  four:
    notes: []
  five:
    checkpoint: {url: d.pkl,
      sha256: null} # two lines
  six:
    checkpoint:
      - url: e.pkl
        sha256: null # last
      # nothing more
  seven:
    checkpoint: [{url: f.pkl}]
"""


@pytest.mark.parametrize("name", ["one", "two", "five", "six"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_forms_come_after_those_that_are_there(name, end):
    text = FORMS.replace("\n", end)
    after = patch.with_forms(text, name, [FORM])
    before, read = yaml.safe_load(text), yaml.safe_load(after)
    checkpoint = before["records"][name]["checkpoint"]
    assert read["records"].pop(name)["checkpoint"] == [
        *(checkpoint if isinstance(checkpoint, list) else [checkpoint]),
        PLAIN,
    ]
    before["records"].pop(name)
    assert read == before
    for comment in ("# the first", "# where it lies", "# here", "# not yet", "# two lines", "# last", "# nothing more"):
        assert after.count(comment) == 1
    assert after.count("\n") == after.count(end)


@pytest.mark.parametrize(("before", "behind"), [("", ""), ("", STATUS), (STATUS, "")])
@pytest.mark.parametrize(
    "checkpoint", ["{url: g.pkl}", "\n      url: g.pkl\n      sha256: null", "\n      - {url: g.pkl}"]
)
def test_a_record_that_was_manual_becomes_available(before, behind, checkpoint):
    text = f"records:\n  one:\n{before}    checkpoint: {checkpoint}\n{behind}  two: {{status: manual}}\n"
    after = patch.with_forms(text, "one", [FORM], opened=True)
    read = yaml.safe_load(after)["records"]
    assert (read["one"]["status"], read["one"]["checkpoint"][0]["url"]) == ("available", "g.pkl")
    assert read["one"]["checkpoint"][-1] == PLAIN
    assert read["two"] == {"status": "manual"}
    assert after.count("# why") == text.count("# why")


@pytest.mark.parametrize("name", ["three", "four", "seven"])
def test_what_is_shared_or_not_there_is_left_to_people(name):
    assert patch.with_forms(FORMS, name, [FORM]) is None

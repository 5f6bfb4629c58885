"""A report goes to the hub as it is, loses nothing that others wrote there, and what the hub refuses is told."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import huggingface_hub
import msgspec
import pytest
import yaml
from click.testing import CliRunner

from tests.publishing import hub_server
from tests.reporting.kept import kept
from tests.reporting.test_cards import newer
from tests.reporting.test_verification_file import MOTIONS, scores
from videohub import registry, verification
from videohub.cli import cli
from videohub.errors import OfflineError, UploadError, UsageError
from videohub.publishing import reports
from videohub.reporting import cards, verification_file

REPO = "org/slowfast"
MINE = """---
license: mit
tags: [mine]
model-index:
- name: mine
  results:
  - task: {type: video-classification}
    dataset: {type: motions, name: Motions, split: val}
    metrics:
    - {type: accuracy, name: "top-1 (%)", value: 99.9}
    source: {url: "https://example.org", name: by hand}
---

# My network

Trained with care.
"""


@pytest.fixture
def hub(hub):
    hub.make(REPO)
    return hub


@pytest.fixture
def run(tmp_path) -> Path:
    kept(tmp_path / "run", registry.record(MOTIONS), [(f"v{n}", [0], scores(right=n < 30)) for n in range(40)])
    return tmp_path / "run"


@pytest.fixture
def report(run):
    return verification.report([run])


def card_of(hub) -> str:
    return hub.head(REPO).files["README.md"].decode()


def test_a_push_is_one_commit_of_exactly_these_bytes(hub, report):
    sent = reports.push(report, REPO)
    files = hub.head(REPO).files
    assert files["README.md"] == cards.model_card(report).encode()
    assert files["verification.json"] == verification_file.of(report).encoded()
    assert len(hub.repos[REPO]) == 2
    assert (sent.commit, sent.url) == (hub.head(REPO).oid, f"{hub.url}/{REPO}/commit/{hub.head(REPO).oid}")
    assert [(file.path, file.size, file.sha256) for file in sent.files] == [
        (path, len(files[path]), hashlib.sha256(files[path]).hexdigest()) for path in ("README.md", "verification.json")
    ]


def test_what_was_pushed_is_replayed_from_the_scores(hub, run, report, tmp_path):
    reports.push(report, REPO)
    (tmp_path / "theirs.json").write_bytes(hub.head(REPO).files["verification.json"])
    done = CliRunner().invoke(cli, ["report", str(run), "--replay", str(tmp_path / "theirs.json")])
    assert done.exit_code == 0


def test_a_dry_run_shows_the_files_and_asks_nothing(hub, run, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setenv("VIDEOHUB_OFFLINE", "1")
    done = CliRunner().invoke(cli, ["report", str(run), "--push", REPO, "--dry-run"])
    assert hub.requests == []
    assert "nothing was sent" in done.stdout
    assert "library_name: videohub" in done.stdout
    assert '"scores_sha256": "' in done.stdout
    text = json.loads(CliRunner().invoke(cli, ["report", str(run), "--push", REPO, "--dry-run", "--json"]).stdout)
    assert [(file["path"], file["text"][:3]) for file in text["files"]] == [
        ("README.md", "---"), ("verification.json", '{\n ')
    ]  # fmt: skip
    assert (text["commit"], hub.requests) == (None, [])


def test_the_verb_says_what_it_sent_and_gives_the_verdict_s_code(hub, run):
    done = CliRunner().invoke(cli, ["report", str(run), "--push", REPO])
    assert done.exit_code == 3  # 40 videos decide nothing
    assert f"{hub.url}/{REPO}/commit/{hub.head(REPO).oid}" in done.stdout
    assert hub_server.WRITES not in done.stdout + done.stderr


def test_a_card_that_somebody_wrote_keeps_its_text_and_its_numbers(hub, report):
    hub.make(REPO, {"README.md": MINE.encode()})
    for _ in range(2):  # a second report takes the place of the first, and of nothing else
        reports.push(report, REPO)
    assert card_of(hub).endswith("---\n\n# My network\n\nTrained with care.\n")
    data = yaml.safe_load(card_of(hub).split("---\n")[1])
    assert (data["license"], data["tags"]) == ("mit", ["mine"])
    (model,) = data["model-index"]
    theirs, ours = model["results"]
    assert theirs["metrics"] == [{"type": "accuracy", "name": "top-1 (%)", "value": 99.9}]
    assert theirs["source"] == {"url": "https://example.org", "name": "by hand"}
    assert [each["value"] for each in ours["metrics"]] == [75.0, 100.0]
    assert huggingface_hub.ModelCard(card_of(hub)).data.eval_results[1].metric_value == 75.0


def test_a_card_without_a_head_gets_one(hub, report):
    hub.make(REPO, {"README.md": b"# Mine\n"})
    reports.push(report, REPO)
    assert card_of(hub).endswith("---\n\n# Mine\n")
    assert huggingface_hub.ModelCard(card_of(hub)).data.model_name == MOTIONS


def test_the_head_of_a_card_that_begins_with_a_byte_order_mark_stays_its_head(hub, report):
    hub.make(REPO, {"README.md": b"\xef\xbb\xbf---\nlicense: mit\n---\n# Mine\n"})
    reports.push(report, REPO)
    assert huggingface_hub.ModelCard(card_of(hub)).data.license == "mit"
    assert card_of(hub).endswith("---\n# Mine\n")


def test_an_earlier_report_s_card_is_replaced(hub, report):
    reports.push(report, REPO)
    first = card_of(hub)
    hub.commit(REPO, {"README.md": first.replace("75.0", "70.0").encode()}, "older")
    sent = reports.push(report, REPO)
    assert card_of(hub) == first
    assert sent.files[0].change == "replaces an earlier report's card"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"README.md": b"---\nmodel-index: 5\n---\n"}, "the head of the card that is there cannot be read"),
        ({"README.md": b"---\n: [\n---\n"}, "the head of the card that is there cannot be read"),
        ({"README.md": b"---\na: " + b"[" * 5000 + b"\n---\n"}, "the head of the card that is there cannot be read"),
        ({"README.md": b"---\nlicense: mit\nlicense: gpl\n---\n"}, "cannot be read .it has 'license' twice"),
        ({"README.md": b"\xff\xfe"}, "README.md: what is there is no text"),
        ({"verification.json": b"{}"}, "found a file that this videohub cannot read in the repository"),
    ],
)
def test_what_cannot_be_understood_is_not_overwritten(hub, report, files, message):
    hub.make(REPO, files)
    with pytest.raises(UsageError, match=message):
        reports.push(report, REPO)
    assert len(hub.repos[REPO]) == 1


def test_the_verification_of_another_record_is_not_overwritten(hub, report):
    reports.push(msgspec.structs.replace(report, record="another"), REPO)
    with pytest.raises(UsageError, match="found that of another on motions, test in the repository"):
        reports.push(report, REPO)


@newer
def test_a_benchmark_s_file_keeps_what_others_wrote(hub, report):
    theirs = [{"dataset": {"id": "org/motions", "task_id": "other"}, "value": 1.0}]
    path = ".eval_results/motions.yaml"
    hub.make(REPO, {path: yaml.safe_dump(theirs).encode()})
    for _ in range(2):
        reports.push(report, REPO, benchmark=("org/motions", "top1"))
    entries = yaml.safe_load(hub.head(REPO).files[path])
    assert entries[0] == theirs[0]
    assert [entry["value"] for entry in entries] == [1.0, 75.0]
    assert entries[1]["source"]["url"] == f"{hub.url}/{REPO}/blob/main/verification.json"
    hub.make(REPO, {path: yaml.safe_dump([{"dataset": {"id": "org/motions", "task_id": "top1"}, "value": 2}]).encode()})
    with pytest.raises(UsageError, match="somebody else's result for top1 of org/motions, 2, is not replaced"):
        reports.push(report, REPO, benchmark=("org/motions", "top1"))


def test_a_pull_request_leaves_the_branch_as_it_is(hub, report):
    sent = reports.push(report, REPO, pull_request=True)
    assert len(hub.repos[REPO]) == 1
    assert sent.url == f"{hub.url}/{REPO}/discussions/1"
    (made,) = hub.pull_requests[REPO]
    assert set(made.files) == {"README.md", "verification.json"}


def test_a_repository_that_changed_meanwhile_is_left_alone(hub, report):
    hub.meanwhile = {"README.md": b"# theirs\n"}
    with pytest.raises(UploadError, match="Somebody changed it in the meantime, and nothing was committed"):
        reports.push(report, REPO)
    assert card_of(hub) == "# theirs\n"


@pytest.mark.parametrize(
    ("token", "repo", "message"),
    [
        ("hf_wrong", REPO, "the hub answered 401.*hf auth login"),
        (hub_server.READS, REPO, "the hub answered 403.*may not write there.*--pr"),
        (hub_server.WRITES, "org/nowhere", "the hub answered 404.*hf repo create org/nowhere"),
    ],
)
def test_what_the_hub_refuses_is_told_with_what_to_do(hub, report, monkeypatch, token, repo, message):
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(UploadError, match=f"(?s){message}") as messages:
        reports.push(report, repo)
    assert token not in str(messages.value)
    assert len(hub.repos[REPO]) == 1


@pytest.mark.parametrize(
    ("where", "fault", "message"),
    [
        ("/commit/", 500, "the hub answered 500.*Run the same command again later"),
        ("/commit/", "cut", "cannot be reached, or the connection ended.*Run the same command again"),
        ("/preupload/", 429, "the hub answered 429"),
        ("/api/validate-yaml", 400, r"answered 400: Invalid metadata in README\.md\..*Nothing was committed"),
    ],
)
def test_a_hub_that_fails_is_told(hub, report, monkeypatch, where, fault, message):
    monkeypatch.setattr("time.sleep", lambda _: None)  # the library waits before it tries again
    hub.faults["POST", where] = fault
    with pytest.raises(UploadError, match=f"(?s){message}"):
        reports.push(report, REPO)
    assert len(hub.repos[REPO]) == 1
    hub.faults.clear()
    assert reports.push(report, REPO).commit == hub.head(REPO).oid


def test_without_a_token_or_offline_nothing_is_asked(hub, report, monkeypatch):
    for variable in ("VIDEOHUB_OFFLINE", "HF_HUB_OFFLINE"):
        with monkeypatch.context() as patched:
            patched.setenv(variable, "1")
            with pytest.raises(OfflineError, match=f"{variable} forbids connections"):
                reports.push(report, REPO)
    hub_server.use(hub, monkeypatch, token=None)
    with pytest.raises(UploadError, match="there is no token"):
        reports.push(report, REPO)
    assert hub.requests == []


@pytest.mark.parametrize(
    "name",
    [
        "slowfast",
        "org/",
        "org/a/b",
        "../x/y",
        "org/..",
        "https://huggingface.co/org/repo",
        "",
        "org/a.git",
        "org/a.",
        "org-/a",
    ],
)
def test_what_is_no_repository_is_refused(hub, report, name):
    with pytest.raises(UsageError, match="expected the name of a repository"):
        reports.push(report, name)
    assert hub.requests == []


def test_a_pull_request_for_another_branch_is_refused(hub, report):
    with pytest.raises(UsageError, match="a pull request is opened for main, and the revision is 'v2'"):
        reports.push(report, REPO, revision="v2", pull_request=True)
    with pytest.raises(UploadError, match="no v2 in it"):
        reports.push(report, REPO, revision="v2")


@pytest.mark.parametrize(
    "options", [["--dry-run"], ["--pr"], ["--push", REPO, "--replay", "x"], ["--benchmark", "a/b", "c"]]
)
def test_options_that_make_no_sense_together_are_refused(run, options):
    assert CliRunner().invoke(cli, ["report", str(run), *options]).exit_code == 2

"""Weights that were proved go to the hub with all that somebody needs to trust them, and come back from there."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import huggingface_hub
import msgspec
import pytest
import torch
import yaml
from click.testing import CliRunner

import videohub
from tests.own_registry import like, ours, write_registry
from videohub import convert, registry, weights
from videohub.cli import cli
from videohub.errors import OfflineError, UnavailableError, UploadError, UsageError
from videohub.publishing.published_weights import allows, publish
from videohub.registry.schema import Checkpoint

REPO = "org/tiny"
ALLOWED, DRIVE = "Apache-2.0, stated for the repository", "https://drive.google.com/file/d/1/view"


def tiny(**changes) -> registry.Record:
    """A record of a small VideoMAE, which transformers has, too; its file lies on a page for people."""
    of = like("videomae_vit_s_16x4")
    model = msgspec.structs.replace(of.model, width=48, depth=2, heads=3)
    file = Checkpoint(
        url=DRIVE, sha256=None, size=None, container="torch", layout="videomae", license=ALLOWED, manual=True
    )
    messages = {"name": "tiny", "upstream_name": "TINY", "model": model, "checkpoint": file, "other_checkpoints": (),
            "aliases": (), "proof": None, "known_answers": (), "status": "manual"}  # fmt: skip
    return msgspec.structs.replace(of, **{**messages, **changes})


@pytest.fixture
def company(tmp_path, tmp_path_factory, monkeypatch) -> Path:
    """A folder with the registry of the small network, and a cache of its own."""
    folder = tmp_path / "company"
    folder.mkdir()
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path_factory.mktemp("cache")))
    use(folder, tiny(), monkeypatch)
    return folder


def use(folder: Path, record: registry.Record, monkeypatch) -> None:
    write_registry(folder / "company.yaml", record)
    monkeypatch.setenv("VIDEOHUB_REGISTRY", str(folder / "company.yaml"))


@pytest.fixture
def by_hand(company) -> Path:
    """The file that somebody downloaded from the page."""
    torch.manual_seed(0)
    model = videohub.build("tiny")
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.randn(value.shape) * 0.2 + (1 if name.endswith("norm.weight") else 0))
    return convert.export(model.state_dict(), registry.record("tiny"), "videomae", company / "TINY.pth")


def files_of(hub) -> dict[str, bytes]:
    return hub.head(REPO).files


def test_weights_go_up_in_both_forms_with_card_certificates_and_digests(hub, by_hand):
    published = publish("tiny", REPO, checkpoint=by_hand)
    files = files_of(hub)
    assert set(files) - {".gitattributes"} == {
        "tiny.safetensors", "tiny.certificate.json", "model.safetensors", "config.json", "preprocessor_config.json",
        "transformers.certificate.json", "SHA256SUMS", "README.md",
    }  # fmt: skip
    assert len(hub.repos[REPO]) == 2  # all in one commit
    assert hub.objects, "large files go their own way"
    for line in files["SHA256SUMS"].decode().splitlines():
        digest, _, path = line.partition("  ")
        assert hashlib.sha256(files[path]).hexdigest() == digest
    source = hashlib.sha256(by_hand.read_bytes()).hexdigest()
    for name, file in (
        ("tiny.certificate.json", "tiny.safetensors"),
        ("transformers.certificate.json", "model.safetensors"),
    ):
        certificate = json.loads(files[name])
        assert certificate["read"]["sha256"] == source
        assert certificate["written"]["sha256"] == hashlib.sha256(files[file]).hexdigest()
        assert certificate["largest_difference"] <= 1e-5 * certificate["largest_logit"]
    assert {file.path: file.sha256 for file in published.sent.files} == {
        path: hashlib.sha256(content).hexdigest() for path, content in files.items() if path != ".gitattributes"
    }


def test_the_card_says_whose_they_are_and_how_to_load_them(hub, by_hand):
    publish("tiny", REPO, checkpoint=by_hand)
    card = huggingface_hub.ModelCard(files_of(hub)["README.md"].decode())
    assert (card.data.library_name, card.data.license) == ("transformers", "other")
    assert "The licence, as their publisher states it: Apache-2.0, stated for the repository." in card.text
    assert 'model = videohub.load("tiny", checkpoint=file)' in card.text
    assert "nothing vouches for TINY.pth as the published file" in card.text
    assert "for non-commercial use alone" not in card.text


def test_a_patched_registry_finds_them_there(hub, by_hand, company, monkeypatch):
    with pytest.raises(UnavailableError):
        videohub.load("tiny")
    before = videohub.load("tiny", checkpoint=by_hand)
    subprocess.run(["git", "init", "-q", "."], cwd=company, check=True)
    done = CliRunner().invoke(
        cli, ["publish", "tiny", "--to", REPO, "--checkpoint", str(by_hand), "--patch", str(company / "forms.patch")]
    )
    assert done.exit_code == 0, done.output
    assert "nothing vouches for TINY.pth" in done.stderr
    subprocess.run(["git", "apply", "forms.patch"], cwd=company, check=True)
    for path in company.glob("*.pth"):
        path.unlink()
    record = registry.record("tiny")
    forms = [record.checkpoint, *record.other_checkpoints]
    commit = hub.head(REPO).oid
    assert [form.url for form in forms] == [
        f"hf://{REPO}/tiny.safetensors@{commit}", DRIVE, f"hf://{REPO}/model.safetensors@{commit}"
    ]  # fmt: skip
    after = videohub.load("tiny")
    assert after.state_dict().keys() == before.state_dict().keys()
    for name, value in after.state_dict().items():
        assert torch.equal(value, before.state_dict()[name])
    messages = weights.weights_file(weights.fetch(record), record)
    source = json.loads(files_of(hub)["tiny.certificate.json"])["read"]["sha256"]
    assert (messages.vouched_by, messages.claimed_sha256) == ("registry", source)
    of_transformers = msgspec.structs.replace(record, checkpoint=forms[2], other_checkpoints=())
    for name, value in videohub.load(of_transformers).state_dict().items():
        assert torch.equal(value, before.state_dict()[name])


def test_a_network_that_transformers_lacks_has_one_form(hub, monkeypatch):
    published = publish("slowfast_motions", REPO)
    assert set(files_of(hub)) - {".gitattributes"} == {
        "slowfast_motions.safetensors", "slowfast_motions.certificate.json", "SHA256SUMS", "README.md"
    }  # fmt: skip
    assert published.warnings == []
    card = huggingface_hub.ModelCard(files_of(hub)["README.md"].decode())
    assert (card.data.library_name, card.data.license) == ("videohub", "apache-2.0")
    assert f'+      - url: "hf://{REPO}/slowfast_motions.safetensors@{hub.head(REPO).oid}"' in published.patch.text


def test_a_dry_run_asks_the_hub_nothing(hub, by_hand, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    done = CliRunner().invoke(cli, ["publish", "tiny", "--to", REPO, "--checkpoint", str(by_hand), "--dry-run"])
    assert done.exit_code == 0, done.output
    assert (hub.requests, hub.repos) == ([], {})
    assert "nothing was sent" in done.stdout
    assert "tiny.safetensors@COMMIT" in done.stdout
    assert '"largest_difference"' in done.stdout  # the certificates, too


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        ("Apache-2.0", True),
        ("MIT, stated for the repository, some files of which are Apache-2.0", True),
        ("BSD-3-Clause for the repository; weights may carry the terms of their training data", True),
        ("CC-BY-NC-4.0, stated for the repository: code and weights", True),
        ("CC-BY-NC 4.0, stated for the code and the models", True),
        ("CC-BY-4.0", True),
        ("not stated for the file; the repository is Apache-2.0", False),
        ("Apache-2.0, stated for the repository of the code", False),
        ("Apache-2.0, stated for the repository of the code; the hub's page was not read", False),
        ("CC-BY-NC-ND-4.0", False),
        ("CC-BY-ND-4.0", False),
        ("MIT-like", False),
        ("GPL-3.0", False),
        ("proprietary", False),
        ("none", False),
        ("", False),
    ],
)
def test_only_a_licence_that_is_known_to_allow_it_allows_it(words, allowed):
    assert allows(words) is allowed


def test_licences_of_our_records_are_read_as_they_are_meant():
    """Counted by hand: of the zoo's, those that are stated for the files."""
    refused = {record.checkpoint.license for record in ours().records.values() if not allows(record.checkpoint.license)}
    assert all("not stated" in words or "of the code" in words for words in refused)


def test_a_licence_that_does_not_allow_it_is_refused_with_its_words(hub, by_hand, company, monkeypatch):
    words = "not stated for the file; the repository is Apache-2.0"
    use(company, tiny(checkpoint=msgspec.structs.replace(tiny().checkpoint, license=words)), monkeypatch)
    arguments = ["publish", "tiny", "--to", REPO, "--checkpoint", str(by_hand)]
    refused = CliRunner().invoke(cli, arguments)
    assert isinstance(refused.exception, UsageError)
    assert words in str(refused.exception)
    assert hub.requests == []
    with pytest.raises(UsageError, match="found no words"):
        publish("tiny", REPO, checkpoint=by_hand, right=" ")
    done = CliRunner().invoke(cli, [*arguments, "--right", "I trained them <b>myself</b>."])
    assert done.exit_code == 0, done.output
    assert "states by which right: I trained them \\<b\\>myself\\</b\\>." in files_of(hub)["README.md"].decode()


def test_a_non_commercial_licence_is_told_on_the_card(hub, by_hand, company, monkeypatch):
    use(company, tiny(checkpoint=msgspec.structs.replace(tiny().checkpoint, license="CC-BY-NC-4.0")), monkeypatch)
    publish("tiny", REPO, checkpoint=by_hand)
    assert "It is for non-commercial use alone." in files_of(hub)["README.md"].decode()
    assert yaml.safe_load(files_of(hub)["README.md"].decode().split("---\n")[1])["license"] == "cc-by-nc-4.0"


def test_another_file_than_the_published_one_is_refused(hub, by_hand, company, monkeypatch):
    use(company, tiny(checkpoint=msgspec.structs.replace(tiny().checkpoint, sha256="12" * 32)), monkeypatch)
    with pytest.raises(UsageError, match="Only the published file is sent under the record's name"):
        publish("tiny", REPO, checkpoint=by_hand)
    other = videohub.build("tiny", num_classes=7)
    mine = convert.export(other.state_dict(), other.record, "videomae", company / "mine.pth")
    use(company, tiny(), monkeypatch)
    with pytest.raises(UsageError, match="has 7 classes, the record 400: it is another file"):
        publish("tiny", REPO, checkpoint=mine)
    assert hub.requests == []


def test_what_cannot_be_sent_is_told_before_the_work(hub, by_hand, monkeypatch):
    monkeypatch.setattr(weights, "fetch", lambda *_, **__: pytest.fail("not reached"))
    with monkeypatch.context() as patched:
        patched.setenv("VIDEOHUB_OFFLINE", "1")
        with pytest.raises(OfflineError):
            publish("tiny", REPO, checkpoint=by_hand)
    with pytest.raises(UsageError, match="expected the name of a repository"):
        publish("tiny", "tiny", checkpoint=by_hand, dry_run=True)
    with pytest.raises(UsageError, match="expected the name of a branch"):
        publish("tiny", REPO, checkpoint=by_hand, revision="v 2")
    with pytest.raises(UsageError, match="other: is in no registry file"):
        publish(tiny(name="other"), REPO, checkpoint=by_hand)
    assert hub.requests == []


def test_no_repository_is_made_for_a_branch_that_it_would_not_have(hub, by_hand):
    with pytest.raises(UploadError, match="no v2 in it"):
        publish("tiny", REPO, checkpoint=by_hand, revision="v2")
    assert hub.repos == {}


def test_the_patch_is_not_written_over_the_registry_file(hub, by_hand, company):
    before = (company / "company.yaml").read_bytes()
    arguments = ["publish", "tiny", "--to", REPO, "--dry-run", "--checkpoint", str(by_hand)]
    done = CliRunner().invoke(cli, [*arguments, "--patch", str(company / "company.yaml")])
    assert (done.exit_code, (company / "company.yaml").read_bytes()) == (2, before)
    assert "is a registry file, expected another one" in done.output


def test_an_address_that_logs_in_is_not_published(hub, by_hand, company, monkeypatch):
    file = msgspec.structs.replace(tiny().checkpoint, alternates=["https://me:word@example.org/net.pkl"])
    use(company, tiny(checkpoint=file), monkeypatch)
    with pytest.raises(UsageError, match=r"an address of example\.org logs in") as messages:
        publish("tiny", REPO, checkpoint=by_hand)
    assert "word@" not in str(messages.value)


def test_somebody_else_s_files_are_not_replaced(hub, by_hand):
    hub.make(REPO, {"model.safetensors": b"theirs", "config.json": b"{}"})
    with pytest.raises(UsageError, match=r"config\.json, model\.safetensors: there already"):
        publish("tiny", REPO, checkpoint=by_hand)
    assert files_of(hub)["model.safetensors"] == b"theirs"
    hub.make(REPO, {"README.md": b"# theirs\n"})
    publish("tiny", REPO, checkpoint=by_hand)
    assert files_of(hub)["README.md"] == b"# theirs\n"
    assert b"# TINY" in files_of(hub)["WEIGHTS.md"]


def test_publishing_again_replaces_the_files_and_keeps_the_card_s_numbers(hub, by_hand):
    publish("tiny", REPO, checkpoint=by_hand)
    card = files_of(hub)["README.md"].decode()
    number = {"type": "accuracy", "value": 70.0}
    result = {
        "task": {"type": "video-classification"},
        "dataset": {"type": "kinetics400", "name": "K"},
        "metrics": [number],
    }
    index = yaml.safe_dump({"model-index": [{"name": "tiny", "results": [result]}]})
    hub.commit(REPO, {"README.md": card.replace("---\n", f"---\n{index}", 1).encode()}, "a report")
    publish("tiny", REPO, checkpoint=by_hand)
    assert huggingface_hub.ModelCard(files_of(hub)["README.md"].decode()).data.eval_results[0].metric_value == 70.0


@pytest.mark.parametrize(
    ("where", "fault"), [("/objects/", 500), ("/objects/", "cut"), ("/commit/", 500), ("/create", 403)]
)
def test_an_upload_that_fails_leaves_no_commit_and_can_be_done_again(hub, by_hand, monkeypatch, where, fault):
    monkeypatch.setattr("time.sleep", lambda _: None)
    hub.faults = {("PUT", where): fault, ("POST", where): fault}
    with pytest.raises(UploadError):
        publish("tiny", REPO, checkpoint=by_hand)
    assert all(len(commits) == 1 for commits in hub.repos.values())
    hub.faults.clear()
    assert publish("tiny", REPO, checkpoint=by_hand).sent.commit == hub.head(REPO).oid

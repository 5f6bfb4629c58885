"""A cache of the test's own, a publisher on this machine, and a user's registry of two records with one base name."""

from __future__ import annotations

import json

import pytest

from tests.hub.publisher import running
from tests.inventory.looking import NAME, PUBLISHED, SHA256, caffe2
from videohub import resources


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    for name in ("VIDEOHUB_CACHE_RO", "VIDEOHUB_MIRRORS", "VIDEOHUB_OFFLINE", "HF_HUB_OFFLINE", "VIDEOHUB_REGISTRY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path / "cache"


@pytest.fixture
def run(run):
    """Run the command line and return its exit code, stdout and stderr; --json comes back parsed."""

    def parsed(*arguments):
        code, out, err = run(*arguments)
        return code, json.loads(out) if "--json" in arguments else out, err

    return parsed


@pytest.fixture
def contents():
    """Two checkpoints of the small network, as Caffe2 files; the first is the embedded one."""
    return PUBLISHED.read_bytes(), caffe2(pred_b=lambda blobs: blobs["pred_b"] + 1)


@pytest.fixture
def publisher():
    with running() as publisher:
        yield publisher


@pytest.fixture
def zoo(tmp_path, publisher, contents, monkeypatch):
    """A user's registry with two records whose files have one base name and other content; nobody states digests."""
    text = resources.registry_file().read_text()
    head, record = "schema_version: 1\nprotocols: {}\nrecords:\n", text[text.index(f"  {NAME}:") :]
    for name, content in zip(("first", "second"), contents, strict=True):
        url = publisher.publish(f"/{name}/MODEL.pkl", content)
        own = record.replace(NAME, name).replace("SLOWFAST_MOTIONS\n", f"{name.upper()}\n")
        own = own.replace("demo/SLOWFAST_MOTIONS.pkl          # beside this file", f"{url}   # ours")
        head += own.replace(SHA256, "null    # not yet").replace("1575119", "null")
    (tmp_path / "zoo.yaml").write_text(head)
    monkeypatch.setenv("VIDEOHUB_REGISTRY", str(tmp_path / "zoo.yaml"))
    return tmp_path / "zoo.yaml"

"""The whole way: from a publisher over one machine and a bundle to a machine that has no connection at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from tests.cache_admin.bundle_files import FILE
from tests.cache_admin.cache_files import NAME, PUBLISHED, SHA256
from tests.hub.publisher import running
from videohub import weights
from videohub.cache_admin import bundle_pack
from videohub.data.synthetic import motions
from videohub.hub import pins

pytestmark = pytest.mark.slow

DEAF = """
import sys
def refuse(event, arguments):
    if event.startswith("socket.") and event not in ("socket.__new__", "socket.bind", "socket.gethostname"):
        raise SystemExit(f"a connection was tried: {event} {arguments}")
sys.addaudithook(refuse)
"""
THERE = """
import json, os, torch, videohub
from videohub.cache_admin import bundle_install
bundle, video, state = sys.argv[1:]
found = bundle_install.unbundle(bundle)
if found.registry:
    os.environ["VIDEOHUB_REGISTRY"] = found.registry
torch.save(videohub.load("tiny").state_dict(), state)
print(json.dumps({
    "states": [each.state for each in found.records],
    "vouched_by": [each.vouched_by for each in sorted(found.records, key=lambda one: one.record != "tiny")],
    "registry": found.registry,
    "unbundled": [each.weights for each in found.records],
    "fetched": [str(videohub.fetch(each.record)) for each in found.records],
    "seen": [seen.label for seen in videohub.predict(video, "tiny")],
}))
"""


def deaf(program, *arguments, **variables):
    """Run a program in a process of its own that ends at the first word to any network, and return what it printed."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("VIDEOHUB_", "HF_"))}
    ended = subprocess.run(
        [sys.executable, "-c", f"{DEAF}\n{program}", *map(str, arguments)],
        env={**inherited, "VIDEOHUB_OFFLINE": "1", **{name: str(value) for name, value in variables.items()}},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("known_there", [True, False])
def test_what_was_published_here_loads_where_there_is_no_network(
    machine, company, tmp_path, monkeypatch, known_there, run
):
    monkeypatch.delenv("VIDEOHUB_OFFLINE")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running() as publisher:
        url = publisher.publish("/tiny.pkl", PUBLISHED.read_bytes())
        file = company(tiny={"url": url, "sha256": None, "size": None})
        machine("here", file)
        assert run("bundle", "tiny", NAME, "-o", tmp_path / "b.tar")[0] == 0
        assert publisher.requests == ["/tiny.pkl"]
        expected = load_file(weights.fetch("tiny"))
        assert pins.pin_of(url).sha256 == SHA256
    motions.generate(tmp_path / "videos", clips=1)
    (video,) = (tmp_path / "videos").rglob("*.mp4")

    home, registry = tmp_path / "there", file if known_there else ""
    messages = json.loads(deaf(THERE, tmp_path / "b.tar", video, tmp_path / "state.pt",
                           VIDEOHUB_HOME=home, VIDEOHUB_REGISTRY=registry))  # fmt: skip
    assert messages["states"] == ["installed", "installed"]
    assert (messages["registry"] is None) == known_there
    assert messages["fetched"] == messages["unbundled"]
    assert len(messages["seen"]) == 5
    result = torch.load(tmp_path / "state.pt", weights_only=True)
    assert result.keys() == expected.keys()
    assert all(torch.equal(result[key], expected[key]) for key in expected)
    assert (home / FILE).read_bytes() == PUBLISHED.read_bytes()
    assert messages["vouched_by"] == ["bundle", "registry"]


def test_the_deaf_process_would_notice_a_connection():
    with pytest.raises(AssertionError, match="a connection was tried"):
        deaf("import socket; socket.create_connection(('127.0.0.1', 9))")


# --- what the commands print -----------------------------------------------------------------------------------------


def test_bundle_prints_the_file_and_what_is_in_it(here, run, tmp_path, demo):
    code, out, err = run("bundle", "SLOWFAST_MOTIONS", "-o", tmp_path / "b.tar")
    assert (code, err) == (0, "")
    first, *rest = out.splitlines()
    assert first.startswith(f"{tmp_path / 'b.tar'}: ")
    assert bundle_pack.cache.sha256_of(tmp_path / "b.tar") in first
    assert [line.split()[0] for line in rest] == [
        "labels/motions.json", FILE, "registry.yaml",
    ]  # fmt: skip
    messages = run("bundle", NAME, "-o", tmp_path / "b.tar", "--json")[1]
    assert messages["out"] == str(tmp_path / "b.tar")
    assert messages["size"] == (tmp_path / "b.tar").stat().st_size
    assert messages["records"] == [NAME]
    assert [member["name"] for member in messages["members"]] == [line.split()[0] for line in rest]
    assert (tmp_path / "b.tar").read_bytes() == demo.read_bytes()


def test_unbundle_prints_what_was_installed_and_what_was_there(here, run, demo):
    for state in ("installed", "already here"):
        code, out, err = run("unbundle", demo)
        assert (code, err) == (0, "")
        assert f"{NAME}  {state}: {here / 'converted'}" in out
        assert "export" not in out


def test_unbundle_prints_the_line_that_adds_unknown_records_to_those_of_the_user(machine, company, run, tmp_path):
    machine("here", company(tiny={}))
    run("bundle", "tiny", "-o", tmp_path / "b.tar")
    machine("there", company("a b.yaml", base={}))
    out = run("unbundle", tmp_path / "b.tar")[1]
    line = out.splitlines()[-1]
    text = subprocess.run(
        ["sh", "-c", f'{line}; echo "$VIDEOHUB_REGISTRY"'], capture_output=True, text=True, check=True
    )
    first, second = text.stdout.strip().split(os.pathsep)
    assert first == str(tmp_path / "a b.yaml")
    assert second == run("unbundle", tmp_path / "b.tar", "--json")[1]["registry"]


def test_exit_codes_tell_misuse_from_a_bad_bundle(here, run, tmp_path):
    (tmp_path / "b.tar").write_text("<html>")
    assert run("unbundle", tmp_path / "b.tar")[0] == 1
    assert run("unbundle", tmp_path / "none.tar")[0] == 2
    assert run("bundle", "no_such_record", "-o", tmp_path / "c.tar")[0] == 2
    assert run("bundle", "slowfast_r101_8x8", "-o", tmp_path / "c.tar")[0] == 4
    assert run("bundle", NAME, "-o", tmp_path)[0] == 2
    assert not (tmp_path / "c.tar").exists()

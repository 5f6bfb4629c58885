"""What was trusted on first use is shown, handed to the registry as a patch, and let go when somebody says so."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess

import pytest

from tests.cache_admin.cache_files import SHA256, narrow, only
from videohub import registry


def test_pins_are_shown_with_all_that_is_known(run, zoo):
    run("fetch", "second", "first")
    code, out, _ = run("cache", "pins")
    assert (code, narrow(out)) == (0, True)
    found = run("cache", "pins", "--json")[1]
    assert [pin["records"] for pin in found] == [["first"], ["second"]]
    for pin in found:
        assert (pin["status"], pin["read_only"]) == ("current", False)
        assert f"sha256 {pin['sha256']}" in out
        assert f"1.58 MB, first seen {pin['first_seen']}" in out
        assert pin["url"] in out


@pytest.mark.parametrize("command", [["git", "apply"], ["patch", "-p1", "--quiet"]], ids=["git apply", "patch"])
def test_the_patch_applies_and_the_registry_states_the_digests_afterwards(run, tmp_path, zoo, command):
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]} here")
    run("fetch", "first", "second")
    code, out, err = run("cache", "pins", "--patch")
    assert (code, err) == (0, "")
    said = run("cache", "pins", "--patch", "--json")[1]
    assert (said["text"], said["records"], said["left"]) == (out, ["first", "second"], {})
    before = zoo.read_text()
    subprocess.run(command, cwd=tmp_path, input=out.encode(), check=True)
    assert zoo.read_text().count("# not yet") == before.count("# not yet") == 2
    bound = {pin["records"][0]: pin for pin in run("cache", "pins", "--json")[1]}
    for name in ("first", "second"):
        published = registry.record(name).checkpoint
        assert (published.sha256, published.size) == (bound[name]["sha256"], bound[name]["size"])
        assert bound[name]["status"] == "redundant"
    code, out, err = run("cache", "pins", "--patch")
    assert (code, out) == (0, "")
    assert "nothing to fill" in err


def test_a_digest_that_contradicts_the_registry_is_told_and_not_patched(run, zoo):
    run("fetch", "first")
    zoo.write_text(zoo.read_text().replace("null    # not yet", "f" * 64, 1))
    code, out, err = run("cache", "pins", "--patch")
    assert (code, out) == (0, "")
    assert "first: the registry states another file" in err


def test_a_forgotten_record_is_trusted_anew_by_the_command_that_the_refusal_names(run, home, zoo, publisher, contents):
    run("fetch", "first")
    shutil.rmtree(home / "raw")
    shutil.rmtree(home / "converted")
    publisher.publish("/first/MODEL.pkl", contents[1])
    code, _, err = run("fetch", "first")
    assert code == 4
    (command,) = [line for line in err.splitlines() if "cache pins --forget" in line]
    assert "`videohub cache pins --forget first`" in command
    code, out, _ = run("cache", "pins", "--forget", "first")
    assert code == 0
    assert SHA256 in out
    assert registry.record("first").checkpoint.url in out
    assert not list((home / "pins").iterdir())
    assert run("fetch", "first")[0] == 0
    assert run("cache", "pins", "--json")[1][0]["sha256"] != SHA256


def test_forgetting_takes_the_published_file_along_and_a_url_will_do(run, home, zoo):
    run("fetch", "first", "second")
    url = registry.record("first").checkpoint.url
    (forgotten,) = run("cache", "pins", "--forget", url, "--json")[1]
    assert (forgotten["url"], forgotten["was_pinned"], forgotten["sha256"]) == (url, True, SHA256)
    assert not (home / "raw" / SHA256).exists()
    assert [pin["records"] for pin in run("cache", "pins", "--json")[1]] == [["second"]]


def test_forgetting_what_was_never_seen_says_so(run, zoo):
    code, out, _ = run("cache", "pins", "--forget", "first")
    assert (code, "nothing was known" in out) == (0, True)
    assert run("cache", "pins", "--forget", "frist")[0] == 2
    assert run("cache", "pins", "--forget", "slowfast_r101_8x8")[0] == 2
    assert run("cache", "pins", "--forget", "first", "--patch")[0] == 2


def test_a_pin_in_a_read_only_cache_dir_cannot_be_forgotten_here(run, home, tmp_path, zoo, monkeypatch):
    run("fetch", "first")
    home.rename(tmp_path / "shared")
    monkeypatch.setenv("VIDEOHUB_CACHE_RO", str(tmp_path / "shared"))
    assert run("cache", "pins", "--json")[1][0]["read_only"]
    code, _, err = run("cache", "pins", "--forget", "first")
    assert code == 5
    assert "VIDEOHUB_CACHE_RO" in err
    assert only(tmp_path / "shared", "pins/*").is_file()


def test_several_registries_make_one_patch_and_nulls_written_inline_are_filled_too(
    run, tmp_path, zoo, publisher, contents, monkeypatch
):
    other = publisher.publish("/third/MODEL.pkl", contents[1])
    text = zoo.read_text()
    text = text[: text.index("  second:")].replace("  first:", "  third:").replace("FIRST", "THIRD")
    checkpoint = (
        f'    checkpoint: {{url: "{other}", sha256: null, size: null, container: caffe2, layout: caffe2,\n'
        "                 license: ours}   # in flow style\n"
    )
    (tmp_path / "flow.yaml").write_text(re.sub(r"    checkpoint:\n(      .*\n)+", lambda _: checkpoint, text))
    monkeypatch.setenv("VIDEOHUB_REGISTRY", f"{zoo}{os.pathsep}{tmp_path / 'flow.yaml'}")
    run("fetch", "first", "third")
    said = run("cache", "pins", "--patch", "--json")[1]
    assert said["files"] == [str(zoo), str(tmp_path / "flow.yaml")]
    assert said["records"] == ["first", "third"]
    subprocess.run(["git", "apply"], cwd=tmp_path, input=said["text"].encode(), check=True)
    assert registry.record("third").checkpoint.sha256 == hashlib.sha256(contents[1]).hexdigest()
    assert [registry.record(name).checkpoint.size for name in ("first", "second", "third")] == [
        len(contents[0]), None, len(contents[1]),
    ]  # fmt: skip

"""What was first seen binds, until somebody lets it go; what is damaged is made anew from what is here, or removed."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.cache_admin.cache_files import (
    DAY,
    NAME,
    SHA256,
    caffe2,
    damage,
    entries,
    narrow,
    only,
    statuses,
    tree,
    used,
)
from videohub import registry, weights
from videohub.hub import cache, partial_download, pins


def test_pins_are_shown_with_all_that_is_known(run, zoo):
    run("fetch", "second", "first")
    code, out, _ = run("cache", "pins")
    assert (code, narrow(out)) == (0, True)
    result = run("cache", "pins", "--json")[1]
    assert [pin["records"] for pin in result] == [["first"], ["second"]]
    for pin in result:
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
    text = run("cache", "pins", "--patch", "--json")[1]
    assert (text["text"], text["records"], text["left"]) == (out, ["first", "second"], {})
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


def test_of_a_record_in_several_files_each_is_forgotten(run, home):
    (name, *_) = [name for name, record in registry.default().records.items() if record.checkpoint.beside]
    urls = [file.url for file in registry.record(name).checkpoint.files]
    for url in urls:
        pins.pin(url, "0" * 64, 1)
    forgotten = run("cache", "pins", "--forget", name, "--json")[1]
    assert [(one["url"], one["was_pinned"]) for one in forgotten] == [(url, True) for url in urls]
    assert not any(map(pins.pin_of, urls))


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
    words = run("cache", "pins", "--patch", "--json")[1]
    assert words["files"] == [str(zoo), str(tmp_path / "flow.yaml")]
    assert words["records"] == ["first", "third"]
    subprocess.run(["git", "apply"], cwd=tmp_path, input=words["text"].encode(), check=True)
    assert registry.record("third").checkpoint.sha256 == hashlib.sha256(contents[1]).hexdigest()
    assert [registry.record(name).checkpoint.size for name in ("first", "second", "third")] == [
        len(contents[0]), None, len(contents[1]),
    ]  # fmt: skip


def test_a_sound_cache_is_sound_and_checking_it_is_no_use_of_it(run, home, zoo):
    run("fetch", "first", "second")
    for path in home.rglob("*"):
        used(path, 20)
    before = tree(home)
    code, checked, err = run("cache", "verify", "--json")
    assert (code, checked["checked"], checked["damaged"], err) == (0, 6, [], "")
    assert checked["size"] == sum(size for size, _ in before.values())
    assert tree(home) == before
    assert all(entry["age_s"] >= 20 * DAY - 60 for entry in entries(run))
    assert "6 sound, 0 damaged" in run("cache", "verify")[1]


@pytest.mark.parametrize("harm", [damage, lambda path: path.write_bytes(b""), lambda path: os.truncate(path, 5000)],
                         ids=["one bit", "empty", "cut"])  # fmt: skip
def test_damaged_weights_are_made_anew_from_the_published_file_that_is_here(run, home, zoo, publisher, harm):
    run("fetch", "first")
    path = only(home, "converted/*")
    good = path.read_bytes()
    harm(path)
    asked = len(publisher.requests)
    code, checked, _ = run("cache", "verify", "--json")
    assert code == 1
    (finding,) = checked["damaged"]
    assert (finding["kind"], finding["records"], finding["done"]) == ("converted", ["first"], "rebuilt")
    assert path.read_bytes() == good
    assert len(publisher.requests) == asked
    assert run("cache", "verify")[0] == 0


def test_damaged_weights_of_the_embedded_file_are_made_anew_from_it(run, home):
    path = weights.fetch(NAME)
    good = path.read_bytes()
    damage(path)
    code, out, _ = run("cache", "verify")
    assert (code, path.read_bytes()) == (1, good)
    assert f"damaged: converted of {NAME}" in out
    assert "rebuilt" in out
    assert narrow(out)


@pytest.mark.parametrize(
    "harm", [b'\\"name\\":\\"fi2st\\"', b'\\"name\\";\\"first\\"'], ids=["another name", "no JSON"]
)
def test_weights_that_no_longer_say_whose_they_are_are_made_anew(run, home, zoo, harm):
    run("fetch", "first")
    path = only(home, "converted/*")
    good, text = path.read_bytes(), b'\\"name\\":\\"first\\"'
    assert good.count(text) == 1
    path.write_bytes(good.replace(text, harm))
    (finding,) = run("cache", "verify", "--json")[1]["damaged"]
    assert (finding["records"], finding["done"]) == (["first"], "rebuilt")
    assert path.read_bytes() == good


def test_weights_made_with_ignore_are_made_anew_with_it(run, home, zoo, publisher):
    publisher.publish("/first/MODEL.pkl", caffe2(surprise_w=lambda blobs: blobs["pred_b"]))
    path = weights.fetch("first", ignore=["surprise*"])
    good = path.read_bytes()
    damage(path)
    assert run("cache", "verify", "--json")[1]["damaged"][0]["done"] == "rebuilt"
    assert path.read_bytes() == good


def test_damaged_weights_without_a_sound_published_file_are_removed(run, home, zoo):
    run("fetch", "first")
    damage(only(home, "converted/*"))
    damage(only(home, "raw/*"))
    code, checked, _ = run("cache", "verify", "--json")
    assert code == 1
    assert {finding["kind"]: finding["done"] for finding in checked["damaged"]} == {
        "raw": "removed",
        "converted": "removed",
    }
    assert all("`videohub fetch first`" in finding["advice"] for finding in checked["damaged"])
    assert [entry["kind"] for entry in entries(run)] == ["pin"]
    assert run("fetch", "first")[0] == 0
    assert run("cache", "verify")[0] == 0


def test_damaged_weights_of_a_file_of_one_s_own_say_how_they_were_made(run, tmp_path, contents):
    (tmp_path / "own.pkl").write_bytes(contents[1])
    damage(weights.fetch(NAME, checkpoint=tmp_path / "own.pkl"))
    (finding,) = run("cache", "verify", "--json")[1]["damaged"]
    assert finding["done"] == "removed"
    assert f"`videohub fetch {NAME} --checkpoint FILE`" in finding["advice"]


def test_a_damaged_pin_is_left_and_said_to_whom_it_belongs(run, home, zoo):
    run("fetch", "first")
    pin = only(home, "pins/*")
    pin.write_bytes(b"\xff\x00 no JSON")
    assert statuses(run)["pin", "first"] == "damaged"
    (finding,) = run("cache", "verify", "--json")[1]["damaged"]
    assert (finding["kind"], finding["done"]) == ("pin", "left")
    assert "videohub cache pins --forget first" in finding["advice"]
    assert pin.is_file()
    code, out, _ = run("cache", "pins")
    assert (code, "damaged" in out) == (0, True)
    code, out, _ = run("cache", "pins", "--forget", "first")
    assert (code, pin.exists()) == (0, False)
    assert "damaged" in out
    assert run("fetch", "first")[0] == 0


def test_a_published_file_of_another_size_is_damaged_at_first_sight(run, home, zoo):
    run("fetch", "first")
    os.truncate(only(home, "raw/*"), 1000)
    assert statuses(run)["raw", "first"] == "damaged"
    assert run("cache", "prune", "--status", "damaged", "--json")[1]["freed"] == 1000


def test_damage_in_a_read_only_cache_dir_is_reported_and_left(run, home, tmp_path, zoo, monkeypatch):
    run("fetch", "first")
    home.rename(tmp_path / "shared")
    monkeypatch.setenv("VIDEOHUB_CACHE_RO", str(tmp_path / "shared"))
    for pattern in ("raw/*", "converted/*", "pins/*"):
        damage(only(tmp_path / "shared", pattern))
    for path in tmp_path.glob("shared/**/*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = tree(tmp_path / "shared")
    try:
        code, checked, _ = run("cache", "verify", "--json")
        assert code == 1
        assert {finding["kind"] for finding in checked["damaged"]} >= {"raw", "converted"}
        for finding in checked["damaged"]:
            assert (finding["done"], finding["read_only"]) == ("left", True)
            assert "VIDEOHUB_CACHE_RO" in finding["advice"]
        assert "(read-only)" in run("cache", "list")[1]
        code, result, _ = run("cache", "prune", "--older", "0d", "--keep", "0", "--yes", "--json")
        assert (code, result["entries"]) == (0, [])
        assert tree(tmp_path / "shared") == before
    finally:
        for path in tmp_path.glob("shared/**/*"):
            path.chmod(0o755)


def test_a_file_that_another_process_puts_there_meanwhile_is_judged_on_its_own(run, home, zoo, monkeypatch):
    run("fetch", "first")
    path = only(home, "raw/*")
    good = path.read_bytes()
    damage(path)
    real = cache.sha256_of

    def slow(file):
        result = real(file)
        if file == path and path.read_bytes() != good:
            (path.parent / "new").write_bytes(good)
            (path.parent / "new").replace(path)
        return result

    monkeypatch.setattr(cache, "sha256_of", slow)
    assert run("cache", "verify", "--json")[:2][1]["damaged"] == []
    assert path.read_bytes() == good


def test_an_entry_that_goes_meanwhile_is_no_damage(run, home, zoo, monkeypatch):
    run("fetch", "first")
    path = only(home, "raw/*")

    def gone(file):
        file.unlink()
        raise FileNotFoundError(2, "No such file or directory", str(file))

    monkeypatch.setattr(cache, "sha256_of", gone)
    assert run("cache", "verify", "--json")[1]["damaged"] == []
    assert not path.exists()


def test_what_the_disk_does_not_give_is_told_and_left_where_it_cannot_be_removed(run, home, zoo, monkeypatch):
    run("fetch", "first")

    def refused(file):
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr(cache, "sha256_of", refused)
    monkeypatch.setattr(Path, "unlink", lambda path, missing_ok=False: refused(path))
    (finding,) = run("cache", "verify", "--json")[1]["damaged"]
    assert (finding["done"], finding["problem"]) == ("left", "cannot be read: Permission denied")
    assert "cannot be removed: Permission denied" in finding["advice"]


def test_a_download_under_way_is_neither_checked_nor_removed(run, home):
    part = partial_download.Part(
        partial_download.Note("https://publisher.example/M.pkl", "https://mirror.example/M.pkl", None, None)
    )
    part.write(b"half")
    code, checked, _ = run("cache", "verify", "--json")
    assert (code, checked["checked"]) == (0, 0)
    assert part.path.is_file()
    part.drop()


def test_what_a_read_only_cache_dir_has_too_is_not_made_anew(run, home, tmp_path, zoo, monkeypatch):
    run("fetch", "first")
    shutil.copytree(home, tmp_path / "shared")
    monkeypatch.setenv("VIDEOHUB_CACHE_RO", str(tmp_path / "shared"))
    damage(only(home, "converted/*"))
    (finding,) = run("cache", "verify", "--json")[1]["damaged"]
    assert (finding["done"], finding["read_only"]) == ("removed", False)
    assert "read-only cache dir has it" in finding["advice"]
    assert not list(home.glob("converted/*"))
    assert weights.fetch("first").parents[1] == tmp_path / "shared"


@pytest.mark.slow
def test_files_that_come_and_go_all_the_time_are_never_taken_for_damaged(run, home, zoo):
    """One removes and fetches while another verifies: nothing sound is called damaged."""
    ended = threading.Event()

    def come_and_go():
        while not ended.is_set():
            weights.fetch("second")
            for path in (*home.glob("raw/*"), *home.glob("converted/*")):
                path.unlink()

    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(come_and_go)
        try:
            for arguments in [("verify",), ("list",), ("prune", "--older", "1h", "--yes")] * 10:
                code, result, _ = run("cache", *arguments, "--json")
                assert code == 0, result
        finally:
            ended.set()
        working.result()

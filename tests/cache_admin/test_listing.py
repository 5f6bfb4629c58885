"""The cache is listed with what each entry is to the records, and pruned by age, size and status."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.cache_admin.cache_files import NAME, SHA256, caffe2, entries, narrow, only, statuses, tree, used
from videohub import cli, registry, weights
from videohub.cli.cache import _size
from videohub.hub import cache, partial_download, pins


def test_path_prints_our_own_folder_and_json_all_cache_dirs(run, home, tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEOHUB_CACHE_RO", str(tmp_path / "shared"))
    assert run("cache", "path") == (0, f"{home}\n", "")
    assert run("cache", "path", "--json")[1] == {
        "path": str(home),
        "cache_dirs": [{"path": str(tmp_path / "shared"), "read_only": True}, {"path": str(home), "read_only": False}],
    }


def test_an_empty_cache_is_listed_verified_and_not_made(run, home):
    for verb in ("list", "verify", "pins"):
        code, out, _ = run("cache", verb)
        assert (code, narrow(out)) == (0, True)
    assert not home.exists()


def test_two_records_with_one_base_name_keep_what_is_theirs_apart(run, home, zoo):
    run("fetch", "first", "second")
    result = statuses(run)
    assert result == {(kind, name): "redundant" if kind == "raw" else "current"
                     for kind in ("raw", "converted", "pin") for name in ("first", "second")}  # fmt: skip
    for entry in entries(run):
        if entry["kind"] == "raw":
            assert entry["url"].endswith(f"/{entry['records'][0]}/MODEL.pkl")
            assert Path(entry["path"]).read_bytes()[:100]
    only(home, f"converted/{SHA256}-*").unlink()
    assert statuses(run)["raw", "first"] == "current"
    assert statuses(run)["raw", "second"] == "redundant"


def test_the_table_fits_eighty_columns_and_says_what_json_says(run, zoo):
    run("fetch", "first", "second", NAME)
    code, out, err = run("cache", "list")
    assert (code, err, narrow(out)) == (0, "", True)
    rows = [line.split() for line in out.splitlines() if line.startswith(("raw ", "converted ", "pin "))]
    listed = [(entry["kind"], entry["status"], *entry["records"]) for entry in entries(run)]
    assert [(row[0], row[1], row[-1]) for row in rows] == listed
    assert len(listed) == 7
    total = run("cache", "list", "--json")[1]["size"]
    assert total == sum(entry["size"] for entry in entries(run))
    assert f"7 entries, {total / 1e6:.3g} MB: raw 3.15 MB, converted 4.77 MB, pin " in out


def test_the_longest_name_and_many_others_fit_eighty_columns(run, home):
    record = registry.record("slowfast_r101_16x8_k600_nl_ava22_pretrain")
    pins.pin(record.checkpoint.url, SHA256, 1)
    for name in ("x" * 200, *"abcdef"):
        (home / name).write_text("theirs")
    _, out, _ = run("cache", "list")
    assert narrow(out)
    assert record.name in out
    assert "and 4 more" in out
    assert narrow(run("cache", "pins")[1])


def test_weights_of_a_file_of_one_s_own_are_local(run, tmp_path, contents):
    (tmp_path / "own.pkl").write_bytes(contents[1])
    run("fetch", NAME, "--checkpoint", tmp_path / "own.pkl")
    run("fetch", NAME)
    assert sorted(entry["status"] for entry in entries(run)) == ["current", "local"]
    assert [entry["source"] for entry in entries(run) if entry["status"] == "local"] == ["own.pkl"]
    assert run("cache", "list")[1].count(f"{NAME}, from own.pkl") == 1


def test_weights_made_with_ignore_are_current(run, tmp_path):
    (tmp_path / "own.pkl").write_bytes(caffe2(surprise_w=lambda blobs: blobs["pred_b"]))
    weights.fetch(NAME, checkpoint=tmp_path / "own.pkl", ignore=["surprise*"])
    assert statuses(run) == {("converted", NAME): "local"}
    weights.fetch(NAME, ignore=["surprise*"])
    assert sorted(entry["status"] for entry in entries(run)) == ["current", "local"]


def test_weights_of_another_conversion_are_stale(run, monkeypatch):
    with monkeypatch.context() as older:
        older.setattr(weights, "_CONVERTER", 1)
        weights.fetch(NAME)
    assert statuses(run) == {("converted", NAME): "stale"}


def test_a_published_file_that_its_record_does_not_name_any_more_is_stale(run, zoo):
    run("fetch", "first")
    zoo.write_text(zoo.read_text().replace("null    # not yet", "f" * 64, 1))
    assert statuses(run) == {
        ("raw", "first"): "stale",
        ("converted", "first"): "local",  # made from another file than the record's
        ("pin", "first"): "stale",
    }


def test_a_pin_that_the_registry_states_by_now_is_redundant(run, zoo):
    run("fetch", "first")
    zoo.write_text(zoo.read_text().replace("null    # not yet", SHA256, 1))
    assert statuses(run)["pin", "first"] == "redundant"


def test_what_belongs_to_a_registry_that_is_not_loaded_is_unknown(run, zoo, monkeypatch):
    run("fetch", "first")
    monkeypatch.delenv("VIDEOHUB_REGISTRY")
    assert {entry["kind"]: entry["status"] for entry in entries(run)} == dict.fromkeys(
        ("raw", "converted", "pin"), "unknown"
    )
    assert "MODEL.pkl" in run("cache", "list")[1].replace("\n", "")


def test_a_date_in_the_future_is_now(run, home):
    used(weights.fetch(NAME), -400)
    (entry,) = entries(run)
    assert entry["age_s"] == 0
    assert " now " in run("cache", "list")[1]
    code, result, _ = run("cache", "prune", "--older", "1h", "--json")
    assert (code, result["entries"]) == (0, [])


def test_one_file_may_belong_to_several_records(run, zoo, publisher, contents):
    publisher.publish("/second/MODEL.pkl", contents[0])
    run("fetch", "first", "second")
    assert statuses(run)["raw", "first", "second"] == "redundant"
    assert ("converted", "second") in statuses(run)


def test_an_unbundled_registry_is_current_where_it_is_loaded(run, home, zoo, monkeypatch):
    text = zoo.read_bytes()
    kept = home / "registries" / f"{hashlib.sha256(text).hexdigest()[:16]}.yaml"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(text)
    assert statuses(run) == {("registry",): "unknown"}
    monkeypatch.setenv("VIDEOHUB_REGISTRY", str(kept))
    assert statuses(run) == {("registry",): "current"}
    kept.write_bytes(text.replace(b"# not yet", b"# not yes"))  # damage by which it can still be read
    (finding,) = run("cache", "verify", "--json")[1]["damaged"]
    assert (finding["kind"], finding["done"]) == ("registry", "left")


@pytest.mark.parametrize(
    "header",
    [
        {"videohub": "9.9", "record": "no JSON"},
        {"videohub": "9.9", "record": "[]"},
        {"videohub": "9.9", "record": "[" * 100_000},
        {"videohub": "9.9", "record": '{"name": ' + "9" * 5000 + "}"},
        {"videohub": "9.9", "record": json.dumps({"name": NAME}), "ignore": "no JSON" + "[" * 100_000},
        {"videohub": "9.9", "record": json.dumps({"name": NAME}), "ignore": "no JSON"},
        {"videohub": "9.9", "record": json.dumps({"name": "\x1b[31m" + "long" * 40})},
        {"videohub": "9.9"},
        {"other": "library"},
        {},
    ],
)
def test_weights_with_an_odd_header_are_listed_with_what_can_be_told(run, home, header):
    path = home / "converted" / f"{SHA256}-{'0' * 16}.safetensors"
    path.parent.mkdir(parents=True)
    save_file({"weight": torch.ones(1)}, path, metadata=header)
    (entry,) = entries(run)
    expected = "stale" if "no JSON" in header.get("ignore", "") else "unknown" if "videohub" in header else "damaged"
    assert entry["status"] == expected
    _, out, _ = run("cache", "list")
    assert narrow(out)
    assert "\x1b" not in out


def test_names_that_are_no_text_are_shown_and_never_in_the_way(run, home):
    home.mkdir()
    (Path(os.fsdecode(bytes(home) + b"/odd\xff\x1b[31m"))).write_text("theirs")
    assert "\x1b" not in run("cache", "list")[1]
    (entry,) = entries(run)
    assert os.fsencode(entry["path"]) == bytes(home) + b"/odd\xff\x1b[31m"


def test_a_cache_folder_that_is_none_is_said_to_be_so(run, home):
    home.write_text("a file")
    for verb in ("list", "verify", "pins"):
        code, out, err = run("cache", verb)
        assert (code, out) == (5, "")
        assert "Not a directory" in err


def test_a_registry_whose_table_does_not_exist_is_told_before_anything_is_listed(run, zoo):
    zoo.write_text(zoo.read_text().replace('layout: "caffe2"', 'layout: "of_tomorrow"', 1))
    code, out, err = run("cache", "list")
    assert (code, out) == (2, "")
    assert "of_tomorrow" in err


@pytest.mark.parametrize("arguments", [["list"], ["path"], ["pins"], ["prune", "--status", "stale"]])
def test_looking_at_the_cache_loads_neither_torch_nor_a_network_library(home, zoo, arguments):
    weights.fetch(NAME)
    code = (
        f"import sys; sys.argv = ['videohub', 'cache', *{arguments!r}]; from videohub.cli import main; main();"
        "print([name for name in ('torch', 'av', 'requests', 'huggingface_hub') if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2])}
    out = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    assert out.stdout.splitlines()[-1] == "[]"


def test_pruning_without_a_condition_is_misuse_that_says_what_can_be_given(run, home, zoo):
    run("fetch", "first")
    before = tree(home)
    for more in ([], ["--yes"]):
        code, out, err = run("cache", "prune", *more)
        assert (code, out) == (2, "")
        for text in ("--older", "--keep", "--status", "stale", "unfinished"):
            assert text in err
    assert tree(home) == before


@pytest.mark.parametrize(
    "condition", [["--older", "0d"], ["--keep", "0"], ["--status", "redundant"], ["--status", "current"]]
)  # fmt: skip
def test_without_yes_nothing_changes_and_with_it_exactly_what_was_said_goes(run, home, zoo, condition):
    run("fetch", "first", "second")
    before = tree(home)
    code, messages, _ = run("cache", "prune", *condition, "--json")
    assert (code, messages["removed"]) == (0, False)
    assert tree(home) == before
    code, out, _ = run("cache", "prune", *condition)
    assert "Nothing was removed" in out
    assert narrow(out)
    assert tree(home) == before
    code, done, _ = run("cache", "prune", *condition, "--yes", "--json")
    assert (code, done["removed"]) == (0, True)
    strip = [{**entry, "age_s": 0} for entry in messages["entries"]]
    assert [{**entry, "age_s": 0} for entry in done["entries"]] == strip
    assert {str(path) for path in set(before) - set(tree(home))} == {entry["path"] for entry in messages["entries"]}
    assert messages["freed"] == sum(entry["size"] for entry in messages["entries"]) > 0
    assert messages["size_after"] == sum(size for size, _ in tree(home).values())


def test_pins_outlive_every_condition_and_everything_can_be_fetched_again(run, home, zoo):
    run("fetch", "first", "second")
    for path in home.rglob("*"):
        used(path, 1000)
    run("cache", "prune", "--older", "1d", "--yes")
    assert {entry["kind"] for entry in entries(run)} == {"pin"}
    run("cache", "prune", "--keep", "0", "--yes")
    run("cache", "prune", "--status", "current", "--status", "unknown", "--yes")
    assert {entry["kind"] for entry in entries(run)} == {"pin"}
    assert run("fetch", "first", "second")[0] == 0
    assert run("cache", "verify")[0] == 0


def test_only_what_was_not_used_for_so_long_goes_by_age(run, home, zoo):
    run("fetch", "first", "second")
    used(only(home, f"raw/{SHA256}"), 31)
    used(only(home, f"converted/{SHA256}-*"), 29)
    result = run("cache", "prune", "--older", "30d", "--json")[1]["entries"]
    assert [(entry["kind"], *entry["records"]) for entry in result] == [("raw", "first")]
    assert len(run("cache", "prune", "--older", "4w", "--json")[1]["entries"]) == 2
    assert run("cache", "prune", "--older", "30d", "--status", "current", "--json")[1]["entries"] == []


def test_the_least_recently_used_go_first_until_the_cache_is_small_enough(run, home, zoo):
    run("fetch", "first", "second")
    order = sorted((*home.glob("raw/*"), *home.glob("converted/*")), key=lambda path: path.name)
    for days, path in enumerate(order):
        used(path, days + 1)
    total = run("cache", "list", "--json")[1]["size"]
    result = run("cache", "prune", "--keep", f"{total - 2_000_000}", "--json")[1]
    assert [entry["path"] for entry in result["entries"]] == [str(order[3]), str(order[2])]
    assert result["size_after"] <= total - 2_000_000
    assert run("cache", "prune", "--keep", "1GB", "--json")[1]["entries"] == []


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("10", 10), ("1.5kB", 1500), ("2 MB", 2e6), ("1g", 1e9), ("1KiB", 1024), ("1TB", 1e12)]
)
def test_sizes_are_read_as_people_write_them(text, size):
    assert _size(None, None, text) == size


@pytest.mark.parametrize(
    "condition", [["--older", "30"], ["--older", "soon"], ["--older", "-1d"], ["--keep", "much"], ["--status", "old"]]
)
def test_conditions_that_make_no_sense_are_misuse(run, condition):
    code, out, err = run("cache", "prune", *condition)
    assert (code, out) == (2, "")
    assert condition[0] in err


def test_downloads_of_a_process_at_work_are_left_alone(run, home, zoo):
    url = registry.record("first").checkpoint.url
    part = partial_download.Part(partial_download.Note(url, url, None, None))
    part.write(b"half")
    part.close()
    for path in (home / "partial").iterdir():
        used(path, 5)
    assert statuses(run) == {("partial", "first"): "unfinished"}
    lock = cache.place("locks", f"{cache.key_of(url)[:32]}.lock")
    lock.parent.mkdir()
    with lock.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert statuses(run) == {("partial", "first"): "at work", ("lock", "first"): "at work"}
        before = tree(home)
        code, result, _ = run("cache", "prune", "--status", "unfinished", "--yes", "--json")
        assert (code, result["entries"], len(result["busy"])) == (0, [], 2)
        assert "perhaps still being written" in run("cache", "prune", "--older", "1d", "--yes")[1]
        assert tree(home) == before
    used(lock, 5)
    code, result, _ = run("cache", "prune", "--status", "unfinished", "--yes", "--json")
    assert len(result["entries"]) == 2
    assert tree(home) == {}


def test_what_others_put_into_the_folder_is_named_and_never_touched(run, home):
    weights.fetch(NAME)
    theirs = [home / "notes.txt", home / "huggingface" / "hub" / "model.bin", home / "raw" / "MODEL.pkl"]
    for path in theirs:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("theirs")
        used(path, 1000)
    _, out, _ = run("cache", "list")
    assert "not ours, and never touched: huggingface, notes.txt, MODEL.pkl" in out
    run("cache", "prune", "--older", "0d", "--keep", "0", "--yes")
    assert run("cache", "verify")[0] == 0
    assert set(tree(home)) == set(theirs)

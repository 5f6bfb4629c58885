"""Room is made as told: nothing without a condition, nothing without a yes, and never what is trusted or shared."""

from __future__ import annotations

import fcntl

import pytest

from tests.cache_admin.cache_files import NAME, SHA256, entries, narrow, only, statuses, tree, used
from videohub import registry, weights
from videohub.cli.cache import _size
from videohub.hub import cache, partial_download


def test_pruning_without_a_condition_is_misuse_that_says_what_can_be_given(run, home, zoo):
    run("fetch", "first")
    before = tree(home)
    for more in ([], ["--yes"]):
        code, out, err = run("cache", "prune", *more)
        assert (code, out) == (2, "")
        for said in ("--older", "--keep", "--status", "stale", "unfinished"):
            assert said in err
    assert tree(home) == before


@pytest.mark.parametrize(
    "condition", [["--older", "0d"], ["--keep", "0"], ["--status", "redundant"], ["--status", "current"]]
)  # fmt: skip
def test_without_yes_nothing_changes_and_with_it_exactly_what_was_said_goes(run, home, zoo, condition):
    run("fetch", "first", "second")
    before = tree(home)
    code, told, _ = run("cache", "prune", *condition, "--json")
    assert (code, told["removed"]) == (0, False)
    assert tree(home) == before
    code, out, _ = run("cache", "prune", *condition)
    assert "Nothing was removed" in out
    assert narrow(out)
    assert tree(home) == before
    code, done, _ = run("cache", "prune", *condition, "--yes", "--json")
    assert (code, done["removed"]) == (0, True)
    strip = [{**entry, "age_s": 0} for entry in told["entries"]]
    assert [{**entry, "age_s": 0} for entry in done["entries"]] == strip
    assert {str(path) for path in set(before) - set(tree(home))} == {entry["path"] for entry in told["entries"]}
    assert told["freed"] == sum(entry["size"] for entry in told["entries"]) > 0
    assert told["size_after"] == sum(size for size, _ in tree(home).values())


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
    found = run("cache", "prune", "--older", "30d", "--json")[1]["entries"]
    assert [(entry["kind"], *entry["records"]) for entry in found] == [("raw", "first")]
    assert len(run("cache", "prune", "--older", "4w", "--json")[1]["entries"]) == 2
    assert run("cache", "prune", "--older", "30d", "--status", "current", "--json")[1]["entries"] == []


def test_the_least_recently_used_go_first_until_the_cache_is_small_enough(run, home, zoo):
    run("fetch", "first", "second")
    order = sorted((*home.glob("raw/*"), *home.glob("converted/*")), key=lambda path: path.name)
    for days, path in enumerate(order):
        used(path, days + 1)
    total = run("cache", "list", "--json")[1]["size"]
    found = run("cache", "prune", "--keep", f"{total - 2_000_000}", "--json")[1]
    assert [entry["path"] for entry in found["entries"]] == [str(order[3]), str(order[2])]
    assert found["size_after"] <= total - 2_000_000
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
        code, found, _ = run("cache", "prune", "--status", "unfinished", "--yes", "--json")
        assert (code, found["entries"], len(found["busy"])) == (0, [], 2)
        assert "perhaps still being written" in run("cache", "prune", "--older", "1d", "--yes")[1]
        assert tree(home) == before
    used(lock, 5)
    code, found, _ = run("cache", "prune", "--status", "unfinished", "--yes", "--json")
    assert len(found["entries"]) == 2
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

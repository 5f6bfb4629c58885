"""The options of a call, which samples they draw, and whose these are: by hand, and the same everywhere."""

from __future__ import annotations

import hashlib
import inspect
from collections import Counter
from pathlib import Path

import msgspec
import pytest

import videohub
from videohub.data.samples import Sample, VideoFile
from videohub.errors import UsageError
from videohub.evaluation import distributed
from videohub.evaluation.distributed import Shard
from videohub.terminal.options import RUN_OPTIONS
from videohub.verification.settings import Settings, shuffled, stratified


def samples(*counts: int) -> list[Sample]:
    """So many samples of class 0, 1, …, interleaved as a list might have them."""
    made = [Sample(f"c{right}v{n}", VideoFile(Path("x")), (right,)) for right, many in enumerate(counts)
            for n in range(many)]  # fmt: skip
    return sorted(made, key=lambda sample: sample.name[::-1])


def test_each_class_keeps_its_share_and_the_largest_remainders_fill_up():
    # 7 of 20: shares 3.5, 2.1, 1.05, 0.35 -> 3, 2, 1, 0 and the last seat to the remainder 0.5
    drawn = stratified(samples(10, 6, 3, 1), 7, seed=0)
    assert Counter(sample.truth[0] for sample in drawn) == {0: 4, 1: 2, 2: 1}


def test_a_draw_keeps_the_order_of_the_list_and_depends_on_the_seed():
    everything = samples(30, 30)
    first, again, other = (stratified(everything, 20, seed=seed) for seed in (1, 1, 2))
    assert first == again != other
    assert [everything.index(sample) for sample in first] == sorted(everything.index(sample) for sample in first)


def test_the_random_order_is_that_of_a_hash_of_seed_and_name():
    by_hand = sorted("abc", key=lambda name: hashlib.sha256(f"5:{name}".encode()).hexdigest())
    made = [Sample(name, VideoFile(Path(name)), (0,)) for name in "abc"]
    assert [sample.name for sample in shuffled(made, seed=5)] == by_hand
    assert shuffled(made[::-1], seed=5) == shuffled(made, seed=5)


@pytest.mark.parametrize("name", ["clips", "crops", "sample", "seed", "workers", "batch"])
@pytest.mark.parametrize("value", ["3", 2.0, True])
def test_what_is_no_whole_number_is_refused_before_anything_else(name, value):
    with pytest.raises(UsageError, match=f"{name}: found {value!r}, expected a whole number"):
        videohub.evaluate("slowfast_motions", "nowhere.csv", **{name: value})


@pytest.mark.parametrize("count", [0, 21])
def test_a_sample_is_no_larger_than_the_list(count):
    with pytest.raises(UsageError, match="expected 1 to 20"):
        stratified(samples(20), count, seed=0)


def test_shards_share_out_every_sample_once():
    parts = [[k for k in range(10) if Shard(index, 4).has(k)] for index in range(4)]
    assert parts == [[0, 4, 8], [1, 5, 9], [2, 6], [3, 7]]


def test_a_shard_is_named_from_one():
    assert distributed.parse_shard("2/16") == Shard(1, 16)
    assert str(Shard(1, 16)) == "2/16"


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "1/0", "a/b", "-1/4", "1/4/2"])
def test_a_shard_that_cannot_be_is_refused(text):
    with pytest.raises(UsageError, match="i/n with i from 1 to n"):
        distributed.parse_shard(text)


def test_each_process_of_a_torchrun_has_its_own_part_and_gpu(monkeypatch):
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1",
                        "LOCAL_WORLD_SIZE": "4"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    assert distributed.shard_of_torchrun() == Shard(5, 8)
    assert distributed.local_device("cuda") == "cuda:1"
    assert distributed.local_device("cpu") == "cpu"
    assert distributed.local_world_size() == 4
    assert not distributed.is_rank_zero()
    monkeypatch.setenv("RANK", "0")
    assert distributed.is_rank_zero()


def test_each_option_is_spelt_once_and_every_door_takes_it():
    options = {field.name for field in msgspec.structs.fields(Settings)}
    for door in (videohub.verify, videohub.verify_together, videohub.evaluate):
        parameters = inspect.signature(door).parameters
        assert set(parameters) - {"name", "names", "data"} == options
        assert all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters.values())
        assert parameters["sample"].annotation == int | None
        assert parameters["seed"].default == 0
    assert set(RUN_OPTIONS) == options - {"out"}


def test_an_option_that_does_not_exist_is_an_error_before_anything_is_read():
    for door, name in ((videohub.verify, "nobody"), (videohub.evaluate, "nobody"), (videohub.verify_together, ["no"])):
        with pytest.raises(TypeError, match="smaple"):
            door(name, "nowhere", smaple=3)

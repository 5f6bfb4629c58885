"""The JSON that widsindex writes beside tars: taken for which there are, and held against them."""

from __future__ import annotations

import json

import pytest

from tests.data.tars import write_tar
from videohub import registry
from videohub.data import sets
from videohub.data.sets import shards
from videohub.errors import DataError, FileMissingError

RECORD = registry.record("slow_r50_8x8")


@pytest.fixture(autouse=True)
def cache(own_cache):
    """Keep indexes where each test finds none."""


@pytest.fixture
def tars(tmp_path):
    """Two tars of two samples and one, and an index as the tool writes it, in an order of its own."""
    one = write_tar(tmp_path / "a" / "1.tar", {"v.mp4": b"V", "v.cls": b"3", "w.mp4": b"W", "w.cls": b"4"})
    two = write_tar(tmp_path / "a" / "2.tar", {"u.mp4": b"U", "u.cls": b"5"})
    shards = [{"url": "a/2.tar", "md5sum": "?", "nsamples": 1, "filesize": two.stat().st_size},
              {"url": str(one), "md5sum": "?", "nsamples": 2, "filesize": one.stat().st_size}]  # fmt: skip
    return write_index(tmp_path, shards)


def write_index(folder, shards):
    path = folder / "index.json"
    path.write_text(json.dumps({"__kind__": "wids-shard-index-v1", "wids_version": 1, "shardlist": shards}))
    return path


def changed(path, number, **fields):
    shards = json.loads(path.read_text())["shardlist"]
    shards[number].update(fields)
    return write_index(path.parent, shards)


def test_its_tars_are_read_in_its_order(tars):
    result = sets.read(str(tars), record=RECORD)
    assert [(sample.name, sample.truth) for sample in result.samples] == [
        ("u.mp4", (5,)),
        ("v.mp4", (3,)),
        ("w.mp4", (4,)),
    ]


def test_a_list_names_their_members(tars):
    listed = tars.parent / "val.csv"
    listed.write_text("w.mp4 7\n")
    result = sets.read(str(tars), record=RECORD, list_file=listed)
    assert [(sample.name, sample.truth) for sample in result.samples] == [("w.mp4", (7,))]


def test_some_writers_count_files(tars):
    assert len(sets.read(str(changed(tars, 1, nsamples=4)), record=RECORD).samples) == 3


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"nsamples": 3}, r"1 of 2 shards are not as it states.*\n.*1\.tar: states 3 samples, found 2"),
        ({"filesize": 512}, r"1\.tar: states 512 bytes, found [0-9]+"),
        ({"url": "a/2.tar"}, "names a shard twice"),
        ({"url": "a/3.tar"}, "no such file"),
        ({"url": "pipe:cat a/1.tar"}, "no such file"),  # which WebDataset would run
        ({"url": 7}, "no such file|found no list of shards"),
    ],
)
def test_what_does_not_agree_is_named(tars, fields, message):
    index = changed(tars, 1, **fields)
    with pytest.raises((DataError, FileMissingError), match=message):
        shards._check_stated(str(index), *_stated(index))


def _stated(index):
    from videohub.data.shard_indexes import read_indexes

    stated = shards.listed_shards(str(index))
    return stated, read_indexes([each.url for each in stated])


@pytest.mark.parametrize("content", ["[]", '{"database": {}}', "{", "", '{"shardlist": 1}'])
def test_other_json_is_no_index(tmp_path, content):
    (tmp_path / "other.json").write_text(content)
    assert not shards.is_index(str(tmp_path / "other.json"))


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("val-0.tar", "https://host/k400/val-0.tar?sig=s"),
        ("b/val-0.tar", "https://host/k400/b/val-0.tar?sig=s"),
        ("https://user@host/other/val-0.tar", "https://user@host/other/val-0.tar"),
        ("https://elsewhere/val-0.tar", None),
        ("s3://bucket/val-0.tar", None),
        ("/etc/val-0.tar", None),
        ("../val-0.tar", None),
        ("b/../../val-0.tar", None),
    ],
)
def test_an_index_far_away_names_tars_of_its_own_server_alone(monkeypatch, url, where):
    content = json.dumps({"shardlist": [{"url": url, "nsamples": 1}]}).encode()
    monkeypatch.setattr(shards.storage, "read_all", lambda location: content)
    index = "https://host/k400/index.json?sig=s"
    if where is None:
        with pytest.raises(DataError, match=r"https://host/k400/index\.json: names the shard"):
            shards.listed_shards(index)
    else:
        assert [each.url for each in shards.listed_shards(index)] == [where]

"""Which module reads which data set, what all of them refuse, and what none of them needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from videohub import registry
from videohub.data import sets
from videohub.data.sets import ava, charades, kinetics
from videohub.errors import UsageError
from videohub.registry import writer
from videohub.registry.schema import DatasetInfo


def test_each_data_set_is_read_by_the_module_that_its_entry_names():
    datasets = registry.default().datasets
    assert datasets.keys() >= {record.dataset.name for record in registry.default().records.values()}
    readers = {name: sets.reader_of(dataset) for name, dataset in datasets.items()}
    assert all(readers[name].__name__ == f"videohub.data.sets.{datasets[name].lists}" for name in datasets)
    assert (readers["kinetics400"], readers["charades"], readers["ava_v2.2"]) == (kinetics, charades, ava)


@pytest.mark.parametrize("lists", ["no_such", "lists", "shard_samples", "os"])
def test_lists_that_nothing_reads_are_named(lists):
    dataset = DatasetInfo(name="ours", title="Ours", short="ours", lists=lists)
    expected = f"ours: nothing reads lists of the kind '{lists}'; expected one of ava, .* something, or a module"
    with pytest.raises(UsageError, match=expected):
        sets.reader_of(dataset)


def test_a_record_whose_data_set_nothing_reads_says_so_and_is_not_tested(tmp_path, monkeypatch, run):
    """Before anything is fetched or loaded: its address leads nowhere."""
    ours = registry.record("slowfast_r50_8x8")
    theirs = msgspec.structs.replace(
        ours,
        name="theirs",
        upstream_name="THEIRS",
        aliases=(),
        proof=None,
        protocol=msgspec.structs.replace(ours.protocol, name="their_test", dataset="sealed"),
        dataset=DatasetInfo(name="sealed", title="Sealed Videos", lists=None),
        checkpoint=msgspec.structs.replace(ours.checkpoint, url=(tmp_path / "absent.pkl").as_uri()),
    )
    (tmp_path / "own.yaml").write_text(writer.text([theirs]), encoding="utf-8")
    monkeypatch.setenv("VIDEOHUB_REGISTRY", str(tmp_path / "own.yaml"))
    why = "nothing here reads its lists; an entry of the same data set in a registry of your own may say what does"
    code, out, _ = run("show", "theirs")
    assert code == 0
    assert f"Sealed Videos: {why}" in " ".join(out.split())
    (tmp_path / "labels.json").write_text(json.dumps([f"class {number}" for number in range(400)]))
    for call in (
        ["verify", "theirs"],
        ["benchmark", "theirs"],
        ["data", "check", "theirs"],
        ["verify", "theirs", "--labels", tmp_path / "labels.json"],
    ):
        code, out, err = run(*call, "--data", tmp_path)
        assert code == 2, (call, out, err)
        assert f"sealed: {why}" in " ".join(err.split())


def test_absent_data_or_roots_are_misuse(put, read):
    folder = put({"val.csv": "a.mp4 1\n"})
    with pytest.raises(UsageError, match=r"absent: no such file or folder; kinetics400 was to be found there"):
        read("slowfast_r50_8x8", folder / "absent")
    with pytest.raises(UsageError, match=r"absent: no such file or folder"):
        read("slowfast_r50_8x8", root=folder / "absent")
    with pytest.raises(UsageError, match=r"val\.csv: this is a file; a folder that the lists' paths start from"):
        read("slowfast_r50_8x8", root=folder / "val.csv")


def test_what_cannot_be_opened_is_misuse(put, read):
    folder = put({"val.csv": "a.mp4 1\n"})
    with pytest.raises(UsageError, match=r"cannot be read: File name too long"):
        read("slowfast_r50_8x8", folder / ("x" * 300))


def test_reading_lists_loads_neither_torch_nor_a_decoder(put):
    folder = put({"kinetics/val.csv": "a.mp4 1\n", "Charades_v1_test.csv": "id,actions\nA,c001 0.0 1.0\n"})
    put({"labels.json": '{"a": "0"}', "validation.json": '[{"id": "1", "template": "a"}]'})
    code = (
        "import json, pathlib, sys\n"
        "from videohub import registry\n"
        "from videohub.data import sets\n"
        f"data = pathlib.Path({str(folder)!r})\n"
        "for name, path in [('slowfast_r50_8x8', data / 'kinetics'),\n"
        "                   ('slowfast_r50_16x8_ssv2', data / 'validation.json'),\n"
        "                   ('slowfast_r50_16x8_charades', data / 'Charades_v1_test.csv'),\n"
        "                   ('resnet_r50_in1k', data / 'kinetics')]:\n"
        "    assert len(sets.read(path, root=None, record=registry.record(name)).samples) == 1\n"
        "print(json.dumps([name for name in ('torch', 'torchvision', 'av', 'PIL') if name in sys.modules]))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(sets.__file__).parents[3])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []

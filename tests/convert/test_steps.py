"""Toy layouts with every step that a table knows: there and back, and what each refuses. Worked out by hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torchvision.models.video.swin_transformer import ShiftedWindowAttention3d

from videohub.convert import conversion, read, recognition, steps, tables
from videohub.convert.checkpoint import Checkpoint
from videohub.convert.recognition import Recognised
from videohub.errors import ConversionError, RegistryError

HEAD = 'recognised_by: {has: ["*"]}\nwritten_as: {container: torch}\n'


@pytest.fixture
def table(tmp_path):
    def write(text, layout="theirs", **arguments):
        path = tmp_path / "toy" / f"{layout}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(HEAD + text)
        return tables.read_table(path).of(arguments)

    return write


def there(table, tensors, **arguments):
    """What the table makes of a file's tensors, as lists."""
    arrays = {key: np.array(value, np.float32) for key, value in tensors.items()}
    result = conversion.imported(arrays, Recognised(table.layout, "", table), arguments, "toy")
    return {name: np.asarray(array).tolist() for name, array in result.items()}


def back(table, tensors, **arguments):
    state = {name: torch.tensor(value, dtype=torch.float32) for name, value in tensors.items()}
    return {key: tensor.tolist() for key, tensor in conversion.to_published(state, table, arguments).items()}


@dataclass(frozen=True)
class Layout:
    text: str
    theirs: dict
    ours: dict


LAYOUTS = {
    "three joined": Layout(
        'fields: {i: "[0-9]", p: "weight|bias"}\nrules: ["l{i}.q.{p} + l{i}.k.{p} + l{i}.v.{p} <-> b.{i}.qkv.{p}"]\n',
        {"l4.q.weight": [[1, 2]], "l4.k.weight": [[3, 4]], "l4.v.weight": [[5, 6]]},
        {"b.4.qkv.weight": [[1, 2], [3, 4], [5, 6]]},
    ),
    "one split": Layout(
        'fields: {i: "[0-9]"}\nrules: ["b.{i}.kv <-> b.{i}.k + b.{i}.v"]\n',
        {"b.0.kv": [1, 2, 3, 4], "b.1.kv": [5, 6, 7, 8]},
        {"b.0.k": [1, 2], "b.0.v": [3, 4], "b.1.k": [5, 6], "b.1.v": [7, 8]},
    ),
    "columns fast first": Layout(
        'fields: {}\nrules: ["fc <-> head"]\n'
        "steps: [{step: permute, keys: [fc], axis: 1, parts: [1, 2], order: [1, 0]}]\n",
        {"fc": [[1, 2, 3, 4, 5, 6], [11, 12, 13, 14, 15, 16]]},  # two fast columns, then four slow ones
        {"head": [[3, 4, 5, 6, 1, 2], [13, 14, 15, 16, 11, 12]]},
    ),
    "rows in another order": Layout(
        'fields: {}\nrules: ["fc <-> head"]\n'
        "steps: [{step: permute, keys: [fc], axis: 0, parts: [1, 1, 1], order: [2, 0, 1]}]\n",
        {"fc": [10, 20, 30]},
        {"head": [30, 10, 20]},
    ),
    "leading unit dimensions": Layout(
        'fields: {}\nrules: ["token <-> token", "other <-> other"]\n'
        "shape_fixups: [{keys: [token], rank: 3, at: start, written: 1}]\n",
        {"token": [1, 2], "other": [3]},
        {"token": [[[1, 2]]], "other": [3]},
    ),
    "images' kernels": Layout(
        'fields: {}\nrules: ["conv <-> conv"]\nshape_fixups: [{keys: [conv], rank: 5, at: time, written: 4}]\n',
        {"conv": [[[[1, 2]]]]},
        {"conv": [[[[[1, 2]]]]]},
    ),
    "trailing unit dimensions": Layout(
        'fields: {}\nrules: ["conv <-> conv"]\nshape_fixups: [{keys: [conv], rank: 4, at: end, written: 2}]\n',
        {"conv": [[1, 2]]},
        {"conv": [[[[1]], [[2]]]]},
    ),
    "unit dimensions that only files have": Layout(
        'fields: {}\nrules: ["fc <-> fc"]\nshape_fixups: [{keys: [fc], rank: 2, at: end, written: 5}]\n',
        {"fc": [[[[[1]]], [[[2]]]]]},
        {"fc": [[1, 2]]},
    ),
    "stored twice": Layout(
        'fields: {k: "pool_[qkv]"}\nrules: ["a.{k} <-> {k}"]\ncopies: {"a._attention_{k}.x": "a.{k}"}\n',
        {"a.pool_q": [1, 2], "a._attention_pool_q.x": [1, 2], "a.pool_k": [3], "a._attention_pool_k.x": [3]},
        {"pool_q": [1, 2], "pool_k": [3]},
    ),
    "filled with one": Layout(
        'fields: {}\nrules: ["w <-> short.weight"]\n'
        'fill: {"*.scale": {like: "*.weight", axes: [0], value: 0.75, why: "its net has none"}}\n',
        {"w": [[1, 2], [3, 4], [5, 6]]},
        {"short.weight": [[1, 2], [3, 4], [5, 6]], "short.scale": [0.75, 0.75, 0.75]},
    ),
    "filled by the first of two that fit": Layout(
        'fields: {}\nrules: ["w <-> short.weight", "v <-> head.weight"]\n'
        'fill: {head.scale: {like: head.weight, axes: [0], value: 2, why: "x"}, '
        '"*.scale": {like: "*.weight", axes: [0], value: 0.5, why: "y"}}\n',
        {"w": [[1, 2]], "v": [[3], [4]]},
        {"short.weight": [[1, 2]], "head.weight": [[3], [4]], "short.scale": [0.5], "head.scale": [2, 2]},
    ),
    "computed by the file": Layout(
        'fields: {i: "[0-9]"}\nrules: ["b{i}.table <-> {i}.table"]\n'
        'computed: {"b{i}.index": {beside: "b{i}.table", by: relative_position_index, given: {window: window}, '
        'why: "x"}}\n',
        {"b7.table": [1, 2, 3], "b7.index": [[1, 0], [2, 1]]},  # a window of two: offsets -1, 0, 1 are rows 0, 1, 2
        {"7.table": [1, 2, 3]},
    ),
    "computed by us": Layout(
        'fields: {}\nrules: ["w <-> w"]\n'
        'fill: {pos: {by: sinusoid, given: {frames: 2, tubelet: 2, crop: 9, patch: 8, width: 4}, why: "not stored"}}\n',
        {"w": [1]},
        {"w": [1], "pos": [[[0, 1, 0, 1]]]},
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_step_leads_there_and_back(table, name):
    toy = LAYOUTS[name]
    read_by = table(toy.text)
    assert there(read_by, toy.theirs, window=[1, 1, 2]) == toy.ours
    assert back(read_by, toy.ours, window=[1, 1, 2]) == toy.theirs


@pytest.mark.parametrize(
    ("name", "theirs", "message"),
    [
        ("three joined", {"l4.q.weight": [[1]], "l4.v.weight": [[1]]}, "l4.k.weight is missing, a part of b.4.qkv"),
        ("three joined", {"l4.q.bias": [1], "l4.k.bias": [[1]], "l4.v.bias": [1]}, "do not make one"),
        ("one split", {"b.0.kv": [1, 2, 3]}, "cannot be split into 2 equal parts"),
        ("columns fast first", {"fc": [[1, 2, 3, 4]]}, "4 rows in parts of .1, 2., expected a multiple"),
        ("columns fast first", {"fc": [1, 2, 3]}, "expected an axis 1"),
        (
            "stored twice",
            {"a.pool_q": [1], "a._attention_pool_q.x": [2]},
            "stored as a copy of a.pool_q, and they differ",
        ),
        ("stored twice", {"a.pool_q": [1], "a._attention_pool_q.x": [1, 1]}, "stored as a copy of"),
        ("computed by the file", {"b7.table": [1], "b7.index": [[0, 1], [2, 1]]}, "other values than this network"),
        ("computed by the file", {"b7.table": [1], "b7.index": [1]}, "other values than this network"),
        ("filled with one", {"w": [[1]], "x": [1]}, "no rule knows 1 of 2 keys"),
    ],
)
def test_what_a_file_must_not_hold_is_refused(table, name, theirs, message):
    with pytest.raises(ConversionError, match=message):
        there(table(LAYOUTS[name].text), theirs, window=[1, 1, 2])


@pytest.mark.parametrize(
    ("name", "ours", "message"),
    [
        ("filled with one", {"short.weight": [[1]], "short.scale": [0.5]}, "no place for these tensors"),
        ("leading unit dimensions", {"token": [[[1], [2]]], "other": [1]}, "cannot be written with 1 dimensions"),
        ("one split", {"b.0.k": [1]}, "b.0.v is missing"),
        ("three joined", {"b.0.qkv.bias": [1, 2]}, "cannot be split into 3"),
        ("computed by us", {"w": [1], "pos": [[[0, 1, 1, 1]]]}, "no place for these tensors"),
    ],
)
def test_what_a_layout_cannot_hold_is_refused(table, name, ours, message):
    with pytest.raises(ConversionError, match=message):
        back(table(LAYOUTS[name].text), ours)


def test_dimensions_of_a_file_that_are_no_units_stay(table):
    toy = table(LAYOUTS["unit dimensions that only files have"].text)
    assert there(toy, {"fc": [[[[[1, 2]]]]]}) == {"fc": [[[[[1, 2]]]]]}
    assert there(toy, {"fc": [[1, 2]]}) == {"fc": [[1, 2]]}


def test_a_copy_alone_stands_for_what_it_is_a_copy_of(table):
    toy = table(LAYOUTS["stored twice"].text)
    assert there(toy, {"a._attention_pool_q.x": [1, 2]}) == {"pool_q": [1, 2]}
    assert there(toy, {"a.pool_q": [1, 2]}) == {"pool_q": [1, 2]}


def test_a_step_without_an_inverse_says_so(table):
    toy = table(
        'fields: {}\nrules: ["fc <-> head"]\nsteps: [{step: slice, keys: [fc], axis: 0, start: 1, why: background}]\n'
    )
    assert there(toy, {"fc": [[9, 9], [1, 2], [3, 4]]}) == {"head": [[1, 2], [3, 4]]}
    with pytest.raises(ConversionError, match=r"no inverse \(background\)"):
        back(toy, {"head": [[1, 2]]})
    with pytest.raises(ConversionError, match="expected those from 1"):
        there(toy, {"fc": [[9, 9]]})


def test_two_rules_for_a_key_and_two_keys_for_a_name_are_refused(table):
    toy = table('fields: {a: "[0-9]"}\nrules: ["x{a} <-> y{a}", "x1 <-> z"]\n')
    with pytest.raises(ConversionError, match="1 keys match two rules"):
        there(toy, {"x1": [1], "x2": [1]})
    toy = table('fields: {}\nrules: ["a <-> y", "b <-> y"]\n')
    with pytest.raises(ConversionError, match="a and b would both become y"):
        there(toy, {"a": [1], "b": [1]})


def test_a_variant_is_added_for_the_networks_that_it_is_of(table):
    """A pool between them is counted as a stage there."""
    text = """
fields: {affine: "weight|bias"}
rules: ["blocks.{stage}.{affine} <-> res{stage}.{affine}"]
variants:
  - {when: {arch: [c2d, i3d]}, fields: {stage: {"1": "2", "3": "3"}}}
  - {when: {head.kind: plain}, fields: {stage: {"1": "2", "2": "3"}}, rules: ["blocks.5.proj <-> head"]}
"""
    assert there(table(text, arch="i3d"), {"blocks.3.bias": [1]}) == {"res3.bias": [1]}
    plain = table(text, head={"kind": "plain"})
    assert there(plain, {"blocks.2.bias": [1], "blocks.5.proj": [2]}) == {"res3.bias": [1], "head": [2]}
    assert back(plain, {"res3.bias": [1], "head": [2]}) == {"blocks.2.bias": [1], "blocks.5.proj": [2]}


def test_a_variant_may_fix_shapes_up(table):
    """Kernels of images have no dimension for time in their files, and those of clips may have one of length 1."""
    text = """
fields: {}
rules: ["conv <-> conv"]
variants:
  - {when: {image: true}, shape_fixups: [{keys: [conv], rank: 5, at: time, written: 4}]}
"""
    assert there(table(text, image=True), {"conv": [[[[1, 2]]]]}) == {"conv": [[[[[1, 2]]]]]}
    assert back(table(text, image=True), {"conv": [[[[[1, 2]]]]]}) == {"conv": [[[[1, 2]]]]}
    assert back(table(text, image=False), {"conv": [[[[[1, 2]]]]]}) == {"conv": [[[[[1, 2]]]]]}


def test_an_old_spelling_is_read_and_not_written(table):
    toy = table('fields: {}\nrules: ["qkv <-> qkv"]\nold_rules: ["q + k + v <-> qkv"]\n')
    assert there(toy, {"q": [1], "k": [2], "v": [3]}) == there(toy, {"qkv": [1, 2, 3]}) == {"qkv": [1, 2, 3]}
    assert back(toy, {"qkv": [1, 2, 3]}) == {"qkv": [1, 2, 3]}
    with pytest.raises(ConversionError, match="would both become qkv"):
        there(toy, {"qkv": [1, 2, 3], "q": [1], "k": [2], "v": [3]})


def test_a_number_that_depends_on_the_depth_is_found_by_the_rules_in_either_direction(table):
    toy = table(
        'fields: {layer: {l1: s2, l2: s3}, block: "[0-9]+", last: {"{end}": fuse}}\n'
        "largest: {end: {field: block, where: {layer: s3}}}\n"
        'rules: ["{layer}.{block}.w <-> {layer}.{block}.w", "l2.{last}.fuse <-> {last}"]\n'
    )
    theirs, ours = {"l1.9.w": [0], "l2.3.w": [1], "l2.11.w": [2], "l2.11.fuse": [3]}, {
        "s2.9.w": [0], "s3.3.w": [1], "s3.11.w": [2], "fuse": [3]}  # fmt: skip
    assert there(toy, theirs) == ours
    assert back(toy, ours) == theirs
    with pytest.raises(ConversionError, match="no rule knows"):
        there(toy, {**theirs, "l2.3.fuse": [1]})


def test_the_files_of_a_layout_are_known_by_keys_that_are_there_and_others_that_are_not(tmp_path, monkeypatch):
    """Two spellings that differ in one key of many: what knows as many keys does not decide."""
    folder = tmp_path / "converters" / "toy"
    folder.mkdir(parents=True)
    rules = 'written_as: {container: torch}\nfields: {i: "[0-9]+"}\nrules: ["b.{i} <-> block.{i}", "%s <-> last"]\n'
    (folder / "one.yaml").write_text('recognised_by: {has: ["b.*"], has_not: [norm3]}\n' + rules % "norm")
    (folder / "two.yaml").write_text('recognised_by: {has: ["b.*", norm3]}\n' + rules % "norm3")
    monkeypatch.setenv("VIDEOHUB_REGISTRY", str(tmp_path / "registry.yaml"))
    blocks = [f"b.{number}" for number in range(1000)]
    assert recognition.recognise([*blocks, "norm"], "toy").layout == "one"
    assert recognition.recognise([*blocks, "norm3"], "toy").layout == "two"
    assert recognition.recognise([f"x.{key}" for key in [*blocks, "norm3"]], "toy").prefix == "x."


@pytest.mark.parametrize(
    ("container", "found"), [("{container: torch, under: weights}", "torch"), ("{container: torch}", "torch"),
                             ("{container: safetensors}", "safetensors"), ("{container: caffe2}", "caffe2")]
)  # fmt: skip
def test_a_file_is_written_as_its_table_says(tmp_path, table, container, found):
    path = tmp_path / "toy" / "theirs.yaml"
    table('fields: {}\nrules: ["a <-> b"]\n')
    path.write_text(path.read_text().replace("{container: torch}", container))
    toy = tables.read_table(path)
    conversion.write_file({"a": torch.tensor([[1.0, 2.0]])}, toy, tmp_path / "out")
    written = read(tmp_path / "out")
    assert (written.container, written.tensors["a"].tolist()) == (found, [[1, 2]])
    assert written.meta.get("found_under") == ("weights" if "under" in container else None)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ('rules: ["a + b <-> c + d"]', "several keys on both sides"),
        ('rules: ["a{x} + b <-> c{x}"]', "one side only"),
        ('rules: ["a <-> b"]\ncopies: {"c{x}": a}', "one side only"),
        ('rules: ["a <-> b"]\nfill: {"*.x": {like: y, why: z}}', "expected one"),
        ('rules: ["a <-> b"]\nfill: {x: {by: magic, why: z}}', "magic"),
        (
            'rules: ["a <-> b"]\nsteps: [{step: permute, keys: [a], axis: 0, parts: [1, 1], order: [0, 0]}]',
            "each of them",
        ),
        ('rules: ["a <-> b"]\nsteps: [{step: guess}]', "guess"),
        ('rules: ["a <-> b"]\nshape_fixups: [{keys: [a], rank: 2, at: end, written: 6}]', "6 dimensions are"),
        ('rules: ["a <-> b"]\nold_rules: ["a{x} <-> b"]', "one side only"),
        ('rules: ["a <-> b"]\nlargest: {l: {field: y, where: {}}}', "no field is called"),
    ],
)
def test_a_table_whose_steps_make_no_sense_is_refused(table, more, message):
    with pytest.raises(RegistryError, match=message):
        table('fields: {x: "[0-9]"}\n' + more + "\n")


def test_what_lies_in_a_file_is_read_once_for_all_parts(table):
    toy = table('fields: {}\nrules: ["qkv <-> q + k + v"]\n')
    reads = []

    class Watched:
        shape, dtype = (6,), np.dtype("<f4")

        def __array__(self, dtype=None, copy=None):
            reads.append(dtype)
            return np.arange(6, dtype=dtype)

    result = conversion.imported({"qkv": Watched()}, Recognised("theirs", "", toy), {}, "toy")
    assert reads == []
    assert [np.asarray(result[name], np.float32).tolist() for name in "qkv"] == [[0, 1], [2, 3], [4, 5]]
    assert len(reads) == 1


def digest(table, text):
    return table(text).digest


def test_the_content_of_a_table_decides_and_not_how_it_is_written(table):
    text = 'fields: {a: "[0-9]", b: x}\nrules: ["x{a} <-> y{a}"]\nignore: {lr: rate, epoch: count}\n'
    same = [f"# a comment\n{text}", text.replace('{a: "[0-9]", b: x}', '{b: x, a: "[0-9]"}'),
            text.replace("lr: rate, epoch: count", "epoch: how many, lr: rate")]  # fmt: skip
    assert {digest(table, one) for one in same} == {digest(table, text)}
    for other in (text.replace("y{a}", "z{a}"), text.replace("epoch", "step"), text.replace("b: x", "b: w")):
        assert digest(table, other) != digest(table, text)


def test_a_checkpoint_of_ours_is_not_taken_for_another(table):
    assert Checkpoint("npz", (), {"a": np.zeros(1)}, {}, "x").layout == recognition.UNKNOWN


def test_relative_positions_are_counted_with_time_outermost():
    """A window of 2 x 1 x 2: the offset (t, w) is row (t + 1) * 3 + (w + 1)."""
    index = steps.relative_position_index(window=(2, 1, 2))
    assert index.tolist() == [[4, 3, 1, 0], [5, 4, 2, 1], [7, 6, 4, 3], [8, 7, 5, 4]]


@pytest.mark.parametrize("window", [(8, 7, 7), (2, 3, 5)])
def test_relative_positions_are_those_of_torchvision_s_video_swin(window):
    theirs = ShiftedWindowAttention3d(8, list(window), [0, 0, 0], 1).relative_position_index
    index = steps.relative_position_index(window=window)
    assert np.array_equal(index, theirs.numpy())

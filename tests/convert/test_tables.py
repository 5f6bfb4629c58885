"""Key tables, on the key lists of the original's own networks."""

import numpy as np
import pytest

from tests.convert.key_names import to_ours, to_published
from tests.models.golden_networks import CASES
from videohub import architectures
from videohub.convert import conversion, tables
from videohub.convert.recognition import recognise
from videohub.errors import ConversionError, RegistryError


@pytest.mark.parametrize("name", CASES)
def test_every_tensor_of_a_published_file_finds_its_way_back(name):
    case = CASES[name]
    file = case.numbered_file()
    published = conversion.to_published(case.state(file), case.table, case.arguments)
    assert published.keys() == {key for key, _, _ in case.facts["tensors"]}
    assert [key for key in file if not np.array_equal(published[key].numpy(), file[key])] == []


@pytest.mark.parametrize("name", [name if case.quick else pytest.param(name, marks=pytest.mark.slow)
                                  for name, case in CASES.items()])  # fmt: skip
def test_a_layout_is_known_by_its_keys_with_whatever_stands_before_all_of_them(name):
    keys = [key for key, _, _ in CASES[name].facts["tensors"]]
    for prefix in ("", "module.", "model."):
        recognised = recognise([prefix + key for key in keys])
        assert (recognised.layout, recognised.prefix) == (CASES[name].layout, prefix)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "caffe2" in tables.layouts(case.family)
                                  and case.layout == "pyslowfast"])  # fmt: skip
def test_every_blob_is_named_as_its_pyslowfast_key_is_and_finds_its_way_back(name):
    entries, caffe2 = CASES[name].facts["tensors"], tables.find(CASES[name].family, "caffe2")
    ours = to_ours(CASES[name].table, [key for key, _, _ in entries])
    blobs = {blob: ours[key][0] for key, _, blob in entries if blob}
    assert to_ours(caffe2, blobs) == {blob: [name] for blob, name in blobs.items()}
    assert to_published(caffe2, blobs.values()) == {name: [blob] for blob, name in blobs.items()}
    without_blob = [ours[key][0] for key, _, blob in entries if not blob]
    assert all(caffe2.fill_of(name).unused for name in without_blob)


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ("slowfast/caffe2", "conv1_w_momentum"),
        ("slowfast/caffe2", "xconv1_w"),
        ("slowfast/caffe2", "res2_0_branch2a_w_"),
        ("slowfast/caffe2", "t_res4_3_branch2c_bn_subsample_w"),  # the stage ends at another block
        ("slowfast/caffe2", "t_pred_w"),
        ("resnet/caffe2", "t_conv1_w"),
        ("resnet/pyslowfast", "s2.pathway1_res0.branch1.weight"),
        ("slowfast/pyslowfast", "s5_fuse.conv_f2s.weight"),
        ("slowfast/pyslowfast", "head.projection.weight.extra"),
    ],
)
def test_keys_are_matched_whole(table, key):
    beside = "res4_5_branch2a_w"
    assert to_ours(tables.find(*table.split("/")), [key, beside])[key] == []


@pytest.mark.parametrize("last", [5, 22])
def test_a_lateral_connection_is_named_after_the_last_block_of_its_stage(last):
    table = tables.find("slowfast", "caffe2")
    blob, block = f"t_res4_{last}_branch2c_bn_subsample_w", f"res4_{last}_branch2a_w"
    assert to_ours(table, [blob, block])[blob] == ["lateral.res4.conv.weight"]
    ours = ["lateral.res4.conv.weight", f"slow.res4.{last}.conv_a.weight"]
    assert to_published(table, ours) == {ours[0]: [blob], ours[1]: [block]}


def test_the_fused_blobs_of_a_block_and_of_a_lateral_connection_are_told_apart():
    table = tables.find("slowfast", "caffe2")
    keys = ["t_res4_5_branch2c_bn_s", "t_res4_5_branch2c_bn_subsample_bn_s", "t_res4_5_branch2c_bn_riv"]
    assert to_ours(table, keys) == {
        keys[0]: ["fast.res4.5.norm_c.weight"],
        keys[1]: ["lateral.res4.norm.weight"],
        keys[2]: ["fast.res4.5.norm_c.running_var"],
    }


@pytest.mark.parametrize("family", ["resnet", "slowfast"])
def test_what_is_ignored_has_a_reason(family):
    table = tables.find(family, "caffe2")
    assert table.ignored("res2_0_branch2a_w_momentum") == "optimizer state"
    assert table.ignored("lr")
    assert table.ignored("model_iter")
    assert table.ignored("conv1_w") is None


@pytest.mark.parametrize("family", tables.families())
def test_tables_speak_of_arguments_that_the_family_s_networks_have(family):
    arguments = {"arch", *architectures.families()[family].__struct_fields__}
    for layout in tables.layouts(family):
        file = tables.find(family, layout).file
        paths = [path for part in (*file.variants, *file.not_written_for) for path in part.when]
        assert {path.partition(".")[0] for path in paths} | file.network.keys() <= arguments


def test_an_unknown_layout_names_the_known_ones():
    with pytest.raises(ConversionError, match="caffe2, mmaction2, pyslowfast"):
        tables.find("slowfast", "cafe2")


GOOD = """
fields: {a: "[0-9]"}
rules: ["x{a} <-> y{a}"]
recognised_by: {has: ["x*"]}
written_as: {container: torch}
"""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("y{a}", "y"), "one side only"),
        (("x{a} <-> y{a}", "x{b} <-> y{b}"), "no field is called"),
        (("<->", "->"), "expected `published key <-> our key`"),
        (("container: torch", "container: odd"), "odd"),
        (("written_as: {container: torch}\n", ""), "written_as"),
        (("written_as:", "fields: {}\nwritten_as:"), "fields"),
        (("fields:", "parts: {x: {under: a}, z: {under: a.0}}\nfields:"), "several parts under a, expected one"),
    ],
)
def test_a_table_that_breaks_the_rules_is_refused(tmp_path, change, message):
    path = tmp_path / "table.yaml"
    path.write_text(GOOD)
    assert to_ours(tables.read_table(path), ["x1"]) == {"x1": ["y1"]}
    path.write_text(GOOD.replace(*change))
    with pytest.raises(RegistryError, match=message):
        tables.read_table(path)


def test_a_field_that_cannot_be_read_backwards_is_refused(tmp_path):
    path = tmp_path / "table.yaml"
    path.write_text(GOOD.replace('"[0-9]"', '{"1": z, "2": z}'))
    with pytest.raises(RegistryError, match="not readable backwards"):
        to_ours(tables.read_table(path), ["x1"])


def _trained_without_labels(*others: str) -> tuple[dict[str, str], list[str]]:
    """The golden Slow network's names by their keys under `backbone`, and keys that stand beside them."""
    case = CASES["models/SLOW_4x16_R50"]
    ours = {key: name for key, (name,) in to_ours(case.table, [key for key, _, _ in case.facts["tensors"]]).items()}
    network = {f"backbone.{key}": name for key, name in ours.items() if not key.startswith("head.")}
    return network, ["backbone.head.projection.projection.0.weight", *others]


@pytest.mark.parametrize(
    "others",
    [
        ["backbone_hist.{key}", "backbone_hist.head.projection.projection.0.weight", "queue_x", "ptr", "iter"],
        ["backbone.head.predictors.0.projection.0.weight", "backbone_hist.{key}", "queue_x", "ptr", "iter"],
        ["swav_prototypes.weight", "queue_swav", "knn_mem.memory"],
        [],
    ],
    ids=["MoCo", "BYOL", "SwAV", "SimCLR"],
)
def test_of_a_network_trained_without_labels_what_training_alone_needed_is_left_aside(others):
    network, beside = _trained_without_labels(*others)
    inner = [key.removeprefix("backbone.") for key in network]
    keys = [*network, *(key.format(key=each) for key in beside for each in (inner if "{key}" in key else [""]))]
    arguments = {"family": "resnet", "variant": "slow", "depth": "R50", "num_classes": None}
    result = recognise(keys, "resnet", arguments)
    assert (result.layout, result.prefix) == ("pyslowfast_contrastive", "")
    matches = result.matches(keys)
    assert {key: match.names for key, (match,) in ((key, matches[key]) for key in network)} == {
        key: (name,) for key, name in network.items()
    }
    assert [key for key in keys if key not in network and result.ignored(key) is None] == []
    assert [key for key in network if result.ignored(key) is not None] == []

"""What networks cost: counted beforehand, never of another network, and as their publishers print it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import torch
from torch import nn

from tests.own_registry import like, write_registry
from tools.costs import counted
from videohub import registry, resources
from videohub.building import build_empty
from videohub.registry import compiled, strict_yaml
from videohub.registry.lookup import Cost, cost_key, view_size

OURS = registry.load(resources.registry_file())
NETWORKS = {cost_key(record): record for record in OURS.records.values() if view_size(record)}
STATED = msgspec.json.decode(resources.costs_file().read_bytes(), type=dict[str, Cost])
SMALLEST = {  # of each family: what comes later takes the place of what came before
    NETWORKS[key].family: NETWORKS[key]
    for key in sorted(STATED.keys() & NETWORKS.keys(), key=lambda key: STATED[key].params, reverse=True)
}
PRINTED = strict_yaml.read(Path(__file__).parent / "printed_costs.yaml").value


# --- counted beforehand ----------------------------------------------------------------------------------------------


def test_every_network_of_ours_was_counted_and_nothing_else():
    assert STATED.keys() == NETWORKS.keys(), "run `python tools/costs.py`, which writes costs.json anew"


@pytest.mark.parametrize("family", SMALLEST)
def test_counting_the_smallest_of_a_family_again_gives_the_same(family):
    record = SMALLEST[family]
    assert counted(record) == OURS.costs[record.name], "run `python tools/costs.py`, which writes costs.json anew"


@pytest.mark.slow
@pytest.mark.by_hand
@pytest.mark.parametrize("key", NETWORKS)
def test_counting_again_gives_the_same(key):
    assert counted(NETWORKS[key]) == OURS.costs[NETWORKS[key].name]


def test_a_network_costs_what_its_layers_do_by_hand():
    """ResNet-50 on 224 x 224: 25,557,032 parameters and 4.089 thousand millions, as torchvision's metadata has them."""
    from torchvision.models import ResNet50_Weights

    metadata = ResNet50_Weights.IMAGENET1K_V1.meta
    cost = OURS.costs["resnet_r50_in1k"]
    assert cost.params == metadata["num_params"] == 25_557_032
    assert cost.multiply_adds / 1e9 == pytest.approx(metadata["_ops"], abs=5e-4)


# --- never of another network ----------------------------------------------------------------------------------------


def test_a_record_of_a_user_has_the_cost_of_a_network_that_we_have_and_else_none(tmp_path, monkeypatch, run):
    ours = registry.record("slow_r50_8x8")
    narrow = msgspec.structs.replace(ours.model, num_classes=12)
    write_registry(
        tmp_path / "ours.yaml",
        like("slow_r50_8x8", name="my_twin"),
        like("slow_r50_8x8", name="my_narrow", model=narrow, labels=None),
        like("slow_r50_8x8", name="my_longer", clip=msgspec.structs.replace(ours.clip, frames=16)),
    )
    monkeypatch.setenv("VIDEOHUB_REGISTRY", str(tmp_path / "ours.yaml"))
    known = registry.default()
    assert known.costs["my_twin"] == known.costs["slow_r50_8x8"]
    assert {"my_narrow", "my_longer"}.isdisjoint(known.costs)
    _, out, _ = run("list", "my_narrow")
    assert out.splitlines()[1].split() == ["my_narrow", "K400", "8x8", "74.8", "91.6", "–", "–", "available"]
    assert "not counted" in run("show", "my_narrow")[1]
    assert known.whole(known.records["my_narrow"])["cost"] is None
    assert registry.list_models("my_*", sort="params") == ["my_twin", "my_narrow", "my_longer"]


def test_a_compiled_registry_holds_the_costs_and_is_as_old_as_their_file(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path))
    roots = (resources.registry_file(),)
    content = compiled.encoded(roots, OURS, compiled._code())
    (tmp_path / "compiled").mkdir()
    compiled._in_cache(roots).write_bytes(content)
    assert compiled.load(roots).costs == OURS.costs
    edited = tmp_path / "costs.json"
    edited.write_text("{}\n")
    monkeypatch.setattr(resources, "costs_file", lambda: edited)
    again = compiled.encoded(roots, registry.load(roots[0]), compiled._code())
    compiled._in_cache(roots).write_bytes(again)
    assert compiled.load(roots).costs == {}
    edited.write_text(resources.path("costs.json").read_text())
    assert compiled.load(roots) is None  # and is read anew


@pytest.mark.parametrize("text", ["", "<<<<<<< ours\n", '{"x3d M": {"params": "many", "multiply_adds": 1}}'])
def test_a_damaged_file_is_named_with_what_writes_it_anew(tmp_path, monkeypatch, text):
    (tmp_path / "costs.json").write_text(text)
    monkeypatch.setattr(resources, "costs_file", lambda: tmp_path / "costs.json")
    with pytest.raises(registry.RegistryError, match=r"(?s)costs\.json: cannot be read.*tools/costs\.py"):
        registry.load(resources.registry_file())


# --- as publishers print it ------------------------------------------------------------------------------------------


def near(multiply_adds: float, printed: str) -> bool:
    """Whether a count is what was printed: rounded or cut short at its last digit."""
    return abs(multiply_adds / 1e9 - float(printed)) < 10.0 ** -len(printed.partition(".")[2])


def normalised(record: registry.Record) -> int:
    """How many values the norms of a network give for one view."""
    network, values = build_empty(record), []
    for module in network.modules():
        if isinstance(module, (nn.modules.batchnorm._BatchNorm, nn.LayerNorm)):
            module.register_forward_hook(lambda module, given, value: values.append(value.numel()))
    with torch.no_grad():
        network(torch.empty(1, 3, *view_size(record), device="meta"))
    return sum(values)


@pytest.mark.parametrize("name", PRINTED["as_ours"])
def test_multiply_adds_are_as_printed(name):
    assert near(OURS.costs[OURS.find(name).name].multiply_adds, PRINTED["as_ours"][name])


@pytest.mark.slow
@pytest.mark.parametrize("name", PRINTED["with_norms"])
def test_multiply_adds_and_norms_are_as_printed(name):
    record, printed = OURS.find(name), PRINTED["with_norms"][name]
    multiply_adds = OURS.costs[record.name].multiply_adds
    assert not near(multiply_adds, printed)
    assert near(multiply_adds + 5 * normalised(record), printed)


@pytest.mark.slow
@pytest.mark.parametrize("name", PRINTED["of_another_view"])
def test_multiply_adds_are_as_printed_for_the_view_that_was_counted(name):
    record, row = OURS.find(name), PRINTED["of_another_view"][name]
    assert tuple(row["view"]) != view_size(record)
    assert near(counted(record, tuple(row["view"])).multiply_adds, row["gflops"])


@pytest.mark.parametrize("name", PRINTED["of_another_network"])
def test_what_is_printed_of_a_fine_tuned_network_is_not_the_file_s(name):
    assert not near(OURS.costs[OURS.find(name).name].multiply_adds, PRINTED["of_another_network"][name])

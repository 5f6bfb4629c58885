"""One record of each kind of file, through the public way, from a file that is made here; of each network its keys."""

from __future__ import annotations

import msgspec
import pytest
import torch

import videohub
from tests.zoo import published_files, walk
from videohub import registry
from videohub.convert import conversion
from videohub.registry.schema import Record

QUICK = "x3d_xs_4x12"


def kind_of(record: Record) -> tuple[str | None, ...]:
    """Return what decides how a file is read: container, family, table, and what its keys begin with."""
    prefix = published_files.PREFIXES.get(record.publisher or "")
    return published_files.container_of(record), record.family, record.checkpoint.layout, prefix


def with_files() -> list[Record]:
    """Return the records whose publishers have a file of them."""
    every = registry.load(registry.files()[0]).records.values()
    return [record for record in every if record.status not in walk.NO_FILE]


def smallest_of_each_kind() -> list[str]:
    """Return the smallest record of each kind; make test-zoo walks over all."""
    costs = registry.load(registry.files()[0]).costs
    smallest: dict[tuple[str | None, ...], str] = {}
    for record in sorted(with_files(), key=lambda record: costs[record.name].params):
        smallest.setdefault(kind_of(record), record.name)
    return list(smallest.values())


def one_of_each_network() -> list[str]:
    """Return the first record of each kind and network.

    How many classes there are does not count, only whether there are any.
    """
    first: dict[bytes, str] = {}
    for record in with_files():
        arguments = conversion.arguments_of(record)
        arguments["num_classes"] = arguments["num_classes"] is not None
        first.setdefault(msgspec.json.encode([*kind_of(record), arguments], order="sorted"), record.name)
    return list(first.values())


SMALLEST = smallest_of_each_kind()


@pytest.mark.parametrize(
    "name", [name if name in SMALLEST else pytest.param(name, marks=pytest.mark.slow) for name in one_of_each_network()]
)
def test_keys_and_shapes_of_every_network_s_file_find_their_way(name):
    walk.check_keys(videohub.record(name))


@pytest.mark.parametrize(
    "name", [name if name == QUICK else pytest.param(name, marks=pytest.mark.slow) for name in SMALLEST]
)
def test_a_file_as_its_publisher_s_is_fetched_converted_and_loaded_bit_for_bit(name):
    assert walk.check(videohub.record(name)).seconds is not None


def test_another_weight_than_in_the_file_is_noticed(monkeypatch):
    write = published_files.write

    def write_another(tensors, record, path, beside):
        key = "s2.pathway0_res1.branch2.a.weight"
        write({**tensors, key: tensors[key] + 1e-3}, record, path, beside)

    monkeypatch.setattr(published_files, "write", write_another)
    with pytest.raises(walk.Mismatch, match=r"other weights than in its file: res2\.1\.conv_a\.weight, 1 in all"):
        walk.check(videohub.record(QUICK))


def test_a_file_that_is_read_as_another_kind_is_noticed(monkeypatch):
    def write_safetensors(tensors, record, path, beside):
        torch.save(dict(tensors), path, _use_new_zipfile_serialization=False)

    monkeypatch.setattr(published_files, "write", write_safetensors)
    with pytest.raises(
        walk.Mismatch, match=r"read as \('torch_legacy', 'pyslowfast'\), and the record says \('torch',"
    ):
        walk.check(videohub.record(QUICK))


@pytest.mark.slow
def test_each_form_in_which_a_file_is_published_is_walked():
    record = videohub.record(QUICK)
    efficient = msgspec.structs.replace(record.checkpoint, url="https://example.org/form.pth", layout="efficient_x3d")
    outcomes = walk.walk([msgspec.structs.replace(record, other_checkpoints=(efficient,))])
    assert [outcome.failed for outcome in outcomes] == [False, False]
    rows = [walk.row(outcome) for outcome in outcomes]
    assert rows[0].startswith(f"| `{QUICK}` | x3d XS | 3,794,322 | torch, pyslowfast |")
    assert rows[1].startswith(f"| `{QUICK}`, form 2 | x3d XS | 3,794,322 | torch, efficient_x3d |")


def test_a_walk_tells_why_a_record_was_not_loaded_and_goes_on(monkeypatch, capsys):
    write = published_files.write
    monkeypatch.setattr(published_files, "write", lambda tensors, *where: write(dict([*tensors.items()][:-1]), *where))
    names = ("slowfast_r101_8x8", QUICK, "slowfast_r101_16x8")
    outcomes = walk.walk(map(videohub.record, names))
    assert [outcome.failed for outcome in outcomes] == [False, True, False]
    assert outcomes[0].came_in_by == outcomes[2].came_in_by == "never released"
    assert outcomes[1].came_in_by.startswith(f"failed: {QUICK}: the file does not hold this network")
    assert "\n" not in walk.row(outcomes[1])
    assert len(capsys.readouterr().err.splitlines()) == 3

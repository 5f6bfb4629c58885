"""One record of each kind of file and network, through the public way, from a file that is made here."""

from __future__ import annotations

import msgspec
import pytest
import torch

import videohub
from tests.models.golden_networks import CASES
from tests.zoo import published_files, walk
from videohub import registry
from videohub.convert import conversion
from videohub.registry.schema import Record

QUICK = "x3d_xs_4x12"


def kind_of(record: Record) -> bytes:
    """Return what decides how a record is converted: container, table and the network's arguments.

    How many classes there are does not, only whether there are any.
    """
    arguments = conversion.arguments_of(record)
    arguments["num_classes"] = arguments["num_classes"] is not None
    prefix = published_files.PREFIXES.get(record.publisher or "")
    kind = (published_files.container_of(record), record.family, record.checkpoint.layout, prefix, arguments)
    return msgspec.json.encode(kind, order="sorted")


def one_of_each_kind() -> list[str]:
    """Return the first record of each kind, if none of its kind has the very classes of a golden case, too."""
    first: dict[bytes, Record] = {}
    large = giants()
    for record in registry.load(registry.files()[0]).records.values():
        kind = kind_of(record)
        if record.status in walk.NO_FILE or record.name in large:
            continue
        if kind not in first or is_golden(record) > is_golden(first[kind]):
            first[kind] = record
    return [record.name for record in first.values()]


def giants() -> list[str]:
    """Return the records whose networks are too large for a file each."""
    known = registry.load(registry.files()[0])
    return [name for name in known.records if name in known.costs and known.costs[name].params > walk.GIANT]


@pytest.mark.parametrize("name", giants())
def test_a_giant_s_keys_and_shapes_find_their_way(name):
    walk.check_keys(videohub.record(name))


def is_golden(record: Record) -> bool:
    """Tell whether a golden case is a record's network to the number of its classes: its file has golden weights."""
    golden = record.proof.golden if record.proof else None
    case = golden and CASES[golden if "/" in golden else f"models/{golden}"]
    return bool(case) and case.architecture.num_classes == record.model.num_classes


@pytest.mark.parametrize(
    "name", [name if name == QUICK else pytest.param(name, marks=pytest.mark.slow) for name in one_of_each_kind()]
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

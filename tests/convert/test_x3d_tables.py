"""X3D between layouts whose networks differ in the first shortcut's norm: exact, or refused with the reason."""

import msgspec
import pytest
import torch

from tests.models.golden_networks import CASES
from videohub import models
from videohub.convert import conversion, tables
from videohub.convert.recognition import recognise
from videohub.errors import ConversionError

PYSLOWFAST, PYTORCHVIDEO = CASES["wider/pyslowfast/X3D_XS"], CASES["wider/pytorchvideo/x3d_xs"]
EFFICIENT = CASES["wider/pytorchvideo/efficient_x3d_xs"]


def written(case, layout):
    """Return the golden weights of a case in another layout."""
    table = tables.find("x3d", layout).of(case.arguments)
    return conversion.to_published(case.state(case.golden_file()), table, case.arguments)


def logits(case, file, **changes):
    """Return what the network of a case, with some arguments changed, computes with the tensors of a file."""
    architecture = msgspec.structs.replace(case.architecture, **changes)
    arguments = {**case.arguments, **changes}
    state = conversion.imported(file, recognise(file, "x3d", arguments), arguments, "a file")
    network = models.build(architecture, frames=4)
    network.load_state_dict({name: torch.as_tensor(array) for name, array in state.items()})
    with torch.inference_mode():
        return network(case.clip())


@pytest.mark.parametrize("other", [PYSLOWFAST, EFFICIENT], ids=lambda case: case.layout)
def test_a_network_without_the_norm_is_written_with_one_that_changes_nothing(other):
    file = written(PYTORCHVIDEO, other.layout)
    assert {key: list(tensor.shape) for key, tensor in file.items()} == {
        key: shape for key, shape, _ in other.facts["tensors"]
    }
    with_norm = logits(PYTORCHVIDEO, file, first_shortcut_norm=True)
    assert torch.equal(with_norm, logits(PYTORCHVIDEO, PYTORCHVIDEO.golden_file()))
    assert torch.equal(with_norm, logits(PYTORCHVIDEO, file))  # and it is read back into a network without


def test_a_file_without_the_norm_is_read_into_a_network_that_has_it_and_written_again():
    case, golden = PYTORCHVIDEO, PYTORCHVIDEO.golden_file()
    assert torch.equal(logits(case, golden, first_shortcut_norm=True), logits(case, golden))
    arguments = {**case.arguments, "first_shortcut_norm": True}
    state = conversion.imported(golden, recognise(golden, "x3d", arguments), arguments, "a file")
    tensors = {name: torch.as_tensor(array) for name, array in state.items()}
    table = tables.find("x3d", "pytorchvideo").of(arguments)
    assert conversion.to_published(tensors, table, arguments).keys() == golden.keys()


def test_a_norm_that_changes_something_has_no_place_in_pytorchvideo_s_files():
    with pytest.raises(ConversionError, match=r"no norm where a shortcut changes the stride alone\):\n.*res2\.0\.norm"):
        written(PYSLOWFAST, "pytorchvideo")


@pytest.mark.parametrize("case", [PYSLOWFAST, EFFICIENT], ids=lambda case: case.layout)
def test_a_file_whose_norm_changes_something_is_not_read_without_it(case):
    with pytest.raises(ConversionError, match="this network has no norm there"):
        logits(case, case.golden_file(), first_shortcut_norm=False)


def test_files_of_one_network_in_both_of_its_layouts_have_the_same_tensors():
    file = written(PYSLOWFAST, "efficient_x3d")
    assert file.keys() == EFFICIENT.golden_file().keys()
    there, golden = EFFICIENT.state(file), PYSLOWFAST.state(PYSLOWFAST.golden_file())
    assert there.keys() == golden.keys()
    assert all(torch.equal(there[name], golden[name]) for name in golden)


def test_a_copy_of_pytorchvideo_s_file_is_read_with_model_in_front_of_all_its_keys():
    copied = {f"model.{key}": array for key, array in PYTORCHVIDEO.golden_file().items()}
    assert recognise(copied, "x3d", PYTORCHVIDEO.arguments).prefix == "model."
    assert torch.equal(logits(PYTORCHVIDEO, copied), logits(PYTORCHVIDEO, PYTORCHVIDEO.golden_file()))

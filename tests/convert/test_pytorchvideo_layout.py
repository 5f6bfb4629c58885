"""PyTorchVideo's key layout of the residual networks, beside PySlowFast's of the same networks."""

import numpy as np
import pytest

from tests.models.golden_networks import CASES
from videohub.convert import conversion, tables
from videohub.convert.recognition import recognise
from videohub.errors import ConversionError

TWINS = {  # PySlowFast's network -> PyTorchVideo's of the same shapes
    "models/SLOW_4x16_R50": "wider/pytorchvideo/slow_r50",
    "models/I3D_8x8_R50": "wider/pytorchvideo/i3d_r50",
    "models/SLOWFAST_8x8_R50": "wider/pytorchvideo/slowfast_r50",
    "models/SLOWFAST_4x16_R50": "wider/pytorchvideo/zoo_slowfast_4x16_r50",
}
EXPRESSIBLE = [
    name
    for name, case in CASES.items()
    if case.family in ("resnet", "slowfast")
    and case.layout == "pyslowfast"
    and not case.architecture.non_local
    and case.arguments.get("variant") != "image"
]


def as_pytorchvideo(case, state):
    table = tables.find(case.family, "pytorchvideo").of(case.arguments)
    return conversion.to_published(state, table, case.arguments)


@pytest.mark.parametrize("name", EXPRESSIBLE)
def test_a_pyslowfast_file_becomes_a_pytorchvideo_file_and_again_what_it_was(name):
    case = CASES[name]
    file = case.numbered_file()
    written = {key: tensor.numpy() for key, tensor in as_pytorchvideo(case, case.state(file)).items()}
    if name in TWINS:
        assert {key: list(array.shape) for key, array in written.items()} == {
            key: shape for key, shape, _ in CASES[TWINS[name]].facts["tensors"]
        }
    for prefix in ("", "model."):  # PySlowFast's copies have it, also before the `model.` of a network that detects
        copy = {prefix + key: array for key, array in written.items()}
        recognised = recognise(copy, case.family, case.arguments)
        assert (recognised.layout, recognised.prefix) == ("pytorchvideo", prefix)
        state = conversion.imported(copy, recognised, case.arguments, name)
        again = conversion.to_published(state, case.table, case.arguments)
        assert again.keys() == file.keys()
        assert [key for key in file if not np.array_equal(again[key], file[key])] == []


def test_the_number_of_a_stage_s_block_depends_on_whether_pooling_is_one():
    key = "res3.1.norm_b.running_var"
    expected = {"models/SLOW_4x16_R50": "blocks.2", "models/C2D_NOPOOL_8x8_R50": "blocks.2",
                "models/I3D_8x8_R50": "blocks.3", "models/AVA_SLOW_8x8_R50": "model.blocks.2"}  # fmt: skip
    for name, stage in expected.items():
        table = tables.find("resnet", "pytorchvideo").of(CASES[name].arguments)
        [match] = table.matches([key], to_ours=False)[key]
        assert match.names == (f"{stage}.res_blocks.1.branch2.norm_b.running_var",)


def test_the_file_of_a_network_that_detects_is_not_one_that_classifies():
    detecting, classifying = (
        CASES["wider/pytorchvideo/slowfast_r50_detection"],
        CASES["wider/pytorchvideo/slowfast_r50"],
    )
    file = detecting.numbered_file()
    recognised = recognise(file, "slowfast", classifying.arguments)
    with pytest.raises(ConversionError, match=r"no rule knows 2 of 662 keys[^\0]*detection_head\.proj\.weight"):
        conversion.imported(file, recognised, classifying.arguments, "x")

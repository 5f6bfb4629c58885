"""VideoMAE as its authors and the library transformers spell it: biases that files lost, and what pre-training left."""

import numpy as np
import pytest
import torch

from tests.models.golden_networks import CASES
from tests.own_registry import like
from videohub import convert
from videohub.convert import conversion
from videohub.errors import ConversionError

SMALL = CASES["modern/transformers/videomae-small-finetuned-kinetics__6heads"]
QUERY, VALUE = (f"videomae.encoder.layer.{{}}.attention.attention.{letter}_bias" for letter in "qv")


def record_of(case):
    """A record whose network is a golden one."""
    slow = like("slow_r50_8x8")
    return like("slow_r50_8x8", name="golden", model=case.architecture, clip=type(slow.clip)(16, 4), labels=None)


def read(file, path):
    """Our tensors of a file that holds these arrays."""
    conversion.write_file({key: torch.from_numpy(array) for key, array in file.items()}, SMALL.table, path)
    return convert.to_state_dict(convert.read(path), record_of(SMALL))


def test_biases_are_read_under_either_name_that_transformers_saved_them_by(tmp_path):
    file = SMALL.numbered_file()
    respelt = {key.replace(".q_bias", ".query.bias").replace(".v_bias", ".value.bias"): array
               for key, array in file.items()}  # fmt: skip
    assert respelt.keys() != file.keys()
    expected, state = read(file, tmp_path / "now"), read(respelt, tmp_path / "then")
    assert state.keys() == expected.keys()
    assert [key for key in state if not torch.equal(state[key], expected[key])] == []


@pytest.mark.parametrize("lost", [(QUERY, VALUE), (QUERY,), (VALUE,)])
def test_a_file_that_lost_its_biases_is_refused_with_the_reason(tmp_path, lost):
    gone = {key.format(block) for key in lost for block in range(12)}
    file = {key: array for key, array in SMALL.numbered_file().items() if key not in gone}
    assert len(file) == 186 - len(gone)
    with pytest.raises(
        ConversionError, match=rf"lacks {len(gone)} tensors that it must hold \(VideoMAE's queries and "
    ):
        read(file, tmp_path / "file")


def test_what_predicts_masked_patches_is_left_aside_and_the_encoder_s_norm_is_read(tmp_path):
    """Of a file as pre-training leaves it, in its authors' names."""
    fine_tuned = CASES["modern/videomae/videomae_s_k400"].numbered_file()
    left = {f"encoder.{key}": array for key, array in fine_tuned.items() if key.startswith(("patch_embed", "blocks"))}
    norm = {
        f"encoder.norm.{affine}": np.full(384, number, np.float32) for affine, number in (("weight", 1), ("bias", 2))
    }
    decoder = {key: np.zeros((1, 1), np.float32) for key in ("decoder.blocks.0.attn.qkv.weight", "mask_token",
                                                             "encoder_to_decoder.weight")}  # fmt: skip
    path = tmp_path / "checkpoint.pth"
    tensors = {key: torch.from_numpy(array).contiguous() for key, array in {**left, **norm, **decoder}.items()}
    torch.save({"model": tensors}, path)
    case = CASES["modern/videomae/videomae_s_k400"]
    encoder = type(case.architecture)(depth=12, width=384, heads=6, class_token=False, positions="sinusoid",
                                      key_bias=False, readout="mean", num_classes=None)  # fmt: skip
    record = like("slow_r50_8x8", name="encoder", model=encoder, labels=None)
    state = convert.to_state_dict(convert.read(path), record)
    ours = {key for key in case.state(fine_tuned) if not key.startswith("head.projection")}
    assert state.keys() == ours
    assert torch.equal(state["head.norm.weight"], torch.ones(384))

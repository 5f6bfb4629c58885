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


@pytest.mark.parametrize("prefix", ["videomae.", ""])
def test_an_encoder_alone_is_read_under_either_name_of_its_biases(tmp_path, prefix):
    whole = SMALL.numbered_file()
    spelt = {".q_bias": ".query.bias", ".v_bias": ".value.bias", "videomae.": prefix}
    file = {}
    for key, array in whole.items():
        if key.startswith("videomae."):
            for word, other in spelt.items():
                key = key.replace(word, other)
            file[key] = array
    encoder = type(SMALL.architecture)(depth=12, width=384, heads=6, class_token=False, positions="sinusoid",
                                       key_bias=False, readout="mean_alone", num_classes=None)  # fmt: skip
    conversion.write_file({key: torch.from_numpy(array) for key, array in file.items()}, SMALL.table, tmp_path / "file")
    record = like("slow_r50_8x8", name="encoder", model=encoder, labels=None)
    state = convert.to_state_dict(convert.read(tmp_path / "file"), record)
    expected = {key: array for key, array in SMALL.state(whole).items() if not key.startswith("head.")}
    assert state.keys() == expected.keys()
    assert [key for key in state if not torch.equal(state[key], torch.as_tensor(expected[key]))] == []


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


# --- mmaction2's, which hold the positions that others compute -------------------------------------------------------

OF_MMACTION2 = CASES["modern/mmaction2/vit-small-p16_videomaev2-vit-g-dist-k710-pre_16x4x1"]


def written(frames=16):
    """A file of mmaction2's for clips of so many frames."""
    file = {key: torch.from_numpy(array.copy()) for key, array in OF_MMACTION2.numbered_file().items()}
    state = OF_MMACTION2.state({key: tensor.numpy() for key, tensor in file.items()})
    return conversion.to_published(state, OF_MMACTION2.table, {**OF_MMACTION2.arguments, "frames": frames})


def test_the_positions_that_are_written_are_the_original_s():
    result = written()["backbone.pos_embed"]
    assert list(result.shape) == dict(OF_MMACTION2.facts["computed_buffers"])["backbone.pos_embed"]
    indices, values = OF_MMACTION2.expected["table_indices"][0], OF_MMACTION2.expected["table_values"][0]
    assert np.abs(result.numpy().reshape(-1)[indices] - values).max() <= 1e-6


@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16])
def test_positions_are_compared_as_the_precision_of_their_file_has_them(tmp_path, kind):
    file = {key: tensor.to(kind) for key, tensor in written().items()}
    torch.save({"state_dict": file}, tmp_path / "file.pth")
    state = convert.to_state_dict(convert.read(tmp_path / "file.pth"), record_of(OF_MMACTION2))
    assert len(state) == len(file) - 1


@pytest.mark.parametrize(
    "change", [lambda table: table.flip(1), lambda table: table[:, :784], lambda table: table * 1.01]
)
def test_a_file_with_other_positions_is_refused_with_the_reason(tmp_path, change):
    file = written()
    file["backbone.pos_embed"] = change(file["backbone.pos_embed"]).contiguous()
    torch.save({"state_dict": file}, tmp_path / "file.pth")
    with pytest.raises(ConversionError, match=r"other values than this network computes \(the sines and cosines"):
        convert.to_state_dict(convert.read(tmp_path / "file.pth"), record_of(OF_MMACTION2))


def test_a_network_for_longer_clips_is_written_with_their_positions():
    assert written(frames=32)["backbone.pos_embed"].shape == (1, 2 * 1568, 384)

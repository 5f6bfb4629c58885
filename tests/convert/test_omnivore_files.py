"""Omnivore's files: Video Swin's keys in a trunk, heads for three kinds of input, and what embeds depth.

The keys are those that its networks have by their code (omnivore_model.py, swin_transformer.py), not by our table.
"""

import torch

from tests.models.golden_networks import CASES
from videohub import convert, registry

SWIN = CASES["modern/video_swin/swin_tiny_patch244_window877_k400"]


def test_the_network_for_video_is_found_in_a_file_with_other_heads(tmp_path):
    golden = {key: torch.from_numpy(array) for key, array in SWIN.golden_file().items()}
    trunk = {key.removeprefix("backbone."): tensor for key, tensor in golden.items() if key.startswith("backbone.")}
    for part, shape in (("proj.weight", (96, 1, 2, 4, 4)), ("proj.bias", 96), ("norm.weight", 96), ("norm.bias", 96)):
        trunk[f"depth_patch_embed.{part}"] = torch.ones(shape)
    heads = {"image.weight": torch.ones(1000, 768), "image.bias": torch.ones(1000),
             "rgbd.weight": torch.ones(19, 768), "rgbd.bias": torch.ones(19),
             "video.1.weight": golden["cls_head.fc_cls.weight"],
             "video.1.bias": golden["cls_head.fc_cls.bias"]}  # fmt: skip
    torch.save({"trunk": trunk, "heads": heads}, tmp_path / "swinT_checkpoint.torch")
    checkpoint = convert.read(tmp_path / "swinT_checkpoint.torch")
    state = convert.to_state_dict(checkpoint, registry.record("omnivore_swin3d_t_32"))
    expected = SWIN.state(SWIN.golden_file())
    assert state.keys() == expected.keys()
    assert [key for key in state if not torch.equal(state[key], expected[key])] == []

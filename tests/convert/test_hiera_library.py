"""Files from the package hiera-transformer, its authors' own, and for it, by the logits of its network.

Skipped without it.
"""

import warnings

import pytest
import torch

from tests.golden import synth
from tests.own_registry import like
from videohub import convert, models
from videohub.architectures.hiera import Hiera

with warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)  # it imports timm by an older path
    hiera = pytest.importorskip("hiera")

FRAMES, CROP = 8, 64


@pytest.fixture
def pair():
    """Theirs, ours, and a record of ours."""
    theirs = hiera.Hiera(
        input_size=(FRAMES, CROP, CROP),
        embed_dim=8,
        num_heads=2,
        num_classes=7,
        stages=(1, 1, 2, 1),
        q_stride=(1, 2, 2),
        mask_unit_size=(1, 8, 8),
        patch_kernel=(3, 7, 7),
        patch_stride=(2, 4, 4),
        patch_padding=(1, 3, 3),
        sep_pos_embed=True,
    )
    arch = Hiera(blocks=(1, 1, 2, 1), width=8, heads=2, crop=CROP, num_classes=7)
    slow = like("slow_r50_8x8")
    record = like("slow_r50_8x8", name="small", model=arch, clip=type(slow.clip)(FRAMES, 4), labels=None)
    return theirs.eval(), models.build(arch, frames=FRAMES), record


def fill(network):
    """Give every tensor values that are made from its name."""
    named = {name: synth.synth(name, tuple(tensor.shape)) for name, tensor in network.state_dict().items()}
    network.load_state_dict({name: torch.from_numpy(array) for name, array in named.items()})


def difference(theirs, ours):
    """How far logits are apart; theirs are those before the softmax that it ends in."""
    clip = torch.from_numpy(synth.synth_clip("hiera", (2, 3, FRAMES, CROP, CROP)))
    logits = []
    theirs.head.projection.register_forward_hook(lambda module, given, made: logits.append(made))
    with torch.inference_mode():
        theirs(clip)
        result = ours(clip)
    assert logits[0].std() > 0.01
    return float((result - logits[0]).abs().max() / logits[0].abs().max())


def test_what_the_authors_network_is_saved_as_gives_its_logits_here(tmp_path, pair):
    theirs, ours, record = pair
    fill(theirs)
    torch.save({"model_state": theirs.state_dict()}, tmp_path / "file.pth")
    checkpoint = convert.read(tmp_path / "file.pth")
    ours.load_state_dict(convert.to_state_dict(checkpoint, record), strict=True)
    assert difference(theirs, ours) <= 1e-5


def test_what_is_written_for_the_authors_network_gives_our_logits_there(tmp_path, pair):
    theirs, ours, record = pair
    fill(ours)
    convert.export(ours.state_dict(), record, "hiera", tmp_path / "file.pth")
    saved = torch.load(tmp_path / "file.pth", weights_only=True)
    theirs.load_state_dict(saved["model_state"], strict=True)
    assert difference(theirs, ours) <= 1e-5

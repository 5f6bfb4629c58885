"""video-nonlocal-net's C2D and I3D against the same written out over its own blobs, for the original needs Caffe2."""

from fnmatch import fnmatchcase

import msgspec
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.convert.key_names import to_published
from tests.golden import synth
from videohub import models, optimize
from videohub.architectures.parts import AverageWindow, NonLocal, Stem, block_counts
from videohub.architectures.resnet import ResNet
from videohub.convert import conversion, tables
from videohub.convert.recognition import recognise
from videohub.errors import ConversionError
from videohub.models import convolutions

UNPADDED = Stem(pool_padding=0)
PAPER = Stem(stride=2, pool_frames=2, pool_padding=0)  # published for 32 and for 128 frames
AFTER = {"res3": [1], "res4": [1]}
SMALL = {"depth": (1, 2, 2, 1), "width": 8, "num_classes": 7, "head": AverageWindow(window=2)}
NETWORKS = {  # architecture, frames, whether the norms are frozen
    "c2d": ({"variant": "c2d", "stem": UNPADDED}, 8, False),
    "c2d of the paper": ({"variant": "c2d", "stem": PAPER}, 16, False),
    "i3d": ({"variant": "i3d", "stem": UNPADDED}, 8, False),
    "i3d of the paper": ({"variant": "i3d", "stem": PAPER}, 16, False),
    "i3d, frozen": ({"variant": "i3d", "stem": UNPADDED}, 16, True),
    "i3d of the paper, frozen": ({"variant": "i3d", "stem": PAPER}, 64, True),
}


@pytest.fixture(
    params=[(name, has) for name in NETWORKS for has in (False, True)], ids=lambda of: f"{of[0]}{' non-local' * of[1]}"
)
def case(request):
    """An architecture, its clip's length, and whether its batch norms are frozen."""
    name, has_non_local = request.param
    arguments, frames, frozen = NETWORKS[name]
    blocks = NonLocal(after=AFTER, affinity="softmax", pool=(1, 2, 2), windows={"res3": 4} if frozen else {})
    arch = ResNet(non_local=blocks if has_non_local else None, **SMALL, **arguments)
    return arch, frames, frozen


def blobs_of(arch, frozen):
    """Return blobs with values made from their names."""
    with torch.device("meta"):
        state = models.build(arch, frames=32).state_dict()
    names = to_published(tables.find("resnet", "caffe2"), state)
    shapes = {names[key][0]: tuple(tensor.shape) for key, tensor in state.items() if names[key]}
    if frozen:
        left_out = ("res*_rm", "res*_riv", "nonlocal*_bn_*")
        shapes = {blob: shape for blob, shape in shapes.items()
                  if not any(fnmatchcase(blob, pattern) for pattern in left_out)}  # fmt: skip
    rng = {blob: np.random.default_rng(number) for number, blob in enumerate(shapes)}
    values = {blob: rng[blob].standard_normal(shape, np.float32) / max(1, np.prod(shape[1:])) ** 0.5
              for blob, shape in shapes.items()}  # fmt: skip
    return {blob: np.asarray(np.abs(value) + 0.5 if blob.endswith("_riv") else value, np.float32)
            for blob, value in values.items()}  # fmt: skip


def arguments_of(arch):
    return {**msgspec.to_builtins(arch), "arch": arch.arch}


def logits_written_out(arch, frames, blobs, clip):
    """Return logits (1, T', H', W', classes) of a clip (1, 3, T, H, W), as lib/models of the original builds them."""
    blobs = {name: torch.from_numpy(value) for name, value in blobs.items()}
    inflated, paper, frozen = arch.variant == "i3d", arch.stem.stride == 2, "res_conv1_bn_rm" not in blobs

    def conv(x, name, **how):
        return F.conv3d(x, blobs[f"{name}_w"], blobs.get(f"{name}_b"), **how)

    def norm(x, name):
        if f"{name}_s" not in blobs:
            return x
        scale, shift = (blobs[f"{name}_{part}"].view(-1, 1, 1, 1) for part in "sb")
        if not frozen:
            mean, variance = (blobs[f"{name}_{part}"].view(-1, 1, 1, 1) for part in ("rm", "riv"))
            x = (x - mean) / torch.sqrt(variance + 1.0000001e-5)  # ours, 1e-5, is the float32 before it
        return x * scale + shift

    def non_local(x, name):
        pooled = F.max_pool3d(x, (1, 2, 2))
        theta, phi, g = conv(x, f"{name}_theta"), conv(pooled, f"{name}_phi"), conv(pooled, f"{name}_g")
        weights = torch.einsum("cq,ck->qk", theta[0].flatten(1), phi[0].flatten(1)) * theta.shape[1] ** -0.5
        gathered = torch.einsum("qk,ck->cq", weights.softmax(dim=1), g[0].flatten(1)).view_as(theta)
        return x + norm(conv(gathered, f"{name}_out"), f"{name}_bn")

    kernel = 2 if inflated else 0
    x = conv(clip, "conv1", stride=(2 if paper else 1, 2, 2), padding=(kernel, 3, 3))
    pool = 2 if paper else 1
    x = F.max_pool3d(norm(x, "res_conv1_bn").relu(), (pool, 3, 3), (pool, 2, 2))
    for stage, count in enumerate(block_counts(arch.depth), start=2):
        if stage == 3:
            x = F.max_pool3d(x, (2, 1, 1))
        for block in range(count):
            name = f"res{stage}_{block}_branch"
            seen = inflated and (stage == 2 or block % 2 == (1 if stage == 5 else 0))
            stride = (1, 2, 2) if stage > 2 and block == 0 else 1
            y = norm(conv(x, f"{name}2a", padding=(1 if seen else 0, 0, 0)), f"{name}2a_bn").relu()
            y = norm(conv(y, f"{name}2b", stride=stride, padding=(0, 1, 1)), f"{name}2b_bn").relu()
            y = norm(conv(y, f"{name}2c"), f"{name}2c_bn")
            x = (y + (norm(conv(x, f"{name}1", stride=stride), f"{name}1_bn") if block == 0 else x)).relu()
            if arch.non_local and block in arch.non_local.after.get(f"res{stage}", ()):
                each = 4 if frozen and stage == 3 else x.shape[2]
                parts = [non_local(part, f"nonlocal_conv{stage}_{block}") for part in x.split(each, dim=2)]
                x = torch.cat(parts, dim=2)
    crop = arch.head.window  # of training, by 32
    x = F.avg_pool3d(x, (frames // (8 if paper else 2), crop, crop), stride=1)
    return x.movedim(1, -1) @ blobs["pred_w"].T + blobs["pred_b"]


def state_of(arch, blobs):
    """Return the tensors of a file with these blobs under our names, and the layout by which it was read."""
    recognised = recognise(blobs, "resnet", arguments_of(arch))
    arrays = conversion.imported(blobs, recognised, arguments_of(arch), "x")
    return {name: torch.from_numpy(np.asarray(array)) for name, array in arrays.items()}, recognised.layout


@torch.no_grad()
@pytest.mark.parametrize("size", [64, 80])  # one position, and four
def test_a_network_computes_what_the_original_says(case, size):
    arch, frames, frozen = case
    blobs = blobs_of(arch, frozen)
    network = models.build(arch, frames=frames)
    network.load_state_dict(state_of(arch, blobs)[0], strict=True)
    clip = torch.from_numpy(synth.synth_clip("nonlocal_net", (1, 3, frames, size, size)))
    logits = logits_written_out(arch, frames, blobs, clip)
    result, expected = network(clip)[0].softmax(dim=0), logits.softmax(dim=-1).flatten(0, 3).mean(dim=0)
    assert expected.max() < 0.99
    assert (result - expected).abs().max() <= 1e-6
    assert (optimize(network)(clip)[0].softmax(dim=0) - expected).abs().max() <= 1e-5


def test_a_file_finds_its_way_back(case):
    arch, _, frozen = case
    blobs = blobs_of(arch, frozen)
    state, layout = state_of(arch, blobs)
    assert layout == ("caffe2_affine" if frozen else "caffe2")
    table = tables.find("resnet", layout).of(arguments_of(arch))
    written = conversion.to_published(state, table, arguments_of(arch))
    assert written.keys() == blobs.keys()
    assert all(np.array_equal(written[blob], blobs[blob]) for blob in blobs)


FROZEN = ResNet(variant="i3d", stem=UNPADDED, **SMALL)


def test_statistics_are_filled_in_for_frozen_norms_alone():
    blobs = blobs_of(FROZEN, frozen=False)
    del blobs["res2_0_branch2a_bn_rm"]
    assert "res2.0.norm_a.running_mean" not in state_of(FROZEN, blobs)[0]


def test_norms_with_statistics_are_not_written_as_frozen_ones():
    state, _ = state_of(FROZEN, blobs_of(FROZEN, frozen=False))
    with pytest.raises(ConversionError, match=r"no place for these tensors[^\0]*norm_a\.running_mean"):
        conversion.to_published(state, tables.find("resnet", "caffe2_affine"), arguments_of(FROZEN))


@pytest.mark.parametrize("layout", ["pyslowfast", "pytorchvideo"])
def test_no_file_is_written_for_a_library_that_has_no_such_network(layout):
    state, _ = state_of(FROZEN, blobs_of(FROZEN, frozen=True))
    table = tables.find("resnet", layout).of(arguments_of(FROZEN))
    with pytest.raises(ConversionError, match=f"resnet/{layout}: .* first pooling looks beyond the edges of the pic"):
        conversion.to_published(state, table, arguments_of(FROZEN))


def test_a_clip_is_refused_that_leaves_no_frame():
    network = models.build(ResNet(variant="c2d", stem=PAPER, **SMALL), frames=32)
    assert network(torch.zeros(1, 3, 7, 64, 64)).shape == (1, 7)
    with pytest.raises(ValueError, match="found 6 frames, expected at least 7"):
        network(torch.zeros(1, 3, 6, 64, 64))


def test_in_training_windows_are_normed_together():
    """As the original has it, where windows are clips of their own in the batch while a block looks at them."""
    torch.manual_seed(5)
    how = NonLocal(after={}, affinity="softmax", pool=(1, 2, 2))
    ours, whole = convolutions.NonLocal(8, how, window=2), convolutions.NonLocal(8, how, window=None)
    whole.load_state_dict(ours.state_dict())
    clip = torch.randn(3, 8, 6, 4, 4)
    folded = clip.unflatten(2, (3, 2)).transpose(1, 2).flatten(0, 1)  # (9, 8, 2, 4, 4)
    of_windows = whole(folded).unflatten(0, (3, 3)).transpose(1, 2).flatten(2, 3)
    assert torch.allclose(ours(clip), of_windows, atol=1e-6)
    assert torch.allclose(ours.norm.running_mean, whole.norm.running_mean, atol=1e-7)
    assert torch.allclose(ours.norm.running_var, whole.norm.running_var, atol=1e-7)
    assert ours.norm.num_batches_tracked == 1

"""What records say that their networks were compared with: golden cases, or another implementation that runs here.

torchvision's networks are its publisher's own; transformers has VideoMAE as its authors do. torchvision's MViT with the
blocks of PySlowFast's configurations is that of the larger ones. What no library here has is written out by itself.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.video.swin_transformer import SwinTransformer3d

from tests.golden import synth
from tests.models import (
    mmaction2_written_out,
    test_nonlocal_net,
    token_networks,
    tokens_written_out,
    torchvision_networks,
    uniformer_written_out,
    uniformerv2_written_out,
    x3d_written_out,
)
from tests.models.golden_networks import CASES, compared, trained
from videohub import architectures, models, registry
from videohub.architectures import Architecture
from videohub.architectures.reversible_mvit import ReversibleMViT
from videohub.architectures.vit import Probe, ViT
from videohub.architectures.x3d import X3D
from videohub.convert import conversion, tables
from videohub.registry.schema import Proof, Record

TOKENS = "the network written out over PySlowFast's keys (tests/models/tokens_written_out.py)"
X3D_KEYS = "the network written out over PySlowFast's keys (tests/models/x3d_written_out.py)"
MMACTION2_KEYS = (
    "the network written out over mmaction2's keys (tests/models/mmaction2_written_out.py), at 64 x 64 pixels"
)
NONLOCAL_NET = "the network written out over Caffe2's blobs (tests/models/test_nonlocal_net.py)"
UNIFORMER_KEYS = (
    "the network written out over its authors' keys (tests/models/uniformer_written_out.py), at 64 x 64 pixels"
)
UNIFORMERV2_KEYS = (
    "the network written out over its authors' keys (tests/models/uniformerv2_written_out.py), at 2 frames of 56 x 56 "
    "pixels"
)
MVIT = "torchvision.models.video.MViT with the blocks of PySlowFast's {}"

LAST_NORMS = ("norm_c.weight", "conv_c.norm.weight", "conv_b.temporal.norm.weight")  # of blocks
GIANTS = ("H", "g")  # sizes of more than 600 million parameters
# What takes ten seconds and more, and of which a smaller size or a shorter clip is tried in the same way.
LONG = ("x3d L", "swin3d S", "swin3d B", "swin3d L", "mvitv2 B", "mvitv2 L", "i3d R50, 128", "i3d_nln R50, 128",
        "vit L, 64", "vit L, 128", "timesformer B, 96")  # fmt: skip
QUICK = ("wider/pyslowfast/ImageNet_REV_VIT_S", "wider/pyslowfast/ImageNet_MVITv2_T")

Compare = Callable[[Architecture, Tensor, Path], tuple[Tensor, Tensor]]  # logits of ours, and of the other


@dataclass(frozen=True)
class Reference:
    """Another implementation: what records call it, for which network and length of clips, and on which clip it ran.

    Without a length it is of a network for clips of any length, and for pictures of any size, of which its table alone
    is another.
    """

    name: str
    model: Mapping[str, object]
    frames: int | None
    clip: tuple[int, int, int]  # frames, height, width
    compare: Compare

    @property
    def architecture(self) -> Architecture:
        return architectures.read({**self.model})

    def computed(self, record: Record) -> bool:
        """Tell whether it is of a record's network, however many classes there are."""
        if self.frames is None:
            return compared(self.architecture) == {**compared(record.model), "crop": self.architecture.crop}
        return (self.frames, compared(self.architecture)) == (record.clip.frames, compared(record.model))


def drawn(arch: Architecture, frames: int) -> nn.Module:
    """Return a network whose every tensor is drawn anew, so that nothing is 0 or 1 and no term hides."""
    network = models.build(arch, frames=frames)
    generator = torch.Generator().manual_seed(0)
    for tensor in network.state_dict().values():
        tensor.normal_(0 if tensor.ndim > 1 else 0.5, 0.04, generator=generator)
    return network


def with_torchvision(make: Callable[..., nn.Module], arch: Architecture, clip: Tensor, folder: Path):
    network = trained(arch, frames=clip.shape[2])
    theirs = make(num_classes=arch.num_classes).eval()
    torchvision_networks.fill(theirs, network, arch, folder / "file.pth")
    return network(clip), theirs(clip)


def with_written_out(arch: Architecture, clip: Tensor, folder: Path):
    network = trained(arch, frames=clip.shape[2])
    if isinstance(arch, X3D):  # maps grow from block to block, and either way float32 alone may be off by 2e-5
        network, clip = network.double(), clip.double()
    arguments = {**msgspec.to_builtins(arch), "arch": arch.arch}
    table = tables.find(arch.family, "pyslowfast").of(arguments)
    file = conversion.to_published(network.state_dict(), table, arguments)
    result = network(clip)
    return result, written_out(arch, {key: tensor.numpy() for key, tensor in file.items()}, clip).reshape(result.shape)


def written_out(arch: Architecture, file: Mapping[str, np.ndarray], clip: Tensor) -> Tensor:
    """Return what a file of PySlowFast's makes of a clip, as its network is written out."""
    if isinstance(arch, X3D):
        return x3d_written_out.logits(file, clip, window=getattr(arch.head, "window", None))
    if isinstance(arch, ViT):
        return tokens_written_out.blocks(file, clip, heads=arch.heads, readout=arch.readout)
    key_stride = 4 if arch.image else 8
    if isinstance(arch, ReversibleMViT):
        return tokens_written_out.reversible(file, clip, heads=arch.heads, key_stride=key_stride)
    first = list(itertools.accumulate(arch.blocks))[:-1]  # of each stage but the first
    narrows = first if arch.last_stride == 2 else first[:-1]
    return tokens_written_out.blocks(
        file, clip, heads=arch.heads, readout=arch.read_out, key_stride=key_stride, narrows=narrows, widens=first
    )


def with_uniformer_keys(arch: Architecture, clip: Tensor, folder: Path):
    network = trained(arch, frames=clip.shape[2])
    for name, tensor in network.named_parameters():
        if name.endswith(("projection.weight", "out.weight")) and name.startswith("stage"):  # else maps grow by block
            tensor.mul_(0.1)
    arguments = {**msgspec.to_builtins(arch), "arch": arch.arch}
    file = conversion.to_published(network.state_dict(), tables.find("uniformer", "uniformer").of(arguments), arguments)
    theirs = {key: each.numpy() for key, each in file.items()}
    return network(clip), uniformer_written_out.logits(theirs, clip, eps=arch.norm_eps)


def of_uniformer(frames: int, **model: object) -> Reference:
    """Return the base network, run on small pictures."""
    model = {"family": "uniformer", "depth": "B", **model}
    return Reference(UNIFORMER_KEYS, model, frames, (frames, 64, 64), with_uniformer_keys)


def with_uniformerv2_keys(arch: Architecture, clip: Tensor, folder: Path):
    arch = msgspec.structs.replace(arch, crop=clip.shape[-1])
    network = drawn(arch, clip.shape[2])
    arguments = {**msgspec.to_builtins(arch), "arch": arch.arch}
    file = conversion.to_published(
        network.state_dict(), tables.find("uniformerv2", "uniformerv2").of(arguments), arguments
    )
    theirs = {key: each.numpy() for key, each in file.items()}
    return network(clip), uniformerv2_written_out.logits(theirs, clip, heads=arch.heads)


def of_uniformerv2(**model: object) -> Reference:
    """Return a size of UniFormerV2, run on few frames of small pictures."""
    model = {"family": "uniformerv2", **model}
    return Reference(UNIFORMERV2_KEYS, model, None, (2, 56, 56), with_uniformerv2_keys)


def with_nonlocal_net(frozen: bool, arch: Architecture, clip: Tensor, folder: Path):
    blobs = test_nonlocal_net.blobs_of(arch, frozen)
    network = models.build(arch, frames=clip.shape[2])
    network.load_state_dict(test_nonlocal_net.state_of(arch, blobs)[0], strict=True)
    return network(clip), test_nonlocal_net.logits_written_out(arch, clip.shape[2], blobs, clip).flatten(0, 3)


def with_mmaction2_keys(arch: Architecture, clip: Tensor, folder: Path):
    network = trained(arch, frames=clip.shape[2])
    gaussian = getattr(getattr(arch, "non_local", None), "affinity", None) == "gaussian"
    for name, tensor in network.named_parameters():
        if name.endswith(LAST_NORMS):  # else maps grow from block to block
            tensor.mul_(0.1)
        elif ".theta." in name:  # else softmax picks single places
            tensor.mul_(0.01)
        elif gaussian and "norm_shortcut" in name:  # and so it does with products of a map with itself
            tensor.mul_(0.1)
    arguments = {**msgspec.to_builtins(arch), "arch": arch.arch}
    table = tables.find(arch.family, "mmaction2").of(arguments)
    file = conversion.to_published(network.state_dict(), table, arguments)
    boxes = (torch.tensor([[0, 3.0, 5.0, 50.0, 60.0]]),) if arch.task == "detection" else ()
    theirs = mmaction2_written_out.WrittenOut({key: tensor.numpy() for key, tensor in file.items()}, arch)
    return network(clip, *boxes), theirs.logits(clip, *boxes)


def with_transformers(arch: Architecture, clip: Tensor, folder: Path):
    """Compare with that library's VideoMAE for clips of this size, which takes our tensors: none is there twice."""
    transformers = pytest.importorskip("transformers")
    network = drawn(arch, clip.shape[2])
    config = transformers.VideoMAEConfig(
        image_size=clip.shape[-1],
        patch_size=arch.patch,
        num_frames=clip.shape[2],
        hidden_size=arch.width,
        num_hidden_layers=arch.depth,
        num_attention_heads=arch.heads,
        intermediate_size=arch.hidden or 4 * arch.width,
        layer_norm_eps=1e-6,
        num_labels=arch.num_classes,
    )
    with torch.device("meta"):
        theirs = transformers.VideoMAEForVideoClassification(config).eval()
    arguments = {**msgspec.to_builtins(arch), "arch": arch.arch}
    table = tables.find(arch.family, "transformers").of(arguments)
    file = conversion.to_published(network.state_dict(), table, arguments)
    in_memory = {key.replace("q_bias", "query.bias").replace("v_bias", "value.bias"): file[key] for key in file}
    theirs.load_state_dict(in_memory, strict=True, assign=True)
    theirs.fc_norm.eps = 1e-6  # as its authors have it; the library's own differs
    return network(clip), theirs(clip.transpose(1, 2)).logits


def of_transformers(depth: int, width: int, heads: int, *, patch: int = 16, **more: object) -> Reference:
    """Return a size of VideoMAE, run on small pictures, which number their tokens from 0 like large ones."""
    model = {"family": "vit", "depth": depth, "width": width, "heads": heads, "patch": patch, "class_token": False,
             "positions": "sinusoid", "key_bias": False, **more}  # fmt: skip
    side = 4 * patch
    name = f"transformers.VideoMAEForVideoClassification, at {side} x {side} pixels"
    return Reference(name, model, 16, (16, side, side), with_transformers)


def with_vjepa2(arch: Architecture, clip: Tensor, folder: Path):
    """Compare with that library's encoder and pooler, put together as the authors do: heads, levels and segments.

    Both take our tensors; none is there twice.
    """
    transformers = pytest.importorskip("transformers")
    from transformers.models.vjepa2 import modeling_vjepa2

    network = drawn(arch, clip.shape[2])
    text = {"crop_size": clip.shape[-1], "hidden_size": arch.width, "num_hidden_layers": arch.depth,
            "mlp_ratio": (arch.hidden or 4 * arch.width) / arch.width, "layer_norm_eps": arch.norm_eps,
            "frames_per_clip": clip.shape[2] // arch.segments}  # fmt: skip
    config = transformers.VJEPA2Config(num_attention_heads=arch.heads, **text)
    with torch.device("meta"):
        encoder = modeling_vjepa2.VJEPA2Encoder(config).eval()
    arguments = {**msgspec.to_builtins(arch), "arch": arch.arch}
    table = tables.find(arch.family, "transformers").of(arguments)
    table = replace(table, file=msgspec.structs.replace(table.file, not_written_for=[]))
    file = conversion.to_published(network.state_dict(), table, arguments)

    def part(begins: str) -> dict[str, Tensor]:
        return {key.removeprefix(begins): tensor for key, tensor in file.items() if key.startswith(begins)}

    probe = isinstance(arch.readout, Probe)
    encoder.load_state_dict(part("vjepa2.encoder." if probe else "encoder."), strict=True, assign=True)
    outputs = []
    levels = arch.levels or (arch.depth - 1,)
    for segment in clip.chunk(arch.segments, dim=2):
        tokens = encoder.embeddings(segment.transpose(1, 2))
        for number, layer in enumerate(encoder.layer):
            tokens = layer(tokens, None)[0]
            if number in levels:
                outputs.append(encoder.layernorm(tokens))
    tokens = torch.cat(outputs, dim=1)
    if not probe:
        return network(clip), tokens.mean(dim=1)
    of_probe = transformers.VJEPA2Config(num_attention_heads=arch.readout.heads, num_pooler_layers=arch.readout.blocks,
                                         **{**text, "mlp_ratio": 4.0, "layer_norm_eps": arch.readout_eps})  # fmt: skip
    with torch.device("meta"):
        pooler = modeling_vjepa2.VJEPA2AttentivePooler(of_probe).eval()
    pooler.load_state_dict(part("pooler."), strict=True, assign=True)
    classifier = part("classifier.")
    return network(clip), nn.functional.linear(pooler(tokens), classifier["weight"], classifier["bias"])


def with_vjepa(arch: Architecture, clip: Tensor, folder: Path):
    """Compare with timm's blocks and torch's attention, over the authors' keys, with positions of such pictures."""
    vision_transformer = pytest.importorskip("timm.models.vision_transformer")
    arch = msgspec.structs.replace(arch, crop=clip.shape[-1])
    network = drawn(arch, clip.shape[2])
    arguments = {**msgspec.to_builtins(arch), "arch": arch.arch}
    file = conversion.to_published(network.state_dict(), tables.find("vit", "vjepa").of(arguments), arguments)

    def of(key: str) -> list[Tensor]:
        return [file[f"{key}.weight"], file[f"{key}.bias"]]

    def encoded(segment: Tensor) -> Tensor:
        patches = nn.functional.conv3d(segment, *of("encoder.patch_embed.proj"), stride=(2, 16, 16))
        tokens = patches.flatten(2).transpose(1, 2) + file["encoder.pos_embed"]
        with torch.device("meta"):
            block = vision_transformer.Block(arch.width, arch.heads, qkv_bias=True,
                                             norm_layer=partial(nn.LayerNorm, eps=1e-6)).eval()  # fmt: skip
        for number in range(arch.depth):
            begins = f"encoder.blocks.{number}."
            weights = {key.removeprefix(begins): file[key] for key in file if key.startswith(begins)}
            block.load_state_dict(weights, strict=True, assign=True)
            tokens = block(tokens)
        return nn.functional.layer_norm(tokens, (arch.width,), *of("encoder.norm"), 1e-6)

    tokens = torch.cat([encoded(segment) for segment in clip.chunk(arch.segments, dim=2)], dim=1)
    at = "classifier.pooler.cross_attention_block"
    tokens = nn.functional.layer_norm(tokens, (arch.width,), *of(f"{at}.norm1"), 1e-5)
    gathers = nn.MultiheadAttention(arch.width, arch.readout.heads, batch_first=True).eval()
    gathers.load_state_dict({
        **{f"in_proj_{kind}": torch.cat([file[f"{at}.xattn.q.{kind}"], file[f"{at}.xattn.kv.{kind}"]])
           for kind in ("weight", "bias")},
        "out_proj.weight": torch.eye(arch.width), "out_proj.bias": torch.zeros(arch.width),
    })  # fmt: skip
    query = file["classifier.pooler.query_tokens"]
    query = query + gathers(query, tokens, tokens, need_weights=False)[0]
    hidden = nn.functional.layer_norm(query, (arch.width,), *of(f"{at}.norm2"), 1e-5)
    hidden = nn.functional.gelu(nn.functional.linear(hidden, *of(f"{at}.mlp.fc1")))
    query = query + nn.functional.linear(hidden, *of(f"{at}.mlp.fc2"))
    return network(clip), nn.functional.linear(query[:, 0], *of("classifier.linear"))


def of_vjepa(record: Record) -> Reference:
    """Return a network of V-JEPA, run on small pictures."""
    name, frames = "timm's blocks and torch's attention over V-JEPA's keys, at 64 x 64 pixels", record.clip.frames
    return Reference(name, msgspec.to_builtins(record.model), frames, (frames, 64, 64), with_vjepa)


def of_vjepa2(record: Record) -> Reference:
    """Return a network of V-JEPA 2, run on small pictures and as few segments as it has."""
    probe = isinstance(record.model.readout, Probe)
    name = f"transformers.VJEPA2Model{' and its attentive pooler' * probe}, at 64 x 64 pixels"
    frames = record.clip.frames
    return Reference(name, msgspec.to_builtins(record.model), frames, (frames, 64, 64), with_vjepa2)


def with_timesformer(arch: Architecture, clip: Tensor, folder: Path):
    """Compare with transformers' TimeSformer; both have tables for pictures of this size.

    That library's own classifier of frames that do not see each other reads out each by itself; the authors average
    their tokens before the last norm.
    """
    transformers = pytest.importorskip("transformers")
    arch = msgspec.structs.replace(arch, crop=clip.shape[-1])
    network = trained(arch, frames=clip.shape[2])
    config = transformers.TimesformerConfig(
        image_size=arch.crop, num_frames=clip.shape[2], num_labels=arch.num_classes, hidden_size=arch.width,
        num_hidden_layers=arch.depth, num_attention_heads=arch.heads, intermediate_size=4 * arch.width,
        attention_type={"divided": "divided_space_time", "space": "space_only"}[arch.attention],
    )  # fmt: skip
    with torch.device("meta"):
        theirs = transformers.TimesformerForVideoClassification(config).eval()
    arguments = {**msgspec.to_builtins(arch), "arch": arch.arch}
    table = tables.find(arch.family, "transformers").of(arguments)
    table = replace(table, file=msgspec.structs.replace(table.file, not_written_for=[]))
    theirs.load_state_dict(conversion.to_published(network.state_dict(), table, arguments), strict=True, assign=True)
    if arch.attention == "divided":
        return network(clip), theirs(clip.transpose(1, 2)).logits
    encoder = theirs.timesformer
    of_frames = encoder.encoder(encoder.embeddings(clip.transpose(1, 2)))[0].unflatten(0, (len(clip), -1))
    return network(clip), theirs.classifier(encoder.layernorm(of_frames.mean(1))[:, 0])


def of_timesformer(frames: int, **model: object) -> Reference:
    name = "transformers.TimesformerForVideoClassification, at 64 x 64 pixels"
    if model.get("attention") == "space":
        name = "transformers.TimesformerModel frame by frame, averaged before its norm, at 64 x 64 pixels"
    return Reference(name, {"family": "timesformer", **model}, frames, (frames, 64, 64), with_timesformer)


def with_hiera(arch: Architecture, clip: Tensor, folder: Path):
    """Compare with the authors' package; both are for pictures of this size."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # it imports timm by an older path
        hiera = pytest.importorskip("hiera")
    arch = msgspec.structs.replace(arch, crop=clip.shape[-1])
    network = drawn(arch, clip.shape[2])
    theirs = hiera.Hiera(
        input_size=tuple(clip.shape[2:]), embed_dim=arch.width, num_heads=arch.heads, num_classes=arch.num_classes,
        stages=arch.blocks, q_stride=(1, 2, 2), mask_unit_size=(1, 8, 8), patch_kernel=(3, 7, 7),
        patch_stride=(2, 4, 4), patch_padding=(1, 3, 3), sep_pos_embed=True,
    ).eval()  # fmt: skip
    arguments = {**msgspec.to_builtins(arch), "arch": arch.arch}
    file = conversion.to_published(network.state_dict(), tables.find("hiera", "hiera").of(arguments), arguments)
    theirs.load_state_dict(file, strict=True, assign=True)
    theirs.head.act_func = torch.nn.Identity()  # its softmax
    return network(clip), theirs(clip)


def of_hiera(width: int, heads: int) -> Reference:
    """Return one of the two deep sizes."""
    model = {"family": "hiera", "blocks": [2, 6, 36, 4], "width": width, "heads": heads}
    return Reference("hiera.Hiera of hiera-transformer, at 64 x 64 pixels", model, 16, (16, 64, 64), with_hiera)


def of_torchvision(function: str, model: Mapping[str, object], frames: int, *, pixels: int = 224) -> Reference:
    name = f"torchvision.models.video.{function}"
    compare = partial(with_torchvision, getattr(torchvision.models.video, function))
    return Reference(name, model, frames, (frames, pixels, pixels), compare)


def of_vmz(network: str, model: Mapping[str, object], frames: int) -> Reference:
    """Return a network of VMZ's, which takes pictures and clips of any size, on small ones."""
    run = "8 frames" if frames == 8 else f"8 of its {frames} frames"
    name = f"torchvision's VideoResNet with VMZ's {network} blocks, at {run}"
    layers = (3, 4, 6, 3) if network == "r2plus1d_34" else (3, 8, 36, 3)
    compare = partial(with_torchvision, partial(torchvision_networks.vmz, network, layers=layers))
    return Reference(name, model, frames, (8, 64, 64), compare)


def of_swin(depth: str, window: tuple[int, int, int], width: int) -> Reference:
    """Return torchvision's Video Swin of a width or with windows that no function of its has, on small pictures."""
    make = partial(
        SwinTransformer3d, patch_size=[2, 4, 4], embed_dim=width, depths=[2, 2, 18, 2],
        num_heads=[width // 32 * times for times in (1, 2, 4, 8)], window_size=list(window),
    )  # fmt: skip
    shape = " x ".join(map(str, window))
    name = f"torchvision.models.video.SwinTransformer3d of width {width}, windows of {shape}, at 96 x 96 pixels"
    model = {**SWIN, "depth": depth, "window": window}
    return Reference(name, model, 32, (32, 96, 96), partial(with_torchvision, make))


def with_tsm(arch: Architecture, clip: Tensor, folder: Path):
    network = trained(arch, frames=clip.shape[2])
    arguments = {**msgspec.to_builtins(arch), "arch": arch.arch}
    file = conversion.to_published(network.state_dict(), tables.find(arch.family, "tsm").of(arguments), arguments)
    return network(clip), torchvision_networks.tsm(file, every=getattr(arch, "every", 1))(clip)


def of_tsm(network: str, model: Mapping[str, object], frames: int) -> Reference:
    name, _, more = network.partition(", ")
    written_out = f"{more} and shifts" if more else "the shifts"
    name = f"torchvision.models.{name} with {written_out} written out, at 64 x 64 pixels"
    return Reference(name, model, frames, (frames, 64, 64), with_tsm)


def of_multiscale(name: str, model: Mapping[str, object], frames: int, **blocks: object) -> Reference:
    """Return torchvision's MViT for clips of so many frames, with the blocks of `torchvision_networks.mvit`."""
    make = partial(torchvision_networks.mvit, model["version"], frames=frames, **blocks)
    return Reference(MVIT.format(name), model, frames, (frames, 224, 224), partial(with_torchvision, make))


def of_nonlocal_net(record: Record) -> Reference:
    model, frames = msgspec.to_builtins(record.model), record.clip.frames
    compare = partial(with_nonlocal_net, record.checkpoint.layout == "caffe2_affine")
    return Reference(NONLOCAL_NET, model, frames, (frames, 224, 224), compare)


def of_mmaction2(record: Record) -> Reference:
    frames = record.clip.frames
    return Reference(MMACTION2_KEYS, msgspec.to_builtins(record.model), frames, (frames, 64, 64), with_mmaction2_keys)


def of_written_out(record: Record) -> Reference:
    """Return a record's network as it is written out, run on few frames where all would take minutes."""
    frames = record.clip.frames
    if isinstance(record.model, X3D):
        crop = 32 * getattr(record.model.head, "window", 5)
        return Reference(X3D_KEYS, msgspec.to_builtins(record.model), frames, (frames, crop, crop), with_written_out)
    crop = record.model.crop
    run = frames if KNOWN.costs[record.name].multiply_adds < 300e9 else 4
    name = TOKENS if run == frames else f"{TOKENS}, at {run} of its {frames} frames"
    return Reference(name, msgspec.to_builtins(record.model), frames, (run, crop, crop), with_written_out)


KNOWN = registry.load(registry.files()[0])
RECORDS = KNOWN.records
SWIN = {"family": "swin3d"}
MVIT_B = {"family": "mvit", "version": 1, "blocks": [1, 2, 11, 2]}
MVIT_B_DEEP = {"family": "mvit", "version": 1, "blocks": [2, 3, 16, 3], "kernel_by_stride": True}
MVITV2_B = {"family": "mvit", "version": 2, "blocks": [2, 3, 16, 3]}
TSM_NON_LOCAL = {"after": {"res3": [0, 2], "res4": [0, 2, 4]}, "affinity": "softmax", "pool": [1, 2, 2],
                 "pooled": "keys", "scaled": False}  # fmt: skip
SEPARATE = {"family": "r3d", "variant": "r2plus1d", "middle": "convolution", "eps": 1e-3,
            "head": {"kind": "average_window"}}  # fmt: skip
CSN_152 = {"family": "csn", "depth": "R152", "eps": 1e-3, "head": {"kind": "average_window"}}
REFERENCES = [
    *(of_vmz("r2plus1d_34", {**SEPARATE, "depth": "R34"}, frames) for frames in (8, 32)),
    of_vmz("r2plus1d_152", {**SEPARATE, "depth": [3, 8, 36, 3], "bottleneck": True}, 32),
    of_vmz("ir_csn_152", CSN_152, 32),
    of_vmz("ip_csn_152", {**CSN_152, "variant": "ip"}, 32),
    of_tsm("resnet50", {"family": "tsm", "depth": "R50"}, 16),
    of_tsm("resnet101", {"family": "tsm", "depth": "R101", "every": 2}, 8),
    of_tsm("mobilenet_v2", {"family": "tsm_mobilenet"}, 8),
    of_tsm("resnet50, non-local blocks", {"family": "tsm", "depth": "R50", "non_local": TSM_NON_LOCAL}, 8),
    of_torchvision("mc3_18", {"family": "r3d", "variant": "mc3"}, 16, pixels=112),
    of_torchvision("s3d", {"family": "s3d"}, 128),
    *(of_torchvision(f"swin3d_{depth.lower()}", {**SWIN, "depth": depth}, 32) for depth in ("T", "S", "B")),
    of_swin("B", (16, 7, 7), 128),
    of_swin("L", (8, 7, 7), 192),
    of_multiscale("MVIT_B_16x4_CONV, for 32 frames", MVIT_B, 32, depth=16, narrows=(1, 3, 14)),
    of_multiscale("MVIT_B_32x3_CONV", MVIT_B_DEEP, 32, depth=24, narrows=(2, 5, 21), kernel=None),
    of_multiscale("MVITv2_B_32x3", MVITV2_B, 32, depth=24, narrows=(2, 5, 21)),
    of_transformers(24, 1024, 16),
    of_transformers(32, 1280, 16),
    of_transformers(40, 1408, 16, patch=14, hidden=6144),
    of_timesformer(16, crop=448),
    of_timesformer(64),
    of_timesformer(96),
    of_timesformer(8, attention="space"),
    of_uniformer(32),
    *(of_uniformer(frames, norm_eps=1e-5) for frames in (16, 32)),
    of_uniformerv2(depth=24, width=1024, heads=16, patch=14),
    of_hiera(144, 2),
    of_hiera(256, 4),
]
for record in RECORDS.values():
    if any(other.computed(record) for other in (*CASES.values(), *REFERENCES)):
        continue
    if record.publisher == "video_nonlocal_net":
        REFERENCES.append(of_nonlocal_net(record))
    elif record.publisher == "mmaction2" and record.family in ("resnet", "slowfast", "csn", "tsm", "r3d"):
        REFERENCES.append(of_mmaction2(record))
    elif record.checkpoint.layout == "vjepa2":
        REFERENCES.append(of_vjepa2(record))
    elif record.checkpoint.layout == "vjepa":
        REFERENCES.append(of_vjepa(record))
    elif record.family in ("x3d", "mvit") or (
        record.family in ("reversible_mvit", "vit") and record.checkpoint.layout == "pyslowfast"
    ):
        REFERENCES.append(of_written_out(record))


def title(reference: Reference) -> str:
    arch = reference.architecture
    return f"{arch.arch} {arch.size}, {reference.frames or 'any number of'} frames, {arch.task}"


def compared_with(record: Record) -> list[Proof]:
    """Return the proofs that a record may state: a golden case of its layout before another, and a reference after."""
    layout = "pyslowfast" if record.checkpoint.layout == "caffe2" else record.checkpoint.layout
    cases = [case for case in CASES.values() if case.computed(record)]
    if cases := [case for case in cases if case.layout == layout] or cases:
        return [Proof(golden=case.name.removeprefix("models/")) for case in cases]
    return [Proof(reference=reference.name) for reference in REFERENCES if reference.computed(record)]


def is_by_hand(reference: Reference) -> bool:
    return reference.architecture.size in GIANTS or title(reference).startswith(LONG)


@torch.inference_mode()
@pytest.mark.slow
@pytest.mark.parametrize(
    "reference",
    [pytest.param(each, marks=pytest.mark.by_hand if is_by_hand(each) else ()) for each in REFERENCES],
    ids=map(title, REFERENCES),
)
def test_another_implementation_gives_our_logits(reference, tmp_path):
    clip = torch.from_numpy(synth.synth_clip("references", (1, 3, *reference.clip)))
    result, expected = reference.compare(reference.architecture, clip, tmp_path)
    assert expected.std() > 1e-3
    assert (result - expected).abs().max() <= 1e-5 * expected.abs().max()


@torch.inference_mode()
@pytest.mark.parametrize(
    "name",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name, case in CASES.items()
        if case.layout == "pyslowfast" and case.family in ("mvit", "reversible_mvit", "vit", "x3d")
    ],
)
def test_networks_as_written_out_give_the_original_s_logits(name):
    case = CASES[name]
    assert case.logits_difference(written_out(case.architecture, case.golden_file(), case.clip())) <= 1


@torch.inference_mode()
@pytest.mark.parametrize(
    "name",
    [
        name if "slowonly_r50_nl" in name else pytest.param(name, marks=pytest.mark.slow)
        for name, case in CASES.items()
        if case.layout == "mmaction2" and case.family in ("resnet", "slowfast", "csn", "tsm", "r3d")
    ],
)
def test_networks_as_written_out_over_mmaction2_s_keys_give_the_original_s_logits(name):
    case = CASES[name]
    theirs = mmaction2_written_out.WrittenOut(case.golden_file(), case.architecture)
    assert case.logits_difference(theirs.logits(case.clip(), *case.boxes())) <= 1


@torch.inference_mode()
@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.layout == "uniformerv2"])
def test_uniformerv2_as_written_out_gives_the_original_s_logits(name):
    case = CASES[name]
    theirs = uniformerv2_written_out.logits(case.golden_file(), case.clip(), heads=case.architecture.heads)
    assert case.logits_difference(theirs) <= 1


@torch.inference_mode()
@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.layout == "uniformer"])
def test_uniformer_as_written_out_gives_the_original_s_logits(name):
    case = CASES[name]
    assert case.logits_difference(uniformer_written_out.logits(case.golden_file(), case.clip())) <= 1


def is_written_for(arch: Architecture) -> bool:
    """Tell whether PySlowFast has such a network."""
    layouts = tables.writable(arch.family, {**msgspec.to_builtins(arch), "arch": arch.arch})
    return "pyslowfast" in layouts


@torch.inference_mode()
@pytest.mark.parametrize("family", [name for name, arch in token_networks.FAMILIES.items() if is_written_for(arch)])
def test_small_transformers_are_as_written_out(family, tmp_path):
    arch, clip = token_networks.FAMILIES[family], token_networks.clip_for(family)
    result, expected = with_written_out(arch, clip, tmp_path)
    assert (result - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize("family", architectures.families())
def test_every_family_is_compared_with_another_implementation(family):
    """By a golden case, or by one that runs here: without either, nothing says that its networks are right."""
    theirs = [case.architecture for case in CASES.values()]
    theirs += [record.model for record in RECORDS.values() if record.proof is not None]
    assert family in {arch.family for arch in theirs}, f"tests/golden/networks/{family}.yaml lists no case"


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_states_what_its_very_network_was_compared_with_and_nothing_else(name):
    record = RECORDS[name]
    if record.status == "program":
        assert record.proof is None  # of numbers in 8 bits, which no network here computes with
    elif proofs := compared_with(record):
        assert record.proof in proofs
    else:
        assert record.proof is None

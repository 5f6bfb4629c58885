"""PyTorchVideo's SlowFast R50 with the weights of ours, to measure beside it where that library is installed."""

from __future__ import annotations

import re

from torch import Tensor, nn

from videohub.models.slowfast import slow_frames

_PATHWAYS = {"slow": 0, "fast": 1}
_STAGES = {"stem": 0, "res2": 1, "res3": 2, "res4": 3}


class TheirSlowFast(nn.Module):
    """Their module behind our interface: it wants both pathways' frames, and puts out logits.

    With inputs above 224 pixels their logits are the mean over positions, ours what the original makes of them; up to
    the head both compute the same.
    """

    def __init__(self, theirs: nn.Module, alpha: int) -> None:
        super().__init__()
        self.theirs, self._alpha = theirs, alpha

    def forward(self, clip: Tensor) -> Tensor:
        """Return logits (B, classes) for a clip (B, 3, T, H, W)."""
        return self.theirs([slow_frames(clip, self._alpha), clip])


def with_weights_of(ours: nn.Module) -> nn.Module:
    """Return their SlowFast R50 8x8 with our weights. Raises: ImportError where PyTorchVideo is not installed."""
    from pytorchvideo.models.hub import slowfast_r50

    theirs = slowfast_r50(pretrained=False)
    theirs.load_state_dict({their_name(name): tensor for name, tensor in ours.state_dict().items()}, strict=True)
    return TheirSlowFast(theirs, alpha=4).eval()


def their_name(name: str) -> str:
    """Return what they call one of our tensors."""
    if block := re.fullmatch(r"(slow|fast)\.res([2-5])\.(\d+)\.(conv|norm)_(\w+)\.(\w+)", name):
        pathway, stage, number, kind, part, what = block.groups()
        before = f"blocks.{int(stage) - 1}.multipathway_blocks.{_PATHWAYS[pathway]}.res_blocks.{number}"
        inside = f"branch1_{kind}" if part == "shortcut" else f"branch2.{kind}_{part}"
        return f"{before}.{inside}.{what}"
    if stem := re.fullmatch(r"(slow|fast)\.stem\.(.+)", name):
        return f"blocks.0.multipathway_blocks.{_PATHWAYS[stem[1]]}.{stem[2]}"
    if lateral := re.fullmatch(r"lateral\.(\w+)\.(conv|norm)\.(\w+)", name):
        stage, kind, what = lateral.groups()
        return f"blocks.{_STAGES[stage]}.multipathway_fusion.{'conv_fast_to_slow' if kind == 'conv' else kind}.{what}"
    return name.replace("head.projection", "blocks.6.proj")

"""What config.json of transformers says of a network's arithmetic, for each model type: fields, defaults and limits.

The defaults are the library's. The types are written out at once (no `from __future__ import annotations`), as msgspec
wants them.
"""

from typing import Annotated, Literal, TypeAlias

import msgspec

from videohub.architectures.parts import Eps

# No file may ask for a network that fills the memory: larger ones than anybody has trained are refused.
Side: TypeAlias = Annotated[int, msgspec.Meta(gt=0, le=1_024)]  # pixels
# A list of a stated length and no tuple: beside a number with limits, msgspec 0.23 crashes on those.
Square: TypeAlias = Side | Annotated[list[Side], msgspec.Meta(min_length=2, max_length=2)]
NumFrames: TypeAlias = Annotated[int, msgspec.Meta(gt=0, le=512)]
Depth: TypeAlias = Annotated[int, msgspec.Meta(gt=0, le=128)]
Width: TypeAlias = Annotated[int, msgspec.Meta(gt=0, le=8_192)]
Hidden: TypeAlias = Annotated[int, msgspec.Meta(gt=0, le=65_536)]


class Fields(msgspec.Struct, frozen=True, kw_only=True):
    """What most of them say."""

    image_size: Square = 224
    num_channels: Literal[3] = 3
    num_frames: NumFrames = 16
    hidden_size: Width = 768
    num_hidden_layers: Depth = 12
    num_attention_heads: Width = 12
    intermediate_size: Hidden = 3072
    layer_norm_eps: Eps = 1e-6
    qkv_bias: bool = True
    head_dim: Width | None = None


class VideoMAEFields(Fields, frozen=True, kw_only=True):
    patch_size: Square = 16
    tubelet_size: Literal[2] = 2
    hidden_act: Literal["gelu", "gelu_python"] = "gelu"
    layer_norm_eps: Eps = 1e-12
    qv_bias: bool = True
    use_mean_pooling: bool = True


class TimeSformerFields(Fields, frozen=True, kw_only=True):
    patch_size: Square = 16
    num_frames: NumFrames = 8
    hidden_act: Literal["gelu", "gelu_python"] = "gelu"
    attention_type: Literal["divided_space_time", "joint_space_time"] = "divided_space_time"


class ViViTFields(Fields, frozen=True, kw_only=True):
    num_frames: NumFrames = 32
    tubelet_size: tuple[Literal[2], Side, Side] = (2, 16, 16)
    hidden_act: Literal["gelu", "gelu_python", "gelu_fast", "gelu_new", "gelu_pytorch_tanh"] = "gelu_fast"


class VJEPA2Fields(msgspec.Struct, frozen=True, kw_only=True):
    patch_size: Square = 16
    crop_size: Side = 256
    frames_per_clip: NumFrames = 64
    tubelet_size: Literal[2] = 2
    hidden_size: Width = 1024
    in_chans: Literal[3] = 3
    num_attention_heads: Width = 16
    num_hidden_layers: Depth = 24
    mlp_ratio: Annotated[float, msgspec.Meta(gt=0, le=64)] = 4.0
    layer_norm_eps: Eps = 1e-6
    qkv_bias: bool = True
    hidden_act: Literal["gelu", "gelu_python"] = "gelu"
    num_pooler_layers: Annotated[int, msgspec.Meta(ge=0, le=128)] = 3

    @property
    def hidden(self) -> int:
        """The width between the two layers of an MLP."""
        return int(self.hidden_size * self.mlp_ratio)

    def usual(self) -> Fields:
        """Return the fields that other kinds have, too."""
        return Fields(
            image_size=self.crop_size,
            num_frames=self.frames_per_clip,
            hidden_size=self.hidden_size,
            num_hidden_layers=self.num_hidden_layers,
            num_attention_heads=self.num_attention_heads,
            intermediate_size=self.hidden,
            layer_norm_eps=self.layer_norm_eps,
            qkv_bias=self.qkv_bias,
        )

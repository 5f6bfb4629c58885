"""The model types of the library transformers that videohub builds: what each is in a family of ours, and back.

The types are written out at once (no `from __future__ import annotations`), as msgspec wants them.
"""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import msgspec

from videohub.architectures import Architecture
from videohub.architectures.parts import Eps
from videohub.architectures.timesformer import TimeSformer
from videohub.architectures.vit import Probe, ViT

_MOST_TOKENS = 1 << 17
_LOST_BIASES = (5, 5, 1), (5, 18, 0)  # versions from which on, and before which, VideoMAE's were lost on loading

# No file may ask for a network that fills the memory: larger ones than anybody has trained are refused.
Side: TypeAlias = Annotated[int, msgspec.Meta(gt=0, le=1_024)]  # pixels
# A list of a stated length and no tuple: beside a number with limits, msgspec 0.23 crashes on those.
Square: TypeAlias = Side | Annotated[list[Side], msgspec.Meta(min_length=2, max_length=2)]
NumFrames: TypeAlias = Annotated[int, msgspec.Meta(gt=0, le=512)]
Depth: TypeAlias = Annotated[int, msgspec.Meta(gt=0, le=128)]
Width: TypeAlias = Annotated[int, msgspec.Meta(gt=0, le=8_192)]
Hidden: TypeAlias = Annotated[int, msgspec.Meta(gt=0, le=65_536)]


class Fields(msgspec.Struct, frozen=True, kw_only=True):
    """What config.json says of a network's arithmetic whatever its type; the defaults are the library's."""

    image_size: Square = 224
    num_channels: Literal[3] = 3
    num_frames: NumFrames = 16
    hidden_size: Width = 768
    num_hidden_layers: Depth = 12
    num_attention_heads: Width = 12
    layer_norm_eps: Eps = 1e-6
    qkv_bias: bool = True


class _UsualFields(Fields, frozen=True, kw_only=True):
    intermediate_size: Hidden = 3072
    head_dim: Width | None = None


class Kind(ABC):
    """A model type of the library's: what its config.json may say, and what that is in a family of ours."""

    model_type: ClassVar[str]
    family: ClassVar[str]
    paper: ClassVar[str]
    classifier: ClassVar[str]  # its class with a head
    encoders: ClassVar[tuple[str, ...]]  # and without; the first is written
    schema: ClassVar[Any]  # fields that decide the arithmetic, with the library's defaults
    without_effect: ClassVar[frozenset[str]] = frozenset()
    protocol: ClassVar[str]  # of its authors, for Kinetics-400 if they have one
    protocol_of_encoders: ClassVar[str | None] = None  # None: the same
    processor: ClassVar[str]  # the class that preprocessor_config.json is of

    @abstractmethod
    def refused(self, fields: Any, classifies: bool) -> Iterator[tuple[str, Any, str]]:
        """Yield what is well typed and not supported: field, value, what was expected."""

    @abstractmethod
    def arguments(self, fields: Any, classifies: bool) -> dict[str, Any]:
        """Return the arguments of our network."""

    @abstractmethod
    def rate(self, frames: int) -> int:
        """Return the distance between frames in its authors' test, for so many that the network sees together."""

    def remarks(self, fields: Any, version: str) -> list[str]:
        """Return what is to be told of such a network that a version of the library wrote."""
        return []

    @abstractmethod
    def holds(self, model: Architecture) -> bool:
        """Tell whether a network of ours is one of these."""

    @abstractmethod
    def said(self, model: Any, frames: int) -> dict[str, Any]:
        """Return the fields that describe a network of ours."""


class _VideoMAEFields(_UsualFields, frozen=True, kw_only=True):
    patch_size: Square = 16
    tubelet_size: Literal[2] = 2
    hidden_act: Literal["gelu", "gelu_python"] = "gelu"
    layer_norm_eps: Eps = 1e-12
    qv_bias: bool = True
    use_mean_pooling: bool = True


class _VideoMAE(Kind):
    """The norm before its classifier has torch's epsilon, whatever the file says."""

    model_type, family, paper = "videomae", "vit", "arXiv:2203.12602"
    classifier, encoders = "VideoMAEForVideoClassification", ("VideoMAEModel", "VideoMAEForPreTraining")
    schema = _VideoMAEFields
    without_effect = frozenset({"norm_pix_loss"} | {f"decoder_{name}" for name in
                     ("num_attention_heads", "hidden_size", "num_hidden_layers", "intermediate_size")})  # fmt: skip
    protocol, processor = "videomae_kinetics_15view", "VideoMAEImageProcessor"
    READOUT_EPS = 1e-5

    def refused(self, fields: _VideoMAEFields, classifies: bool) -> Iterator[tuple[str, Any, str]]:
        yield from _refused(fields, fields.patch_size, tubelet=2)
        if not fields.qv_bias:
            yield "qv_bias", False, "true: queries and values have a bias each"
        if classifies and not fields.use_mean_pooling:
            yield "use_mean_pooling", False, "true: without it the library classifies by the first patch alone"

    def arguments(self, fields: _VideoMAEFields, classifies: bool) -> dict[str, Any]:
        readout = "mean_then_norm" if classifies else "mean_alone" if fields.use_mean_pooling else "mean"
        return _of_vit(fields) | {
            "patch": side_of(fields.patch_size),
            "class_token": False,
            "positions": "sinusoid",
            "key_bias": False,
            "readout": readout,
            "readout_eps": self.READOUT_EPS if classifies else None,
        }

    def rate(self, frames: int) -> int:
        return 4

    def remarks(self, fields: _VideoMAEFields, version: str) -> list[str]:
        remarks = []
        if (fields.hidden_size, fields.num_attention_heads) == (384, 16):
            remarks.append(
                "num_attention_heads is 16, as the library's converter writes, and is followed; the authors' network "
                "of this width has 6"
            )
        if (written_by := _version(version)) and _LOST_BIASES[0] <= written_by < _LOST_BIASES[1]:
            remarks.append(
                f"transformers {version:.20} wrote it, one of those (5.6 to 5.17, perhaps 5.5.1 on) that lose the "
                "biases of queries and values when they load a file: a fine-tune may have started without them"
            )
        return remarks

    def holds(self, model: Architecture) -> bool:
        if not isinstance(model, ViT) or model.positions != "sinusoid" or model.class_token:
            return False
        return (model.num_classes is None) == (model.readout == "mean")  # its encoder has that norm

    def said(self, model: ViT, frames: int) -> dict[str, Any]:
        return _said(model, frames) | {
            "patch_size": model.patch,
            "tubelet_size": 2,
            "use_mean_pooling": model.readout != "mean",
        }


class _TimeSformerFields(_UsualFields, frozen=True, kw_only=True):
    patch_size: Square = 16
    num_frames: NumFrames = 8
    hidden_act: Literal["gelu", "gelu_python"] = "gelu"
    attention_type: Literal["divided_space_time", "joint_space_time"] = "divided_space_time"


class _TimeSformer(Kind):
    model_type, family, paper = "timesformer", "timesformer", "arXiv:2102.05095"
    classifier, encoders = "TimesformerForVideoClassification", ("TimesformerModel",)
    schema = _TimeSformerFields
    without_effect = frozenset({"drop_path_rate"})
    protocol, processor = "timesformer_kinetics_3view", "VideoMAEImageProcessor"
    ATTENTION: ClassVar[Mapping[str, str]] = {"divided_space_time": "divided", "joint_space_time": "joint"}

    def refused(self, fields: _TimeSformerFields, classifies: bool) -> Iterator[tuple[str, Any, str]]:
        yield from _refused(fields, fields.patch_size, tubelet=1)
        if side_of(fields.patch_size) != TimeSformer.PATCH:
            yield "patch_size", fields.patch_size, str(TimeSformer.PATCH)
        if fields.intermediate_size != 4 * fields.hidden_size:
            yield "intermediate_size", fields.intermediate_size, f"4 x hidden_size, {4 * fields.hidden_size}"

    def arguments(self, fields: _TimeSformerFields, classifies: bool) -> dict[str, Any]:
        return _sizes(fields) | {"attention": self.ATTENTION[fields.attention_type]}

    def rate(self, frames: int) -> int:
        return max(1, 256 // frames) if frames < 96 else 4  # 8 x 32, 16 x 16, 96 x 4

    def holds(self, model: Architecture) -> bool:
        return isinstance(model, TimeSformer) and model.attention in self.ATTENTION.values()

    def said(self, model: TimeSformer, frames: int) -> dict[str, Any]:
        attention = {ours: theirs for theirs, ours in self.ATTENTION.items()}[model.attention]
        return _said(model, frames) | {"patch_size": model.PATCH, "attention_type": attention}


class _ViViTFields(_UsualFields, frozen=True, kw_only=True):
    num_frames: NumFrames = 32
    tubelet_size: tuple[Literal[2], Side, Side] = (2, 16, 16)
    hidden_act: Literal["gelu", "gelu_python", "gelu_fast", "gelu_new", "gelu_pytorch_tanh"] = "gelu_fast"


class _ViViT(Kind):
    model_type, family, paper = "vivit", "vit", "arXiv:2103.15691"
    classifier, encoders = "VivitForVideoClassification", ("VivitModel",)
    schema = _ViViTFields
    without_effect = frozenset({"pooler_act", "pooler_output_size"})  # of a layer that no classifier reads
    protocol, processor = "scenic_kinetics_12view", "VivitImageProcessor"

    def refused(self, fields: _ViViTFields, classifies: bool) -> Iterator[tuple[str, Any, str]]:
        yield from _refused(fields, fields.tubelet_size[1:], tubelet=2)

    def arguments(self, fields: _ViViTFields, classifies: bool) -> dict[str, Any]:
        return _of_vit(fields) | {
            "patch": fields.tubelet_size[1],
            "positions": "joint",
            "gelu": "exact" if fields.hidden_act in ("gelu", "gelu_python") else "tanh",
            "readout": "class_token",
        }

    def rate(self, frames: int) -> int:
        return 2

    def holds(self, model: Architecture) -> bool:
        return isinstance(model, ViT) and model.positions == "joint" and model.readout == "class_token"

    def said(self, model: ViT, frames: int) -> dict[str, Any]:
        return _said(model, frames) | {
            "tubelet_size": [2, model.patch, model.patch],
            "hidden_act": "gelu_fast" if model.gelu == "tanh" else "gelu",
        }


class _VJEPA2Fields(
    Fields,
    frozen=True,
    kw_only=True,
    rename={"image_size": "crop_size", "num_frames": "frames_per_clip", "num_channels": "in_chans"},
):
    image_size: Side = 256
    num_channels: Literal[3] = 3  # declared anew, or its other name would not hold
    num_frames: NumFrames = 64
    hidden_size: Width = 1024
    num_hidden_layers: Depth = 24
    num_attention_heads: Width = 16
    patch_size: Square = 16
    tubelet_size: Literal[2] = 2
    mlp_ratio: Annotated[float, msgspec.Meta(gt=0, le=64)] = 4.0
    hidden_act: Literal["gelu", "gelu_python"] = "gelu"
    num_pooler_layers: Annotated[int, msgspec.Meta(ge=0, le=128)] = 3

    @property
    def intermediate_size(self) -> int:
        """The width between the two layers of an MLP."""
        return int(self.hidden_size * self.mlp_ratio)


class _VJEPA2(Kind):
    """Its probe has the heads and the epsilon of its encoder, and reads the last block's tokens.

    The library gives it one clip, the authors' test those of several parts of the video together.
    """

    model_type, family, paper = "vjepa2", "vit", "arXiv:2506.09985"
    classifier, encoders = "VJEPA2ForVideoClassification", ("VJEPA2Model",)
    schema = _VJEPA2Fields
    without_effect = frozenset({"attention_dropout", "drop_path_rate"} | {f"pred_{name}" for name in
                     ("hidden_size", "num_attention_heads", "num_hidden_layers", "num_mask_tokens",
                      "zero_init_mask_tokens", "mlp_ratio")})  # fmt: skip
    protocol, protocol_of_encoders = "vjepa2_ssv2_256", "vjepa2_kinetics_1view"
    processor = "VJEPA2VideoProcessor"

    def refused(self, fields: _VJEPA2Fields, classifies: bool) -> Iterator[tuple[str, Any, str]]:
        yield from _refused(fields, fields.patch_size, tubelet=2)
        if fields.intermediate_size < 1:
            yield "mlp_ratio", fields.mlp_ratio, f"at least 1 / hidden_size, 1 / {fields.hidden_size}"

    def arguments(self, fields: _VJEPA2Fields, classifies: bool) -> dict[str, Any]:
        probe = {"kind": "probe", "blocks": fields.num_pooler_layers, "heads": fields.num_attention_heads}
        return _of_vit(fields) | {
            "patch": side_of(fields.patch_size),
            "class_token": False,
            "positions": "rotary",
            "readout": probe if classifies else "mean",
            "segments": 2 if classifies else 1,  # of the authors' clips, whose tokens the probe reads together
        }

    def rate(self, frames: int) -> int:
        return 4 if frames == 16 else 2

    def holds(self, model: Architecture) -> bool:
        if not isinstance(model, ViT) or model.positions != "rotary" or model.levels:
            return False
        if isinstance(model.readout, Probe):
            return model.readout.heads == model.heads and model.num_classes is not None
        return model.readout == "mean" and model.num_classes is None

    def said(self, model: ViT, frames: int) -> dict[str, Any]:
        return {
            "patch_size": model.patch,
            "crop_size": model.crop,
            "frames_per_clip": frames // model.segments,
            "tubelet_size": 2,
            "hidden_size": model.width,
            "in_chans": 3,
            "num_attention_heads": model.heads,
            "num_hidden_layers": model.depth,
            "mlp_ratio": _ratio(model.hidden or 4 * model.width, model.width),
            "layer_norm_eps": model.norm_eps,
            "qkv_bias": True,
            "hidden_act": "gelu",
            **({"num_pooler_layers": model.readout.blocks} if isinstance(model.readout, Probe) else {}),
        }


KINDS: Mapping[str, Kind] = {kind.model_type: kind for kind in (_VideoMAE(), _TimeSformer(), _ViViT(), _VJEPA2())}


# --- what several kinds share ----------------------------------------------------------------------------------------


def _ratio(whole: int, of: int) -> float:
    """Return a number whose product with `of` is `whole` where its fraction is cut off, as the library does."""
    ratio = whole / of
    return ratio if int(of * ratio) == whole else math.nextafter(ratio, math.inf)


def _sizes(fields: _UsualFields | _VJEPA2Fields) -> dict[str, Any]:
    return {
        "depth": fields.num_hidden_layers,
        "width": fields.hidden_size,
        "heads": fields.num_attention_heads,
        "crop": side_of(fields.image_size),
        "norm_eps": fields.layer_norm_eps,
    }


def _of_vit(fields: _UsualFields | _VJEPA2Fields) -> dict[str, Any]:
    is_usual = fields.intermediate_size == 4 * fields.hidden_size
    return _sizes(fields) | {"hidden": None if is_usual else fields.intermediate_size}


def _said(model: ViT | TimeSformer, frames: int) -> dict[str, Any]:
    return {
        "image_size": model.crop,
        "num_channels": 3,
        "num_frames": frames,
        "hidden_size": model.width,
        "num_hidden_layers": model.depth,
        "num_attention_heads": model.heads,
        "intermediate_size": (model.hidden if isinstance(model, ViT) else None) or 4 * model.width,
        "layer_norm_eps": model.norm_eps,
        "qkv_bias": True,
        "hidden_act": "gelu",
    }


def _refused(fields: Fields, patch: Any, *, tubelet: int) -> Iterator[tuple[str, Any, str]]:
    """Yield what no kind supports, by the names of the file."""
    written = {field.name: field.encode_name for field in msgspec.structs.fields(fields)}
    size, frames = written["image_size"], written["num_frames"]
    if not fields.qkv_bias:
        yield "qkv_bias", False, "true: networks without these biases are not built here"
    for name, square in ((size, fields.image_size), ("patch_size", patch)):
        if not isinstance(square, int) and square[0] != square[1]:
            yield name, str([*square]), "a square"
    heads = fields.num_attention_heads
    if fields.hidden_size % heads:
        yield "num_attention_heads", heads, f"a divisor of hidden_size, {fields.hidden_size}"
    elif isinstance(fields, _UsualFields) and fields.head_dim not in (None, fields.hidden_size // heads):
        yield "head_dim", fields.head_dim, f"hidden_size / num_attention_heads, {fields.hidden_size // heads}"
    if fields.num_frames < tubelet:
        yield frames, fields.num_frames, f"at least {tubelet}"
    if side_of(patch) > side_of(fields.image_size):
        yield "patch_size", side_of(patch), f"at most {size}, {side_of(fields.image_size)}"
    tokens = fields.num_frames // tubelet * (side_of(fields.image_size) // side_of(patch)) ** 2
    if tokens > _MOST_TOKENS:
        yield frames, fields.num_frames, f"a clip of at most {_MOST_TOKENS} patches, and these are {tokens}"


def side_of(square: Any) -> int:
    return int(square if isinstance(square, int) else square[0])


def _version(text: str) -> tuple[int, ...] | None:
    """Return a version's numbers, None if it is none."""
    match = re.match(r"(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?", text)
    return tuple(int(number or 0) for number in match.groups()) if match else None

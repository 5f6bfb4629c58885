"""The model types of the library transformers that videohub builds: what each is in a family of ours, and back."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from videohub.architectures import Architecture
from videohub.architectures.timesformer import TimeSformer
from videohub.architectures.vit import Probe, ViT
from videohub.registry.transformers_fields import Fields, TimeSformerFields, VideoMAEFields, ViViTFields, VJEPA2Fields

_MOST_TOKENS = 1 << 17
_LOST_BIASES = (5, 5, 1), (5, 18, 0)  # versions from which on, and before which, VideoMAE's were lost on loading


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

    def side(self, fields: Any) -> int:
        """Return the height and width of a clip."""
        return _side(fields.image_size)

    def frames(self, fields: Any) -> int:
        """Return how many frames the network sees together."""
        return int(fields.num_frames)

    def segments(self, classifies: bool) -> int:
        """Return of how many parts of a video, each seen by itself, a clip is."""
        return 1

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


class _VideoMAE(Kind):
    """The norm before its classifier has torch's epsilon, whatever the file says."""

    model_type, family, paper = "videomae", "vit", "arXiv:2203.12602"
    classifier, encoders = "VideoMAEForVideoClassification", ("VideoMAEModel", "VideoMAEForPreTraining")
    schema = VideoMAEFields
    without_effect = frozenset({"norm_pix_loss"} | {f"decoder_{name}" for name in
                     ("num_attention_heads", "hidden_size", "num_hidden_layers", "intermediate_size")})  # fmt: skip
    protocol, processor = "videomae_kinetics_15view", "VideoMAEImageProcessor"
    READOUT_EPS = 1e-5

    def refused(self, fields: VideoMAEFields, classifies: bool) -> Iterator[tuple[str, Any, str]]:
        yield from _refused(fields, fields.patch_size, tubelet=2)
        if not fields.qv_bias:
            yield "qv_bias", False, "true: queries and values have a bias each"
        if classifies and not fields.use_mean_pooling:
            yield "use_mean_pooling", False, "true: without it the library classifies by the first patch alone"

    def arguments(self, fields: VideoMAEFields, classifies: bool) -> dict[str, Any]:
        readout = "mean_then_norm" if classifies else "mean_alone" if fields.use_mean_pooling else "mean"
        return _of_vit(fields) | {
            "patch": _side(fields.patch_size),
            "class_token": False,
            "positions": "sinusoid",
            "key_bias": False,
            "readout": readout,
            "readout_eps": self.READOUT_EPS if classifies else None,
        }

    def rate(self, frames: int) -> int:
        return 4

    def remarks(self, fields: VideoMAEFields, version: str) -> list[str]:
        remarks = []
        if (fields.hidden_size, fields.num_attention_heads) == (384, 16):
            remarks.append(
                "num_attention_heads is 16, as the library's converter writes, and is followed; the authors' network "
                "of this width has 6"
            )
        if (found := _version(version)) and _LOST_BIASES[0] <= found < _LOST_BIASES[1]:
            remarks.append(
                f"transformers {version:.20} wrote it, one of those (5.5.1 to 5.17) that lose the biases of queries "
                "and values when they load a file: a fine-tune may have started without them"
            )
        return remarks

    def holds(self, model: Architecture) -> bool:
        if not isinstance(model, ViT) or model.positions != "sinusoid" or model.class_token:
            return False
        return (model.num_classes is None) == (model.readout == "mean")  # its encoder has that norm

    def said(self, model: ViT, frames: int) -> dict[str, Any]:
        return _said_of_vit(model, frames) | {
            "patch_size": model.patch,
            "tubelet_size": 2,
            "hidden_act": "gelu",
            "qkv_bias": True,
            "use_mean_pooling": model.readout != "mean",
        }


class _TimeSformer(Kind):
    model_type, family, paper = "timesformer", "timesformer", "arXiv:2102.05095"
    classifier, encoders = "TimesformerForVideoClassification", ("TimesformerModel",)
    schema = TimeSformerFields
    without_effect = frozenset({"drop_path_rate"})
    protocol, processor = "timesformer_kinetics_3view", "VideoMAEImageProcessor"
    ATTENTION: ClassVar[Mapping[str, str]] = {"divided_space_time": "divided", "joint_space_time": "joint"}

    def refused(self, fields: TimeSformerFields, classifies: bool) -> Iterator[tuple[str, Any, str]]:
        yield from _refused(fields, fields.patch_size, tubelet=1)
        if _side(fields.patch_size) != TimeSformer.PATCH:
            yield "patch_size", fields.patch_size, str(TimeSformer.PATCH)
        if fields.intermediate_size != 4 * fields.hidden_size:
            yield "intermediate_size", fields.intermediate_size, f"4 x hidden_size, {4 * fields.hidden_size}"

    def arguments(self, fields: TimeSformerFields, classifies: bool) -> dict[str, Any]:
        return _sizes(fields) | {"attention": self.ATTENTION[fields.attention_type]}

    def rate(self, frames: int) -> int:
        return max(1, 256 // frames) if frames < 96 else 4  # 8 x 32, 16 x 16, 96 x 4

    def holds(self, model: Architecture) -> bool:
        return isinstance(model, TimeSformer) and model.attention in self.ATTENTION.values()

    def said(self, model: TimeSformer, frames: int) -> dict[str, Any]:
        attention = {ours: theirs for theirs, ours in self.ATTENTION.items()}[model.attention]
        return _said(model, frames, hidden=4 * model.width) | {
            "patch_size": model.PATCH,
            "hidden_act": "gelu",
            "qkv_bias": True,
            "attention_type": attention,
        }


class _ViViT(Kind):
    model_type, family, paper = "vivit", "vit", "arXiv:2103.15691"
    classifier, encoders = "VivitForVideoClassification", ("VivitModel",)
    schema = ViViTFields
    without_effect = frozenset({"pooler_act", "pooler_output_size"})  # of a layer that no classifier reads
    protocol, processor = "scenic_kinetics_12view", "VivitImageProcessor"

    def refused(self, fields: ViViTFields, classifies: bool) -> Iterator[tuple[str, Any, str]]:
        yield from _refused(fields, fields.tubelet_size[1:], tubelet=2)

    def arguments(self, fields: ViViTFields, classifies: bool) -> dict[str, Any]:
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
        return _said_of_vit(model, frames) | {
            "tubelet_size": [2, model.patch, model.patch],
            "hidden_act": "gelu_fast" if model.gelu == "tanh" else "gelu",
            "qkv_bias": True,
        }


class _VJEPA2(Kind):
    """Its probe has the heads and the epsilon of its encoder, and reads the last block's tokens.

    The library gives it one clip, the authors' test those of several parts of the video together.
    """

    model_type, family, paper = "vjepa2", "vit", "arXiv:2506.09985"
    classifier, encoders = "VJEPA2ForVideoClassification", ("VJEPA2Model",)
    schema = VJEPA2Fields
    without_effect = frozenset({"attention_dropout", "drop_path_rate"} | {f"pred_{name}" for name in
                     ("hidden_size", "num_attention_heads", "num_hidden_layers", "num_mask_tokens",
                      "zero_init_mask_tokens", "mlp_ratio")})  # fmt: skip
    protocol, protocol_of_encoders = "vjepa2_ssv2_256", "vjepa2_kinetics_1view"
    processor = "VJEPA2VideoProcessor"

    def refused(self, fields: VJEPA2Fields, classifies: bool) -> Iterator[tuple[str, Any, str]]:
        yield from _refused(fields.usual(), fields.patch_size, tubelet=2)
        if fields.hidden < 1:
            yield "mlp_ratio", fields.mlp_ratio, f"at least 1 / hidden_size, 1 / {fields.hidden_size}"

    def arguments(self, fields: VJEPA2Fields, classifies: bool) -> dict[str, Any]:
        probe = {"kind": "probe", "blocks": fields.num_pooler_layers, "heads": fields.num_attention_heads}
        return _of_vit(fields.usual()) | {
            "patch": _side(fields.patch_size),
            "class_token": False,
            "positions": "rotary",
            "readout": probe if classifies else "mean",
            "segments": self.segments(classifies),
        }

    def side(self, fields: VJEPA2Fields) -> int:
        return fields.crop_size

    def frames(self, fields: VJEPA2Fields) -> int:
        return fields.frames_per_clip

    def segments(self, classifies: bool) -> int:
        return 2 if classifies else 1  # of the authors' clips, whose tokens the probe reads together

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
            "mlp_ratio": (model.hidden or 4 * model.width) / model.width,
            "layer_norm_eps": model.norm_eps,
            "qkv_bias": True,
            "hidden_act": "gelu",
            **({"num_pooler_layers": model.readout.blocks} if isinstance(model.readout, Probe) else {}),
        }


KINDS: Mapping[str, Kind] = {kind.model_type: kind for kind in (_VideoMAE(), _TimeSformer(), _ViViT(), _VJEPA2())}


# --- what several kinds share ----------------------------------------------------------------------------------------


def _sizes(fields: Fields) -> dict[str, Any]:
    return {
        "depth": fields.num_hidden_layers,
        "width": fields.hidden_size,
        "heads": fields.num_attention_heads,
        "crop": _side(fields.image_size),
        "norm_eps": fields.layer_norm_eps,
    }


def _of_vit(fields: Fields) -> dict[str, Any]:
    is_usual = fields.intermediate_size == 4 * fields.hidden_size
    return _sizes(fields) | {"hidden": None if is_usual else fields.intermediate_size}


def _said(model: Any, frames: int, *, hidden: int) -> dict[str, Any]:
    return {
        "image_size": model.crop,
        "num_channels": 3,
        "num_frames": frames,
        "hidden_size": model.width,
        "num_hidden_layers": model.depth,
        "num_attention_heads": model.heads,
        "intermediate_size": hidden,
        "layer_norm_eps": model.norm_eps,
    }


def _said_of_vit(model: ViT, frames: int) -> dict[str, Any]:
    return _said(model, frames, hidden=model.hidden or 4 * model.width)


def _refused(fields: Fields, patch: Any, *, tubelet: int) -> Iterator[tuple[str, Any, str]]:
    """Yield what no kind supports."""
    if not fields.qkv_bias:
        yield "qkv_bias", False, "true: networks without these biases are not built here"
    for name, square in (("image_size", fields.image_size), ("patch_size", patch)):
        if not isinstance(square, int) and square[0] != square[1]:
            yield name, str([*square]), "a square"
    heads = fields.num_attention_heads
    if fields.hidden_size % heads:
        yield "num_attention_heads", heads, f"a divisor of hidden_size, {fields.hidden_size}"
    elif fields.head_dim not in (None, fields.hidden_size // heads):
        yield "head_dim", fields.head_dim, f"hidden_size / num_attention_heads, {fields.hidden_size // heads}"
    if fields.num_frames < tubelet:
        yield "num_frames", fields.num_frames, f"at least {tubelet}"
    if _side(patch) > _side(fields.image_size):
        yield "patch_size", _side(patch), f"at most image_size, {_side(fields.image_size)}"
    tokens = fields.num_frames // tubelet * (_side(fields.image_size) // _side(patch)) ** 2
    if tokens > _MOST_TOKENS:
        yield "num_frames", fields.num_frames, f"a clip of at most {_MOST_TOKENS} patches, and these are {tokens}"


def _side(square: Any) -> int:
    return int(square if isinstance(square, int) else square[0])


def _version(text: str) -> tuple[int, ...] | None:
    """Return a version's numbers, None if it is none."""
    match = re.match(r"(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?", text)
    return tuple(int(number or 0) for number in match.groups()) if match else None

"""config.json and preprocessor_config.json of the library transformers: what they describe, and those of a record.

What changes arithmetic is read, or refused by name; what a file does not say is what the library takes then. Fields
that nobody knows are told. The types are written out at once (no `from __future__ import annotations`), as msgspec
wants them.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from videohub import architectures
from videohub.architectures import Architecture
from videohub.errors import ConversionError, RegistryError
from videohub.escaping import brief
from videohub.protocols import Crop, Divide, Normalise, Protocol, Resize, ResizeShortSide
from videohub.registry.labels import MOST_CLASSES, is_name
from videohub.registry.messages import schema_flaws, shown
from videohub.registry.transformers_kinds import KINDS, Kind, Side, side_of
from videohub.value_types import Activation

CONFIG = "config.json"
PIXELS, PIXELS_OF_VIDEOS = "preprocessor_config.json", "video_preprocessor_config.json"  # by the kind of the class

# --- the network -----------------------------------------------------------------------------------------------------

# What says nothing of the arithmetic of a network that is not trained any more.
_NOT_OF_THE_NETWORK = {
    "_attn_implementation", "_commit_hash", "_name_or_path", "_num_labels", "architectures",
    "attention_probs_dropout_prob", "attn_implementation", "chunk_size_feed_forward", "dtype", "finetuning_task",
    "hidden_dropout_prob", "id2label", "initializer_range", "is_encoder_decoder", "label2id", "model_type",
    "num_labels", "output_attentions", "output_hidden_states", "problem_type", "return_dict", "tie_word_embeddings",
    "torch_dtype", "torchscript", "transformers_version", "use_cache",
}  # fmt: skip


_PROBLEMS: dict[Activation, str] = {"softmax": "single_label_classification", "sigmoid": "multi_label_classification"}


@dataclass(frozen=True)
class Described:
    """The network that a config.json describes, what its outputs are called, and what is to be told of it."""

    kind: Kind
    model: Architecture
    side: int  # height and width of its clips
    frames: int  # that it sees together
    activation: Activation  # what makes scores of its logits
    labels: tuple[str, ...] | None
    remarks: tuple[str, ...]


def read_config(config: Mapping[str, Any], where: str) -> Described:
    """Return what a config.json describes; messages begin with `where` it lies, the folder or repository.

    Raises: RegistryError naming each field that is not supported, what was found and what was expected.
    """
    where = f"{where}: {CONFIG}"
    for code, what in (("auto_map", "the repository's own code, which videohub does not run"),
                       ("quantization_config", "numbers that are no plain tensors")):  # fmt: skip
        if config.get(code):
            raise RegistryError(f"{where}: {code} asks for {what}; expected a network of the library's own classes")
    kind = KINDS.get(str(config.get("model_type")))
    if kind is None:
        raise _refusal(where, "model_type", config.get("model_type"), f"one of {', '.join(KINDS)}")
    classifies = _classifies(kind, config.get("architectures"), where)
    fields, of_unknown = _fields(config, kind.schema, where, _NOT_OF_THE_NETWORK | kind.without_effect)
    if refused := [*kind.refused(fields, classifies)]:
        raise RegistryError("\n".join(f"{where}: {field} is {shown(value)}, expected {expected}"
                                      for field, value, expected in refused))  # fmt: skip
    classes, labels, remarks = _outputs(config, where) if classifies else (None, None, [])
    arguments = {"family": kind.family, **kind.arguments(fields, classifies), "num_classes": classes}
    model = architectures.read(arguments)
    if flaw := next(iter(model.flaws()), None):
        raise RegistryError(f"{where}: of the network that it describes, {'.'.join(flaw[0])} {flaw[1]}")
    remarks += [*kind.remarks(fields, str(config.get("transformers_version") or "")), *of_unknown]
    activation: Activation = "sigmoid" if config.get("problem_type") == _PROBLEMS["sigmoid"] else "softmax"
    side = side_of(fields.image_size)
    return Described(kind, model, side, fields.num_frames, activation, labels, tuple(remarks))


def config_of(model: Architecture, frames: int, names: Sequence[str] | None, activation: Activation) -> dict[str, Any]:
    """Return the config.json that belongs to a network of ours in a file of the library's layout.

    Outputs without names are numbered, as the library does.
    Raises: ConversionError if the library has no such network.
    """
    kind = next((kind for kind in KINDS.values() if kind.holds(model)), None)
    if kind is None:
        raise ConversionError(f"transformers: has no network as {model.arch} {model.size} for {CONFIG} to describe")
    config = {"model_type": kind.model_type, **kind.said(model, frames)}
    if model.num_classes is None:
        return {"architectures": [kind.encoders[0]], **config}
    names = names or [f"LABEL_{number}" for number in range(model.num_classes)]
    return {
        "architectures": [kind.classifier],
        **config,
        "problem_type": _PROBLEMS[activation] if model.num_classes > 1 or activation == "sigmoid" else None,
        "id2label": {str(number): name for number, name in enumerate(names)},
        "label2id": {name: number for number, name in reversed([*enumerate(names)])},
    }


def _classifies(kind: Kind, classes: Any, where: str) -> bool:
    """Return whether a file's network has a classifier, by the class that wrote it."""
    known, is_one = (kind.classifier, *kind.encoders), isinstance(classes, list) and len(classes) == 1
    if not is_one or classes[0] not in known:
        raise _refusal(where, "architectures", classes[0] if is_one else classes, f"one of {', '.join(known)}")
    return bool(classes[0] == kind.classifier)


def _outputs(config: Mapping[str, Any], where: str) -> tuple[int, tuple[str, ...] | None, list[str]]:
    """Return how many outputs there are, what they are called if the file names them, and what is to be told."""
    if (problem := config.get("problem_type")) not in (None, *_PROBLEMS.values()):
        raise _refusal(where, "problem_type", problem, f"{' or '.join(_PROBLEMS.values())}, or null")
    names = config.get("id2label")
    if names is None:
        count = config.get("num_labels", 2)  # the library's default, which its files leave out
        if type(count) is not int or not 1 <= count <= MOST_CLASSES:
            raise _refusal(where, "num_labels", count, f"1 to {MOST_CLASSES}")
        return count, None, []
    if not isinstance(names, dict) or not 1 <= len(names) <= MOST_CLASSES:
        raise _refusal(where, "id2label", names, f"one of 1 to {MOST_CLASSES} names")
    missing = next((number for number in range(len(names)) if str(number) not in names), None)
    if missing is not None:
        raise RegistryError(f"{where}: id2label has {len(names)} names and none for {missing}; expected one for each "
                            f"of 0 to {len(names) - 1}")  # fmt: skip
    ordered = tuple(names[str(number)] for number in range(len(names)))
    for number, name in enumerate(ordered):
        if not is_name(name):
            raise _refusal(where, f"id2label.{number}", name, "a name")
    if ordered == tuple(f"LABEL_{number}" for number in range(len(names))):
        return len(names), None, []
    if contradicted := _contradicted(ordered, config.get("label2id")):
        remark = (f"label2id says otherwise than id2label what {brief(contradicted)} is: outputs are numbered; "
                  "--labels FILE or labels= gives their names")  # fmt: skip
        return len(names), None, [remark]
    return len(names), ordered, []


def _contradicted(names: Sequence[str], numbers: Any) -> str | None:
    """Return a name that label2id gives another number, None if there is none."""
    if not isinstance(numbers, dict):
        return None
    places: dict[str, set[str]] = {}
    for number, name in enumerate(names):
        places.setdefault(name, set()).add(str(number))
    return next((name for name in places if name in numbers and str(numbers[name]) not in places[name]), None)


# --- its pixels ------------------------------------------------------------------------------------------------------

_ITS_OWN_SIZE = "VJEPA2VideoProcessor"  # it resizes to 256 for clips of 224, and so on, whatever its file says

_ALWAYS_OFFSETTING = "VivitVideoProcessor"  # whatever its file says
_OFFSETTING = ("VivitImageProcessor", "VivitImageProcessorFast", _ALWAYS_OFFSETTING)
_PROCESSORS = (
    "VideoMAEImageProcessor", "VideoMAEImageProcessorFast", "VideoMAEImageProcessorPil", "VideoMAEFeatureExtractor",
    "VideoMAEVideoProcessor", "TimesformerVideoProcessor", *_OFFSETTING, _ITS_OWN_SIZE,
)  # fmt: skip
_CLASS = ("video_processor_type", "image_processor_type", "feature_extractor_type")  # the field that names it

# What says nothing of the pixels of videos that come as RGB, or how the library samples frames where it is asked to.
_NOT_OF_PIXELS = {
    *_CLASS, "_valid_processor_keys", "data_format", "device", "disable_grouping",
    "do_convert_rgb", "do_sample_frames", "fps", "input_data_format", "num_frames", "processor_class",
    "return_metadata", "return_tensors", "video_metadata",
}  # fmt: skip

_Positive: TypeAlias = Annotated[float, msgspec.Meta(gt=0, le=1e6)]
_Level: TypeAlias = Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]
_THREE = msgspec.Meta(min_length=3, max_length=3)  # no tuple: see `transformers_kinds.Square`
_Size: TypeAlias = Side | dict[str, Side]


class _PixelFields(msgspec.Struct, frozen=True, kw_only=True):
    """What decides the pixels, with the library's defaults; what it does not say by itself has none."""

    do_resize: bool = True
    size: _Size | None = None
    default_to_square: bool = False  # says what a size is that is one number
    resample: Literal[2] = 2  # bilinear
    do_center_crop: bool = True
    crop_size: _Size | None = None
    do_rescale: bool = True
    rescale_factor: _Positive | None = None
    offset: bool = True
    do_normalize: bool = True
    image_mean: _Level | Annotated[list[_Level], _THREE] | None = None
    image_std: _Positive | Annotated[list[_Positive], _THREE] | None = None
    do_flip_channel_order: bool = False
    do_pad: bool = False


class Pixels(msgspec.Struct, frozen=True, kw_only=True):
    """What such a file does to a frame: resize it, divide and normalise."""

    resized_to: int | tuple[int, int] | None  # its short side, or its height and width
    by: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def read_pixels(content: Mapping[str, Any], where: str, *, side: int, default: str) -> tuple[Pixels, list[str]]:
    """Return what a preprocessor_config.json does to pixels, and what is to be told of it.

    Args:
        content: What the file says; null is as if it were not said.
        where: As messages begin.
        side: Height and width of the network's clips.
        default: The class that such a network's file is of, where it names none.
    Raises: RegistryError naming each field that is not supported, what was found and what was expected.
    """
    content = {name: value for name, value in content.items() if value is not None}
    if content.get("auto_map"):
        raise RegistryError(f"{where}: auto_map asks for the repository's own code, which videohub does not run")
    kind = next((content[name] for name in _CLASS if name in content), default)
    if kind not in _PROCESSORS:
        raise _refusal(where, "image_processor_type", kind, f"one of {', '.join(_PROCESSORS)}")
    fields, remarks = _fields(content, _PixelFields, where, _NOT_OF_PIXELS)
    for name in ("do_flip_channel_order", "do_pad"):
        if getattr(fields, name):
            raise _refusal(where, name, True, "false")
    if "offset" in content and kind not in _OFFSETTING:
        raise _refusal(where, "offset", content["offset"], f"no such field: {kind} has none")
    if not fields.offset and kind == _ALWAYS_OFFSETTING:
        remarks.append(f"offset: false of its {where.rpartition(' ')[2]} has no effect, as transformers' {kind} has it")
    is_offset = kind in _OFFSETTING and (fields.offset or kind == _ALWAYS_OFFSETTING)
    offset = float(is_offset and fields.do_rescale)
    factor = fields.rescale_factor or (1 / 127.5 if kind in _OFFSETTING else 1 / 255)
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if fields.do_normalize:
        mean = _of_channels(fields.image_mean, where, "image_mean")
        std = _of_channels(fields.image_std, where, "image_std")
        if offset:
            remarks.append("its frames are scaled to -1..1 and then normalised once more, as its "
                           f"{where.rpartition(' ')[2]} says; the authors of ViViT did not")  # fmt: skip
    by = _whole(1 / factor) if fields.do_rescale else 1.0
    resized_to: int | tuple[int, int] | None = None
    if fields.do_resize:
        resized_to = _own_size(side) if kind == _ITS_OWN_SIZE else _resized_to(fields, where)
    smaller = min(resized_to) if isinstance(resized_to, tuple) else resized_to
    if smaller is not None and smaller < side:
        raise _refusal(where, "size", resized_to, f"at least the {side} pixels of the network's clips")
    if fields.do_center_crop and (cut := _square(fields.crop_size, where, "crop_size")) not in (None, side):
        raise _refusal(where, "crop_size", cut, f"{side}, the size of clips in config.json")
    return Pixels(
        resized_to=resized_to, by=by, mean=(mean[0] + offset, mean[1] + offset, mean[2] + offset), std=std
    ), remarks


def with_pixels(pixels: Pixels, protocol: Protocol, side: int) -> Protocol:
    """Return a protocol with a folder's pixels: its own steps, with other numbers.

    What is squeezed into a square has one crop; frames that are not resized keep their size.
    """
    steps: list[Any] = []
    views = protocol.views
    for step in protocol.pixels:
        if isinstance(step, ResizeShortSide):
            if isinstance(pixels.resized_to, tuple):
                height, width = pixels.resized_to
                steps.append(Resize(height=height, width=width, arithmetic=step.arithmetic))
                if height == width == side:
                    views = msgspec.structs.replace(views, crops=("centre",))
            elif pixels.resized_to is not None:
                steps.append(msgspec.structs.replace(step, pixels=pixels.resized_to))
        elif isinstance(step, Crop):
            steps.append(msgspec.structs.replace(step, size=side))
        elif isinstance(step, Divide):
            steps.append(Divide(by=pixels.by))
        elif isinstance(step, Normalise):
            steps.append(Normalise(mean=pixels.mean, std=pixels.std))
        else:
            steps.append(step)
    name = f"{protocol.name} with the pixels of {PIXELS}"
    return msgspec.structs.replace(protocol, name=name, pixels=tuple(steps), views=views)


def file_of(processor: str) -> str:
    """Return the name of the file that a class of the library's reads."""
    return PIXELS_OF_VIDEOS if processor.endswith("VideoProcessor") else PIXELS


def pixels_of(protocol: Protocol, processor: str) -> dict[str, Any] | None:
    """Return the preprocessor_config.json, of a class, that does to a frame what a protocol does, with its centre crop.

    But for V-JEPA 2's size, which the library's class decides. None where the library has no such steps.
    """
    steps: dict[str, Any] = {step.name: step for step in protocol.pixels}
    if len(steps) < len(protocol.pixels) or steps.keys() - {"divide"} != {"resize_short_side", "crop", "normalise"}:
        return None
    resize, crop, normalise = steps["resize_short_side"], steps["crop"], steps["normalise"]
    divide = steps.get("divide")
    fields: dict[str, Any] = {
        "video_processor_type" if file_of(processor) == PIXELS_OF_VIDEOS else "image_processor_type": processor,
        "do_resize": True,
        "size": {"shortest_edge": _own_size(crop.size) if processor == _ITS_OWN_SIZE else resize.pixels},
        "resample": 2,
        "do_center_crop": True,
        "crop_size": {"height": crop.size, "width": crop.size},
        "do_rescale": divide is not None,
        "rescale_factor": 1 / divide.by if divide else 1.0,
        "do_normalize": True,
        "image_mean": list(normalise.mean),
        "image_std": list(normalise.std),
    }
    if processor in _OFFSETTING:  # these subtract 1 before they normalise, if they scale at all
        mean = [each - 1 for each in normalise.mean]
        is_done = (mean, [*normalise.std]) == ([0, 0, 0], [1, 1, 1])
        fields |= {"offset": True, "do_normalize": not is_done, "image_mean": mean}
    return fields


def _resized_to(fields: _PixelFields, where: str) -> int | tuple[int, int]:
    size = fields.size
    if isinstance(size, int) and fields.default_to_square:  # which some of the library's classes follow, and others not
        raise _refusal(where, "default_to_square", True, "false, or a size of shortest_edge, or height and width")
    if isinstance(size, int):
        return size
    if size is not None and size.keys() == {"shortest_edge"}:
        return size["shortest_edge"]
    if size is not None and size.keys() == {"height", "width"}:
        return size["height"], size["width"]
    raise _refusal(where, "size", size, "shortest_edge, or height and width")


def _own_size(side: int) -> int:
    return int(side * 256 / 224)


def _square(size: Any, where: str, name: str) -> int | None:
    """Return the side of a square that a field states, None if it says nothing."""
    if size is None or isinstance(size, int):
        return size
    sides = set(size.values())
    if size.keys() != {"height", "width"} or len(sides) != 1:
        raise _refusal(where, name, size, "height and width of a square")
    return int(sides.pop())


def _of_channels(value: Any, where: str, name: str) -> tuple[float, float, float]:
    if value is None:
        raise RegistryError(f"{where}: {name} is missing, expected a number for each channel")
    first, second, third = value if isinstance(value, list) else [value] * 3
    return first, second, third


def _whole(number: float) -> float:
    """Return a number without what 1/255, written out, leaves behind its decimal point."""
    return float(round(number)) if abs(number - round(number)) < 1e-9 * number else round(number, 9)


# --- what both files share -------------------------------------------------------------------------------------------


def _fields(
    content: Mapping[str, Any], schema: type[Any], where: str, without_effect: Set[str]
) -> tuple[Any, list[str]]:
    """Return the fields that a file states as a struct, and what is to be told of those that nobody knows."""
    known = {field.encode_name for field in msgspec.structs.fields(schema)}
    stated = {name: value for name, value in content.items() if name in known}
    if flaws := [*schema_flaws(stated, schema)]:
        raise RegistryError("\n".join(f"{where}: {'.'.join(map(str, field))} {what}" for field, what, _ in flaws))
    unknown = ", ".join(map(brief, sorted(content.keys() - known - without_effect)))[:400]
    remarks = [f"passed over what videohub does not know in {where.rpartition(' ')[2]}: {unknown}"] if unknown else []
    return msgspec.convert(stated, schema), remarks


def _refusal(where: str, field: str, value: Any, expected: str) -> RegistryError:
    is_a_size = isinstance(value, dict) and 1 <= len(value) <= 4  # and not the names of a thousand classes
    return RegistryError(f"{where}: {field} is {brief(str(value)) if is_a_size else shown(value)}, expected {expected}")

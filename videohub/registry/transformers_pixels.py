"""preprocessor_config.json of the library transformers: what is done to pixels, put into a protocol, and the way back.

The types are written out at once (no `from __future__ import annotations`), as msgspec wants them.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from videohub.errors import RegistryError
from videohub.escaping import brief
from videohub.protocols import Crop, Divide, Normalise, Protocol, Resize, ResizeShortSide
from videohub.registry.messages import schema_flaws, shown
from videohub.registry.transformers_fields import Side

NAME, OF_VIDEOS = "preprocessor_config.json", "video_preprocessor_config.json"  # by the kind of the class

_ITS_OWN_SIZE = "VJEPA2VideoProcessor"  # it resizes to 256 for clips of 224, and so on, whatever its file says

_OFFSETTING = ("VivitImageProcessor", "VivitImageProcessorFast", "VivitVideoProcessor")
_PROCESSORS = (
    "VideoMAEImageProcessor", "VideoMAEImageProcessorFast", "VideoMAEImageProcessorPil", "VideoMAEFeatureExtractor",
    "VideoMAEVideoProcessor", "TimesformerVideoProcessor", *_OFFSETTING, _ITS_OWN_SIZE,
)  # fmt: skip
_CLASS = ("video_processor_type", "image_processor_type", "feature_extractor_type")  # the field that names it

# What says nothing of the pixels of videos that come as RGB, or how the library samples frames where it is asked to.
_WITHOUT_EFFECT = {
    *_CLASS, "_valid_processor_keys", "data_format", "device", "disable_grouping",
    "do_convert_rgb", "do_sample_frames", "fps", "input_data_format", "num_frames", "processor_class",
    "return_metadata", "return_tensors", "video_metadata",
}  # fmt: skip

_Positive: TypeAlias = Annotated[float, msgspec.Meta(gt=0, le=1e6)]
_Level: TypeAlias = Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]
_THREE = msgspec.Meta(min_length=3, max_length=3)  # no tuple: see `transformers_fields.Square`
_Size: TypeAlias = Side | dict[str, Side]


class _Fields(msgspec.Struct, frozen=True, kw_only=True):
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


def read(said: Mapping[str, Any], where: str, *, side: int, default: str) -> tuple[Pixels, list[str]]:
    """Return what a preprocessor_config.json does to pixels, and what is to be told of it.

    Args:
        said: What the file says; null is as if it were not said.
        where: The file, as messages begin.
        side: Height and width of the network's clips.
        default: The class that such a network's file is of, where it names none.
    Raises: RegistryError naming each field that is not supported, what was found and what was expected.
    """
    said = {name: value for name, value in said.items() if value is not None}
    if said.get("auto_map"):
        raise RegistryError(f"{where}: auto_map asks for the repository's own code, which videohub does not run")
    kind = next((said[name] for name in _CLASS if name in said), default)
    if kind not in _PROCESSORS:
        raise _refusal(where, "image_processor_type", kind, f"one of {', '.join(_PROCESSORS)}")
    known = {field.name for field in msgspec.structs.fields(_Fields)}
    stated = {name: value for name, value in said.items() if name in known}
    if flaws := [*schema_flaws(stated, _Fields)]:
        raise RegistryError("\n".join(f"{where}: {'.'.join(map(str, field))} {what}" for field, what, _ in flaws))
    fields = msgspec.convert(stated, _Fields)
    for name in ("do_flip_channel_order", "do_pad"):
        if getattr(fields, name):
            raise _refusal(where, name, True, "false")
    if "offset" in said and kind not in _OFFSETTING:
        raise _refusal(where, "offset", said["offset"], f"no such field: {kind} has none")
    remarks = []
    if unknown := sorted(said.keys() - known - _WITHOUT_EFFECT):
        remarks.append(f"passed over what videohub does not know in {where.rpartition(' ')[2]}: "
                       f"{', '.join(map(brief, unknown))[:400]}")  # fmt: skip
    offset = float(kind in _OFFSETTING and fields.offset and fields.do_rescale)
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
    if isinstance(resized_to, int) and resized_to < side:
        raise _refusal(where, "size", resized_to, f"at least the {side} pixels of the network's clips")
    if isinstance(resized_to, tuple) and min(resized_to) < side:
        raise _refusal(where, "size", list(resized_to), f"at least the {side} pixels of the network's clips")
    if fields.do_center_crop and (cut := _square(fields.crop_size, where, "crop_size")) not in (None, side):
        raise _refusal(where, "crop_size", cut, f"{side}, the size of clips in config.json")
    return Pixels(
        resized_to=resized_to, by=by, mean=(mean[0] + offset, mean[1] + offset, mean[2] + offset), std=std
    ), remarks


def applied(pixels: Pixels, protocol: Protocol, side: int) -> Protocol:
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
    name = f"{protocol.name} with the pixels of {NAME}"
    return msgspec.structs.replace(protocol, name=name, pixels=tuple(steps), views=views)


def file_of(processor: str) -> str:
    """Return the name of the file that a class of the library's reads."""
    return OF_VIDEOS if processor.endswith("VideoProcessor") else NAME


def written(protocol: Protocol, processor: str) -> dict[str, Any] | None:
    """Return the preprocessor_config.json that does to a frame what a protocol does, with its centre crop.

    But for V-JEPA 2's size, which the library's class decides.

    Args:
        protocol: How the network is tested.
        processor: The class that the file is of.
    Returns: None where the library has no such steps.
    """
    steps: dict[str, Any] = {step.name: step for step in protocol.pixels}
    if len(steps) < len(protocol.pixels) or steps.keys() - {"divide"} != {"resize_short_side", "crop", "normalise"}:
        return None
    resize, crop, normalise = steps["resize_short_side"], steps["crop"], steps["normalise"]
    divide = steps.get("divide")
    said: dict[str, Any] = {
        "video_processor_type" if file_of(processor) == OF_VIDEOS else "image_processor_type": processor,
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
        said |= {"offset": True, "do_normalize": not is_done, "image_mean": mean}
    return said


def _resized_to(fields: _Fields, where: str) -> int | tuple[int, int]:
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


def _refusal(where: str, field: str, found: Any, expected: str) -> RegistryError:
    shown_whole = brief(str(found)) if isinstance(found, dict) else shown(found)
    return RegistryError(f"{where}: {field} is {shown_whole}, expected {expected}")

"""Whether tensors are a network's, one to one; and from an image network's to a video network's."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from videohub.errors import ConversionError
from videohub.escaping import brief

if TYPE_CHECKING:
    from torch import Tensor


MOST = 40  # lines of a list in a message


def shapes(tensors: Mapping[str, Any], keys: Iterable[str]) -> str:
    """Return an indented list of keys and their shapes for a message, `MOST` lines of bounded length at the most."""
    keys = list(keys)
    lines = [f"    {brief(key)} {tuple(tensors[key].shape)!s:.200}" for key in keys[:MOST]]
    if len(keys) > MOST:
        lines.append(f"    … and {len(keys) - MOST} more")
    return "\n".join(lines)


def check_state_dict(arrays: Mapping[str, Any], expected: Mapping[str, Tensor], called: str) -> dict[str, Tensor]:
    """Return a network's tensors from arrays under our names: names, shapes and types are compared before any is read.

    Args:
        arrays: Tensors, arrays, or what still lies in an open file; each is read, widened and looked at by itself, so
            that no more is in memory than the network and one of its tensors.
        expected: The network's tensors, without memory.
        called: What messages call the network.
    Raises: ConversionError that lists missing and unknown keys, every shape that differs, values that are no number.
    """
    import torch

    problems = []
    if missing := [key for key in expected if key not in arrays]:
        problems.append(f"  missing from the file, {len(missing)} of {len(expected)}:\n{shapes(expected, missing)}")
    if unknown := [key for key in arrays if key not in expected]:
        problems.append(f"  in the file, not in the network:\n{shapes(arrays, unknown)}")
    shared = [key for key in expected if key in arrays]
    different = [key for key in shared if expected[key].shape != arrays[key].shape]
    if different:
        problems.append(
            f"  of another shape in the file:\n{shapes(arrays, different)}\n  expected:\n{shapes(expected, different)}"
        )
    if mixed := [key for key in shared if expected[key].is_floating_point() != _is_fraction(arrays[key])]:
        problems.append(f"  whole numbers where the network has fractions, or the reverse:\n{shapes(arrays, mixed)}")
    if problems:
        raise _another_network(called, problems)
    state: dict[str, Tensor] = {}
    infinite = []
    for key, wanted in expected.items():
        array = arrays[key]
        if not isinstance(array, torch.Tensor):
            array = torch.from_numpy(np.asarray(array, dtype=torch.empty(0, dtype=wanted.dtype).numpy().dtype))
        state[key] = array.to(wanted.dtype)
        ends = torch.aminmax(state[key]) if array.numel() else ()  # nan if there is one; isfinite takes a copy
        if not all(bool(torch.isfinite(end)) for end in ends):
            infinite.append(key)
    if infinite:
        raise _another_network(called, [f"  with values that are not finite:\n{shapes(state, infinite)}"])
    return state


def _is_fraction(array: Any) -> bool:
    """Tell whether a tensor of torch, or an array, holds floating-point numbers."""
    return bool(array.is_floating_point()) if hasattr(array, "is_floating_point") else array.dtype.kind == "f"


def _another_network(called: str, problems: list[str]) -> ConversionError:
    return ConversionError(f"{called}: the file does not hold this network:\n" + "\n".join(problems))


def inflate(
    image: Mapping[str, Tensor], video: Mapping[str, Tensor], *, classifier: Collection[str]
) -> dict[str, Tensor]:
    """Return the tensors of `image` in the shapes of `video`, whose keys they share.

    A kernel (O, I, 1, H, W) becomes (O, I, T, H, W), each slice divided by T, so that a clip of T equal frames gives
    what the frame gave. Equal shapes are copied. A `classifier` (its keys) of another size is left out.

    Raises: ConversionError that lists keys which only one side has, and shapes that no repetition explains.
    Source: the original's inflation, `repeat over time / kernel length`.
    """
    if image.keys() != video.keys():
        lost, new = [k for k in image if k not in video], [k for k in video if k not in image]
        raise ConversionError(
            "the image network and the video network do not share their keys:\n"
            f"  only the image network has:\n{shapes(image, lost)}\n  only the video network has:\n{shapes(video, new)}"
        )
    tensors, odd = {}, []
    for key, wanted in video.items():
        tensor = image[key]
        if tensor.shape == wanted.shape:
            tensors[key] = tensor
        elif wanted.ndim == 5 and tensor.shape == (*wanted.shape[:2], 1, *wanted.shape[3:]):
            tensors[key] = tensor.expand(wanted.shape) / wanted.shape[2]
        elif key not in classifier:
            odd.append(key)
    if odd:
        raise ConversionError(
            f"the image network's kernels do not inflate:\n{shapes(image, odd)}\n  expected:\n{shapes(video, odd)}"
        )
    return tensors

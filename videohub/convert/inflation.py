"""From image to video: a two-dimensional network's kernels, repeated over time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from videohub.convert.tables import shapes
from videohub.errors import ConversionError

if TYPE_CHECKING:
    from torch import Tensor


def inflate(image: Mapping[str, Tensor], video: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of `image` in the shapes of `video`, whose keys they share.

    A kernel (O, I, 1, H, W) becomes (O, I, T, H, W), each slice divided by T, so that a clip of T equal frames gives
    what the frame gave. Equal shapes are copied. A classifier of another size is left out.

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
        elif not key.startswith("head.projection."):
            odd.append(key)
    if odd:
        raise ConversionError(
            f"the image network's kernels do not inflate:\n{shapes(image, odd)}\n  expected:\n{shapes(video, odd)}"
        )
    return tensors

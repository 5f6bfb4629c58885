"""Whether what is in a file is a network's tensors, one to one; they are read one at a time once their shapes are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from videohub.convert.tables import shapes
from videohub.errors import ConversionError

if TYPE_CHECKING:
    from torch import Tensor


def matched(arrays: Mapping[str, Any], expected: Mapping[str, Tensor], called: str) -> dict[str, Tensor]:
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

"""PySlowFast's batch norms that keep the statistics of parts of a batch, as one norm each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from videohub.convert.stored_tensor import StoredTensor
from videohub.errors import ConversionError

_PART = re.compile(r"(?P<norm>.*bn)\.(?P<part>bn|split_bn)\.(?P<value>\w+)")


Arrays = Mapping[str, StoredTensor | np.ndarray]
_MOST_PARTS = 1024


def joined(tensors: Arrays) -> Arrays:
    """Return a state dict in which every split batch norm is a plain one; others come back as they are.

    Such a norm holds its weights itself, and two norms without any: `split_bn`, which training updates with the
    statistics of each part (parts x C values), and `bn`, which takes over their aggregate before a test. The file of a
    run that was saved elsewhere may hold the former alone, or a `bn` of long ago; so the aggregate is computed anew,
    and `bn` is taken where there is no `split_bn`.

    Raises: ConversionError if the statistics are not those of parts.
    Source: the original's aggregation before each test: mean of the means; mean of the variances plus variance of the
        means.
    """
    parts = {key: match for key in tensors if (match := _PART.fullmatch(key))}
    if not parts:
        return tensors
    found: dict[str, Any] = {key: array for key, array in tensors.items() if key not in parts}
    norms = {match["norm"] for match in parts.values()}
    for key, match in parts.items():
        split = f"{match['norm']}.split_bn.{match['value']}"
        if match["part"] == "split_bn" or split not in tensors:
            found[f"{match['norm']}.{match['value']}"] = tensors[key]
    for norm in norms:
        if f"{norm}.split_bn.running_mean" in tensors:
            found.update(_aggregate(norm, tensors))
        for value in ("weight", "bias"):
            array = found.get(f"{norm}.{value}")
            if array is not None and array.ndim == 4 and array.shape[1:] == (1, 1, 1):  # of the original's first year
                found[f"{norm}.{value}"] = array.reshape((array.shape[0],))
    return found


def _aggregate(norm: str, tensors: Arrays) -> dict[str, np.ndarray]:
    """Return the statistics of a whole batch from those of its parts."""
    names = (f"{norm}.weight", f"{norm}.split_bn.running_mean", f"{norm}.split_bn.running_var")
    if missing := [name for name in names if name not in tensors]:
        raise ConversionError(f"{norm[:200]}: a split batch norm without {missing[0][:200]}")
    weight, means, variances = (tensors[name] for name in names)
    channels = weight.shape[0] if weight.ndim else 0
    count = means.shape[0] if means.ndim == 1 else 0
    if (
        not count
        or means.shape != variances.shape
        or not channels
        or count % channels
        or count // channels > _MOST_PARTS
    ):
        raise ConversionError(
            f"{norm[:200]}: a split batch norm of {channels} channels with {means.shape} means and {variances.shape} "
            f"variances; expected as many of both, and a multiple of {channels}, of at most {_MOST_PARTS} parts"
        )
    means, variances = np.asarray(means), np.asarray(variances)
    of_parts = means.reshape(-1, channels).astype(np.float64)
    mean = of_parts.mean(axis=0)
    variance = variances.reshape(-1, channels).mean(axis=0, dtype=np.float64) + of_parts.var(axis=0)
    return {f"{norm}.running_mean": mean.astype(means.dtype), f"{norm}.running_var": variance.astype(means.dtype)}

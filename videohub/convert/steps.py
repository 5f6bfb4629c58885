"""What a table does to tensors besides naming them: each function has its inverse beside it, or says that it has none.

On the way in a tensor may still lie in its file: it is read when somebody makes an array of the result, once.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from videohub.convert.table_schema import Computed, ComputedBy, Fill, Permutation, ShapeFixup, Slice, SplitNorms
from videohub.convert.tables import Table, argument
from videohub.errors import ConversionError
from videohub.pickles.stored_values import Array, DerivedTensor
from videohub.sinusoid import sinusoid

# --- of one tensor ---------------------------------------------------------------------------------------------------


def imported(key: str, array: Array, table: Table) -> Array:
    """Return a tensor of a file, `key` without its prefix, in the shape and order of ours. Raises: ConversionError."""
    if fixup := _fixup(key, table):
        array = array.reshape(_with_units(array.shape, fixup))
    for step in table.file.steps:
        if isinstance(step, SplitNorms) or not _fits(key, step.keys):
            continue
        if not step.axis < len(array.shape):
            raise ConversionError(f"{key:.200} has the shape {tuple(array.shape)}, expected an axis {step.axis} in it")
        if isinstance(step, Permutation):
            array = _taken(array, step.axis, _order(key, step, array.shape[step.axis]))
        else:
            length = array.shape[step.axis]
            chosen = np.arange(length)[step.start : step.stop]
            if not chosen.size or (step.stop or 0) > length:
                raise ConversionError(f"{key:.200} has {length} rows, expected those from {step.start} to {step.stop}")
            array = _taken(array, step.axis, chosen)
    return array


def exported(key: str, tensor: Any, table: Table) -> Any:
    """Return a tensor of ours, of torch or numpy, as a file has it under `key`. Raises: ConversionError."""
    for step in reversed(table.file.steps):
        if isinstance(step, SplitNorms) or not _fits(key, step.keys):
            continue
        if isinstance(step, Slice):
            raise ConversionError(
                f"{table.name}: {key:.200} cannot be written: its step has no inverse ({step.why}).\n"
                "  Write the file in another layout."
            )
        rows = np.argsort(_order(key, step, tensor.shape[step.axis]))
        tensor = tensor[(slice(None),) * step.axis + (rows,)]
    fixup = _fixup(key, table)
    return tensor.reshape(_without_units(key, tuple(tensor.shape), fixup)) if fixup else tensor


def _fits(key: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in patterns)


def _fixup(key: str, table: Table) -> ShapeFixup | None:
    fixups = table.file.shape_fixups
    return next((fixup for fixup in fixups if _fits(key, fixup.keys) and not _fits(key, fixup.but_not)), None)


_PLACE = {"start": 0, "time": 2}


def _with_units(shape: tuple[int, ...], fixup: ShapeFixup) -> tuple[int, ...]:
    """Return the shape of ours: with the unit dimensions that a file left out, or without those that it has more."""
    missing = fixup.rank - len(shape)
    if missing < 0 and fixup.written == len(shape):
        return _cut(shape, -missing, fixup) or shape
    if missing <= 0 or len(shape) < {"start": 0, "time": fixup.rank - 1, "end": 2}[fixup.at]:
        return tuple(shape)
    return _put(shape, missing, fixup)


def _without_units(key: str, shape: tuple[int, ...], fixup: ShapeFixup) -> tuple[int, ...]:
    """Return the shape that is written."""
    surplus = len(shape) - (fixup.written or len(shape))
    if surplus <= 0:
        return _put(shape, -surplus, fixup)
    if (written := _cut(shape, surplus, fixup)) is None:
        raise ConversionError(f"{key:.200} of shape {shape} cannot be written with {fixup.written} dimensions")
    return written


def _put(shape: tuple[int, ...], units: int, fixup: ShapeFixup) -> tuple[int, ...]:
    """Return a shape with unit dimensions where the fixup puts them."""
    place = len(shape) if fixup.at == "end" else _PLACE[fixup.at]
    return (*shape[:place], *[1] * units, *shape[place:])


def _cut(shape: tuple[int, ...], units: int, fixup: ShapeFixup) -> tuple[int, ...] | None:
    """Return a shape without as many unit dimensions; None if what stands in their place is longer."""
    place = len(shape) - units if fixup.at == "end" else _PLACE[fixup.at]
    if any(length != 1 for length in shape[place : place + units]):
        return None
    return (*shape[:place], *shape[place + units :])


def _order(key: str, step: Permutation, length: int) -> np.ndarray:
    """Return which row of the file stands in each row of ours."""
    unit, rest = divmod(length, sum(step.parts))
    if rest:
        raise ConversionError(f"{key:.200}: {length} rows in parts of {step.parts}, expected a multiple of their sum")
    rows = np.split(np.arange(length), np.cumsum(step.parts)[:-1] * unit)
    return np.concatenate([rows[part] for part in step.order])


def _taken(array: Array, axis: int, rows: np.ndarray) -> DerivedTensor:
    shape = (*array.shape[:axis], len(rows), *array.shape[axis + 1 :])
    return DerivedTensor(shape, array.dtype, lambda dtype: np.asarray(array, dtype).take(rows, axis))


# --- of several tensors ----------------------------------------------------------------------------------------------


def joined(arrays: Sequence[Array], keys: Sequence[str]) -> Array:
    """Return tensors one after the other along their first axis; `split` undoes it. Raises: ConversionError."""
    if not arrays[0].shape or len({array.shape[1:] for array in arrays}) > 1:
        shapes = ", ".join(f"{key:.200} {tuple(array.shape)}" for key, array in zip(keys, arrays, strict=True))
        raise ConversionError(f"tensors of these shapes do not make one: {shapes}")
    shape = (sum(array.shape[0] for array in arrays), *arrays[0].shape[1:])

    def make(dtype: np.dtype[Any]) -> np.ndarray:
        whole, end = np.empty(shape, dtype), 0
        for array in arrays:
            begin, end = end, end + array.shape[0]
            whole[begin:end] = np.asarray(array, dtype)
        return whole

    return DerivedTensor(shape, np.result_type(*(array.dtype for array in arrays)), make)


def split(array: Array, parts: int, key: str) -> list[Array]:
    """Return equal parts of a tensor along its first axis, which is read once for all; `joined` undoes it."""
    length = _part_of(array.shape, parts, key)
    kept: dict[np.dtype[Any], tuple[np.ndarray, set[int]]] = {}

    def part(dtype: np.dtype[Any], *, number: int) -> np.ndarray:
        if dtype not in kept:
            kept[dtype] = np.asarray(array, dtype), set(range(parts))
        whole, waiting = kept[dtype]
        waiting.discard(number)
        if not waiting:
            del kept[dtype]
        return whole[number * length : (number + 1) * length].copy()

    shape = (length, *array.shape[1:])
    return [DerivedTensor(shape, array.dtype, functools.partial(part, number=number)) for number in range(parts)]


def split_tensor(tensor: Any, parts: int, key: str) -> list[Any]:
    """Return equal parts of a tensor in memory, as `split`."""
    length = _part_of(tuple(tensor.shape), parts, key)
    return [tensor[number * length : (number + 1) * length] for number in range(parts)]


def _part_of(shape: tuple[int, ...], parts: int, key: str) -> int:
    if not shape or shape[0] % parts:
        raise ConversionError(f"{key:.200} of shape {tuple(shape)} cannot be split into {parts} equal parts")
    return shape[0] // parts


def same(array: Array, copy: Array, key: str, of: str) -> Array:
    """Return a tensor that is compared with its copy when it is read. Raises: ConversionError, then or now."""
    if array is copy:  # two names of one tensor
        return array
    if tuple(array.shape) != tuple(copy.shape):
        raise ConversionError(f"{key:.200} {copy.shape} is stored as a copy of {of:.200} {array.shape}")

    def make(dtype: np.dtype[Any]) -> np.ndarray:
        values = np.asarray(array, dtype)
        if not np.array_equal(values, np.asarray(copy, dtype), equal_nan=True):
            raise ConversionError(f"{key:.200} is stored as a copy of {of:.200}, and they differ")
        return values

    return DerivedTensor(tuple(array.shape), array.dtype, make)


# --- that only one side has ------------------------------------------------------------------------------------------


def relative_position_index(*, window: Sequence[int]) -> np.ndarray:
    """Return which row of a bias table each pair of positions of a window (T, H, W) takes: (N, N) int64.

    Source: Video Swin: offsets within the window, each made positive, counted with time outermost.
    """
    positions = np.stack(np.meshgrid(*map(np.arange, window), indexing="ij")).reshape(len(window), -1)
    offsets = positions[:, :, None] - positions[:, None, :] + np.array(window)[:, None, None] - 1
    index = np.zeros(offsets.shape[1:], np.int64)
    for length, offset in zip(window, offsets, strict=True):
        index = index * (2 * length - 1) + offset
    return index


def window_mask(*, side: int, window: Sequence[int]) -> np.ndarray:
    """Return what is added to affinities in the shifted windows of a picture: (windows, N, N) float32.

    It is -100 between tokens that stand together only since the picture was rolled by half a window, else 0.
    Args:
        side: Of a square picture, in tokens; it is a multiple of the window's.
        window: Time, height and width; two equal sides and one frame.
    Source: Swin in timm before 0.9.
    """
    length = window[-1]
    part = (np.arange(side) >= side - length).astype(int) + (np.arange(side) >= side - length // 2)
    parts = 3 * part[:, None] + part
    windows = parts.reshape(side // length, length, -1, length).swapaxes(1, 2).reshape(-1, length**2)
    return np.where(windows[:, None, :] != windows[:, :, None], np.float32(-100), np.float32(0))


def sinusoid_of_patches(*, frames: int, tubelet: int, crop: int, patch: int, width: int) -> np.ndarray:
    """Return the fixed positions of a clip's patches, which are numbered with time outermost: (1, N, width) float32."""
    return sinusoid(count=frames // tubelet * (crop // patch) ** 2, width=width)


_COMPUTED: dict[ComputedBy, Callable[..., np.ndarray]] = {
    "relative_position_index": relative_position_index,
    "window_mask": window_mask,
    "sinusoid": sinusoid_of_patches,
}


def made(how: Computed | Fill, shape: tuple[int, ...], arguments: Mapping[str, Any]) -> np.ndarray:
    """Return a tensor that one side lacks; `shape` is that of the tensor beside it. Raises: ConversionError."""
    if how.by is None:
        return np.full(shape if how.axes is None else [shape[axis] for axis in how.axes], how.value, how.type)
    # a text stands for the network's argument of this path
    given = {name: argument(arguments, each) if isinstance(each, str) else each for name, each in how.given.items()}
    try:
        return _COMPUTED[how.by](**given)
    except (TypeError, ValueError) as error:
        raise ConversionError(f"{how.by} cannot be computed with {given!r:.300}: {error}") from None


def is_filled(array: Any, expected: np.ndarray, *, exactly: bool) -> bool:
    """Say whether a stored tensor is the one that stands for it; computed fractions to what its precision rounds."""
    if tuple(array.shape) != expected.shape:
        return False
    values = np.asarray(array)
    if exactly or expected.dtype.kind == "i":
        return np.array_equal(values, expected)
    return np.allclose(values, expected, rtol=0, atol=_rounding(values))


def _rounding(values: np.ndarray) -> float:
    """Return by how much numbers up to 1 may be off in the precision that they come from.

    Numbers of 16 bits may lie in an array of 32, whose last bits are 0 then.
    """
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    if not (bits & 0xFFFF).any():
        return 2**-8  # bfloat16
    return 2**-10 if not (bits & 0x1FFF).any() else 1e-6


def fills(
    state: Mapping[str, Any], table: Table, arguments: Mapping[str, Any], *, unused: bool
) -> dict[str, np.ndarray]:
    """Return our tensors that the table says how to fill and that `state` lacks; `unused`: those alone.

    They are filled in the table's order, and may be like those that were filled before.
    """
    filled: dict[str, np.ndarray] = {}
    for pattern, fill in table.file.fill.items():
        if unused and not fill.unused:
            continue
        known = {**state, **filled}
        for name, like in _filled_beside(pattern, fill, known):
            if name not in known:  # of several patterns the first, as in `Table.fill_of`
                filled[name] = made(fill, known[like].shape if like else (), arguments)
    return filled


def _filled_beside(pattern: str, fill: Fill, state: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    """Return the names that fit a pattern, each with the tensor of ours that it is like."""
    if fill.like is None or "*" not in fill.like:
        return [(pattern, fill.like)] if fill.like is None or fill.like in state else []
    begin, end = fill.like.split("*")
    inner = [(key, key[len(begin) : len(key) - len(end)]) for key in state
             if key.startswith(begin) and key.endswith(end) and len(key) >= len(begin) + len(end)]  # fmt: skip
    return [(pattern.replace("*", star), key) for key, star in inner]


# --- split batch norms -----------------------------------------------------------------------------------------------

_PART = re.compile(r"(?P<norm>.*bn)\.(?P<part>bn|split_bn)\.(?P<value>\w+)")
_MOST_PARTS = 1024


def plain_norms(tensors: Mapping[str, Array]) -> Mapping[str, Array]:
    """Return the tensors of a file with every split batch norm of PySlowFast's as a plain one.

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
    plain: dict[str, Any] = {key: array for key, array in tensors.items() if key not in parts}
    norms = {match["norm"] for match in parts.values()}
    for key, match in parts.items():
        split = f"{match['norm']}.split_bn.{match['value']}"
        if match["part"] == "split_bn" or split not in tensors:
            plain[f"{match['norm']}.{match['value']}"] = tensors[key]
    for norm in norms:
        if f"{norm}.split_bn.running_mean" in tensors:
            plain.update(_aggregate(norm, tensors))
        for value in ("weight", "bias"):
            array = plain.get(f"{norm}.{value}")
            if array is not None and array.shape[1:] == (1, 1, 1):  # of the original's first year
                plain[f"{norm}.{value}"] = array.reshape((array.shape[0],))
    return plain


def _aggregate(norm: str, tensors: Mapping[str, Array]) -> dict[str, np.ndarray]:
    """Return the statistics of a whole batch from those of its parts."""
    names = (f"{norm}.weight", f"{norm}.split_bn.running_mean", f"{norm}.split_bn.running_var")
    if missing := [name for name in names if name not in tensors]:
        raise ConversionError(f"{norm[:200]}: a split batch norm without {missing[0][:200]}")
    weight, means, variances = (tensors[name] for name in names)
    channels = weight.shape[0] if weight.shape else 0
    count = means.shape[0] if len(means.shape) == 1 else 0
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

"""What a checkpoint's keys tell: how they are spelt, whose network's they may be, and whether all of it is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from videohub import registry
from videohub.convert import tables
from videohub.convert.table_schema import Computed
from videohub.convert.tables import Match, Table, arguments_of
from videohub.errors import ConversionError
from videohub.escaping import brief
from videohub.registry.schema import OWN_LAYOUT, Record

if TYPE_CHECKING:
    from torch import Tensor

Value = TypeVar("Value")
OURS = OWN_LAYOUT
UNKNOWN = "unknown"
_SAMPLE = 200  # keys that are tried with every prefix and every layout; a file may have a million
OF_NETWORKS = 3000  # keys; the largest network has fewer
_AVERAGED = "n_averaged"  # of torch's AveragedModel, beside the network in it: how often that was averaged
_WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")  # around parts of a network
_DEEPEST = 8  # parts of a prefix: `module._orig_mod.` has two


@dataclass(frozen=True)
class Recognised:
    """The layout of a file's keys, once `prefix` is taken off; `table` reads them, or has our own on its right."""

    layout: str
    prefix: str
    table: Table

    def matches(self, keys: Collection[str]) -> dict[str, list[Match]]:
        """Return, for each key of the file, what it can be in our networks; one is right."""
        inner = {key: key.removeprefix(self.prefix) for key in keys if key.startswith(self.prefix)}
        if self.layout == OURS:
            published = self.table.matches(inner.values(), to_ours=False)
            known = {name for name, match in published.items() if match or self.table.fill_of(name)}
            return {key: [Match((key,), (inner[key],))] if inner.get(key) in known else [] for key in keys}
        published = self.table.matches(inner.values(), to_ours=True)
        return {key: [Match(tuple(self.prefix + source for source in match.sources), match.names)
                      for match in published[inner[key]]] if key in inner else [] for key in keys}  # fmt: skip

    def ignored(self, key: str) -> str | None:
        """Return why a key of the file is left aside, or None if it is not."""
        if key.rpartition(".")[2] == _AVERAGED:
            return "counts how often the network was averaged"
        inner = self._inner(key)
        return None if inner is None else self.table.ignored(inner)

    def original_of(self, key: str) -> str | None:
        """Return the key of the file whose tensor is stored a second time under `key`, None if it is no copy."""
        inner = self._inner(key)
        original = None if inner is None else self.table.original_of(inner)
        return None if original is None else self.prefix + original

    def computed_at(self, key: str) -> tuple[Computed, str] | None:
        """Return how a tensor of the file is computed, and the key that it stands beside; None if it is not."""
        inner = self._inner(key)
        computed = None if inner is None else self.table.computed_at(inner)
        return None if computed is None else (computed[0], self.prefix + computed[1])

    def knows(self, keys: Collection[str]) -> int:
        """Return how many of these keys have a name, or a reason to have none."""
        return sum(bool(match or self.ignored(key) or self.original_of(key) or self.computed_at(key))
                   for key, match in self.matches(keys).items())  # fmt: skip

    def _inner(self, key: str) -> str | None:
        """Return a key without the prefix, None for our own and for one without it, which no table reads."""
        return key.removeprefix(self.prefix) if self.layout != OURS and key.startswith(self.prefix) else None


def recognise(
    keys: Collection[str], family: str | None = None, arguments: Mapping[str, Any] | None = None
) -> Recognised | None:
    """Return what knows most of a checkpoint's keys, None if nothing knows any.

    The network's own names are tried as well as those of the layouts that have a table. A prefix is what most keys
    begin with, up to a dot; the shortest wins behind which most is known. A layout whose tell-tale keys are there comes
    before all others, if it knows more than half. Whether every key is known, and whether that is the whole network,
    is for others to say.

    Args:
        keys: All keys of a file.
        family: Of the network that it should be; None: any.
        arguments: Of that network, where a table depends on them; None: any.
    """
    known = _tables(family, arguments)
    return _best(keys, known, by_telltales=True) or _best(keys, known, by_telltales=False)


def without_wrappers(tensors: Mapping[str, Value]) -> dict[str, Value]:
    """Return tensors under their names without what torch's wrappers of parts add: `res3._orig_mod.0` is `res3.0`.

    What they begin with stays: a wrapper's is a prefix, as others are. All stay where two would become one.
    """
    plain = {}
    for key, tensor in tensors.items():
        first, *rest = key.split(".")
        plain[".".join([first, *(part for part in rest if part not in _WRAPPERS)])] = tensor
    return plain if len(plain) == len(tensors) else dict(tensors)


def layout_of(keys: Collection[str]) -> str:
    """Return how most of these are spelt: a layout that has a table, `videohub` or `unknown`."""
    keys = without_wrappers(dict.fromkeys(keys))
    sample = list(keys)[:: -(-len(keys) // _SAMPLE)]
    best = recognise(keys if len(keys) <= OF_NETWORKS else sample)  # tell-tale keys may be few
    return best.layout if best and 2 * best.knows(sample) > len(sample) else UNKNOWN


def _best(keys: Collection[str], known: list[Table], *, by_telltales: bool) -> Recognised | None:
    """Return what knows most; `by_telltales`: of layouts whose tell-tale keys are there, and more than half."""
    best, most = None, 0.0
    for prefix in _prefixes(keys):
        behind = [key for key in keys if key.startswith(prefix)]
        if len(behind) <= most:
            break
        inner = [key.removeprefix(prefix) for key in behind]
        sample = behind[:: -(-len(behind) // _SAMPLE)]
        # Published names first, since some of ours are the same.
        candidates = [
            Recognised(table.layout, prefix, table) for table in known if not by_telltales or table.fits(inner)
        ]
        for candidate in [*candidates, *(Recognised(OURS, prefix, table) for table in known)]:
            count = candidate.knows(sample) / len(sample) * len(behind)
            if count > max(most, len(behind) / 2 if by_telltales else 0):
                best, most = candidate, count
    return best


def _prefixes(keys: Collection[str]) -> Iterator[str]:
    """Yield what most keys begin with, part after part: nothing, `module.`, `module._orig_mod.`, …"""
    prefix, behind = "", list(keys)
    for _ in range(_DEEPEST):
        yield prefix
        heads = Counter(key[len(prefix) :].partition(".")[0] for key in behind if "." in key[len(prefix) :])
        if not heads:
            return
        prefix += f"{heads.most_common(1)[0][0]}."
        behind = [key for key in behind if key.startswith(prefix)]
    yield prefix


def _tables(family: str | None, arguments: Mapping[str, Any] | None) -> list[Table]:
    of = [family] if family else tables.families()
    known = [table for family in of for table in tables.of_family(family).values()]
    return [form for table in known for form in (table.forms() if arguments is None else [table.of(arguments)])]


# --- whose they may be -----------------------------------------------------------------------------------------------

_TOLD = 3  # records
_FIRST = 20  # keys that are tried first, as most records' tables know none of another family's


def whose(keys: Collection[str], record: Record) -> str:
    """Return what to say of keys that do not all fit a record: whose they may be; nothing if they fit no other's.

    Each record's published layout is tried, by the keys alone; networks most like the record's are named first.
    """
    if len(keys) > OF_NETWORKS or (recognised := recognise(keys)) is None:
        return ""
    fitting = [
        other for other in map(registry.record, registry.list_models()) if _knows_all(keys, other, recognised.prefix)
    ]
    if not fitting:
        return ""
    fitting.sort(key=lambda other: -_alike(other, record))
    names = ", ".join(other.name for other in fitting[:_TOLD])
    more = f" and {len(fitting) - _TOLD} more records" if len(fitting) > _TOLD else ""
    tasks = {other.task for other in fitting}
    task = f" (for {tasks.pop()}; {record.name} is for {record.task})" if tasks.isdisjoint({record.task}) else ""
    return f"\n  The files of {names}{more} have such keys{task}: name one of these, or take a file of {record.name}."


def _knows_all(keys: Collection[str], record: Record, prefix: str) -> bool:
    """Tell whether the published layout of a record has a name for each key."""
    table = tables.of_family(record.family).get(record.checkpoint.layout)
    if table is None:
        return False
    layout = Recognised(table.layout, prefix, table.of(arguments_of(record)))
    sample = list(keys)[:: -(-len(keys) // _FIRST)]
    return layout.knows(sample) == len(sample) and layout.knows(keys) == len(keys)


def _alike(record: Record, other: Record) -> int:
    """Return how many of the arguments of two networks are the same."""
    theirs = arguments_of(other)
    return sum(name in theirs and theirs[name] == value for name, value in arguments_of(record).items())


# --- whether they are a network's ------------------------------------------------------------------------------------


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
        raise _another_network(called, [*problems, _lacking(missing)])
    state: dict[str, Tensor] = {}
    infinite = []
    for key, target in expected.items():
        array = arrays[key]
        if not isinstance(array, torch.Tensor):
            array = torch.from_numpy(np.asarray(array, dtype=torch.empty(0, dtype=target.dtype).numpy().dtype))
        state[key] = array.to(target.dtype)
        ends = torch.aminmax(state[key]) if array.numel() else ()  # nan if there is one; isfinite takes a copy
        if not all(bool(torch.isfinite(end)) for end in ends):
            infinite.append(key)
    if infinite:
        raise _another_network(called, [
            f"  with values that are not finite:\n{shapes(state, infinite)}\n"
            "  Take an earlier file of the training: such a network computes nothing."
        ])  # fmt: skip
    return state


def _is_fraction(array: Any) -> bool:
    """Tell whether a tensor of torch, or an array, holds floating-point numbers."""
    return bool(array.is_floating_point()) if hasattr(array, "is_floating_point") else array.dtype.kind == "f"


def _another_network(called: str, problems: list[str]) -> ConversionError:
    return ConversionError(f"{called}: the file does not hold this network:\n" + "\n".join(problems))


def _lacking(missing: Collection[str]) -> str:
    """Return what to do with a file in which these tensors of a network's are missing, or differ where none is."""
    if missing and all(name.startswith("head.") for name in missing):
        return (
            "  It is a network without its head: take a file that has one. As a start for training, a model that was\n"
            "  built takes it beside its own head: model.load_state_dict({**model.state_dict(), **state}), where\n"
            "  state is videohub.convert.to_state_dict(videohub.convert.read(FILE), NAME)."
        )
    whole = "whole file of it, as published or saved anew" if missing else "file of this one's"
    return f"  Take a {whole}, or name the record whose network this file holds (`videohub list`)."


_MOST = 40  # lines of a list in a message


def shapes(tensors: Mapping[str, Any], keys: Collection[str]) -> str:
    """Return an indented list of keys and their shapes for a message; see `capped`."""
    return "\n".join(capped((f"    {brief(key)} {tuple(tensors[key].shape)!s:.200}" for key in keys), len(keys)))


def capped(lines: Iterable[str], count: int) -> list[str]:
    """Return the first of `count` lines of a list in a message, `_MOST` at the most, and how many more there are."""
    first = list(islice(lines, _MOST))
    indent = " " * (len(first[0]) - len(first[0].lstrip())) if first else ""
    return [*first, f"{indent}… and {count - _MOST} more"] if count > _MOST else first

"""What the outputs of a network are called: a label set that videohub knows, one's own names, or a file of them.

And which of them are the classes of a data set, where a label map says so.
"""

from __future__ import annotations

import ast
import functools
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, SupportsIndex, TypeAlias

import msgspec

from videohub import registry, resources
from videohub.errors import RegistryError, UsageError
from videohub.files import check_is_no_pipe
from videohub.registry import strict_yaml
from videohub.registry.schema import Labels, Record

Given: TypeAlias = str | os.PathLike[str] | Sequence[str] | Mapping[str, int]  # a known set, a file, or names

IN_TORCHVISION = {"kinetics400": 400, "imagenet1k": 1000}  # so that nothing is imported to count them
_LISTS = {"kinetics400": "_KINETICS400_CATEGORIES", "imagenet1k": "_IMAGENET_CATEGORIES"}  # torchvision's variables
BACKGROUND = "background"  # the name of an output that stands for no class
MOST_CLASSES = 30_000  # of all ImageNet, 21 841; a file that claims more is made to fill the memory
_NAMES = tuple[str, ...] | None
LARGEST_FILE = 4 << 20  # bytes; ten thousand long names take a quarter of it


def shipped() -> Mapping[str, tuple[str, ...]]:
    """Return the label sets of `labels.yaml`; its head says how each is ordered."""
    return _sets(resources.labels_file())


def known() -> list[str]:
    """Return the names of all label sets."""
    return sorted([*IN_TORCHVISION, *shipped()])


def count(labels: Labels) -> int | None:
    """Return how many names there are; None where there are none, or nobody here knows the set."""
    if labels is None or isinstance(labels, tuple):
        return None if labels is None else len(labels)
    return IN_TORCHVISION.get(labels) or (len(shipped()[labels]) if labels in shipped() else None)


def names(labels: Labels) -> tuple[str, ...] | None:
    """Return the names that labels stand for, None where there are none or they are not to be found here."""
    if not isinstance(labels, str):
        return labels
    return _listed_in_torchvision(_LISTS[labels]) if labels in _LISTS else shipped().get(labels)


def resolve(given: Given, folder: Path | None = None) -> str | tuple[str, ...]:
    """Return the name of a known label set, or the names of one's own.

    Args:
        given: A known set's name, names, a mapping between names and numbers from 0, or a file: `.json` and `.yaml`
            hold a list, `.json` also such a mapping; any other has a name on each line, in UTF-8.
        folder: Where a relative path starts; None: here.
    Raises: UsageError if there is neither such a set nor such a file, or if it does not hold names.
    """
    if isinstance(given, str) and (given in IN_TORCHVISION or given in shipped()):
        return given
    if isinstance(given, (str, os.PathLike)):
        file = (folder or Path()) / Path(given).expanduser()
        try:
            return _read(file)
        except UsageError:
            raise
        except (OSError, ValueError) as error:  # the latter for a path that holds a NUL
            why = getattr(error, "strerror", None) or error
            raise UsageError(
                f"labels: {str(given)[:200]!r} is neither a label set nor a file that can be read ({why}); known sets: "
                + ", ".join(known())
            ) from error
    if not isinstance(given, Iterable) or isinstance(given, set | frozenset):
        raise UsageError(f"labels: found {given!r:.80}, expected a name for each output, in their order")
    try:
        given = _in_order(dict(given)) if isinstance(given, Mapping) else list(given)
    except ValueError as error:
        raise UsageError(f"labels: found {error}") from error
    return _names(given, "labels")


def with_labels(record: Record, labels: Given | None) -> Record:
    """Return a record whose outputs are called as `labels` says; None: as it says itself.

    Raises: UsageError if there are not as many names as outputs, or what `resolve` raises.
    """
    if labels is None:
        return record
    names = resolve(labels)
    if count(names) != record.model.num_classes:
        raise UsageError(
            f"labels: found {in_words(names)}, and {record.name} has {record.model.num_classes or 'no'} outputs; "
            "expected a name for each"
        )
    return msgspec.structs.replace(record, labels=names)


def with_classes(record: Record, num_classes: int | None, labels: Labels = None) -> Record:
    """Return a record with another number of outputs, which lose their names unless `labels` are theirs.

    What is known of the published file's outputs does not hold of so many others.
    None: features alone.
    """
    if num_classes == record.model.num_classes and labels in (None, record.labels):
        return record
    model = record.model.with_classes(num_classes)
    known = record.known_answers if num_classes == record.model.num_classes else ()
    names = labels if count(labels) == num_classes else None
    return msgspec.structs.replace(record, model=model, labels=names, known_answers=known)


def in_words(labels: Labels) -> str:
    """Return labels for a message: a set's name, or how many names there are and the first."""
    if isinstance(labels, str):
        size = count(labels)
        return labels if size is None else f"{labels} ({size} names)"
    if labels is None:
        return "no names"
    first = ", ".join(name[:40] for name in labels[:3])
    number = "1 name" if len(labels) == 1 else f"{len(labels)} names"
    return f"{number} ({first}{', …' if len(labels) > 3 else ''})"


def as_text(labels: Labels) -> str:
    """Return labels as the header of a file of weights has them: a set's name, or names as JSON."""
    return labels if isinstance(labels, str) else json.dumps(labels, ensure_ascii=False)


def from_text(text: str) -> Labels:
    """Return the labels in the header of a file of weights; what cannot be read is no names."""
    if text.startswith("[") or text == "null":
        try:
            return msgspec.json.decode(text, type=_NAMES)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
    return text


# --- which of a network's outputs are the classes of a data set: a label map -----------------------------------------

# A head of the 710 classes of Kinetics-710 holds those of Kinetics-400, 600 and 700. Which they are, publishers state
# in files such as `label_710to400.json`: a JSON list with, for each class of the smaller set in its order, the number
# of the output. Source: VideoMAE V2's run_class_finetuning.py and InternVideo2's run_finetuning.py, which pick these
# rows of the classifier.


def read_map(path: str | Path | None) -> tuple[int, ...] | None:
    """Return the outputs that a label map names: that of class 0, of class 1, and so on; None where no file is named.

    Raises: UsageError if the file cannot be read, is no JSON list of numbers from 0, or names an output twice.
    """
    if path is None:
        return None
    from videohub.files import read_file  # `videohub show` reads none, and would wait for it

    expected = "expected a JSON list with the number of an output for each class, such as [3, 0, 17]"
    try:
        value = json.loads(read_file(Path(path)))
    except (OSError, ValueError, RecursionError) as error:
        why = getattr(error, "strerror", None) or f"{error!s:.200}"
        raise UsageError(f"label map {path}: cannot be read ({why}); {expected}") from error
    if not isinstance(value, list) or not value:
        raise UsageError(
            f"label map {path}: found {'an empty list' if value == [] else type(value).__name__}; {expected}"
        )
    classes: dict[int, int] = {}
    for number, output in enumerate(value):
        if not isinstance(output, int) or isinstance(output, bool) or output < 0:
            raise UsageError(f"label map {path}: class {number} has {output!r:.80}; {expected}")
        if output in classes:
            raise UsageError(f"label map {path}: classes {classes[output]} and {number} have the same output, {output}")
        classes[output] = number
    return tuple(value)


def check_map(outputs: tuple[int, ...], record: Record) -> None:
    """Refuse a label map that does not fit a network. Raises: UsageError."""
    from videohub import metrics  # as above

    if metrics.of(record.protocol.metric).by_box:
        raise UsageError(f"{record.name}: a label map is for networks that name classes of a video; this one detects")
    if max(outputs) >= record.num_classes:
        raise UsageError(
            f"{record.name}: the label map names output {max(outputs)}, and the network has {record.num_classes}, from "
            "0: it was made for another head"
        )


def mapped(record: Record, classes: int, labels: Given | None = None) -> Record:
    """Return a record with so many of its outputs for classes, and what was published of as many.

    Its data set is the one which that is of. Where nothing was published of as many, it stays as it is.
    Raises: UsageError if there are not as many labels as classes.
    """
    numbers = [each for each in record.published if each.mapped is not None and each.mapped.classes == classes]
    published = tuple(msgspec.structs.replace(each, mapped=None) for each in numbers)
    made = msgspec.structs.replace(with_classes(record, classes), labels=None, published=published)
    for number in numbers:
        assert number.mapped is not None
        dataset = registry.default().datasets[number.mapped.dataset]
        protocol = msgspec.structs.replace(record.protocol, dataset=dataset.name)
        made = msgspec.structs.replace(made, dataset=dataset, protocol=protocol)
    return with_labels(made, labels)


def refuse_unpublished(record: Record, classes: int) -> None:
    """Refuse to compare where nothing was published of so many of a network's outputs. Raises: UsageError."""
    of = [each.mapped for each in record.published if each.mapped is not None]
    if classes not in [each.classes for each in of]:
        known = ", ".join(f"{each.classes} ({each.dataset})" for each in of)
        raise UsageError(
            f"{record.name}: a label map with {classes} classes, and its source states no number of as many"
            f"{f', but of {known}' if known else ''}: there is nothing to verify.\n"
            f"  `videohub benchmark {record.name} --data … --label-map …` gives its numbers without a verdict."
        )


# --- reading names ---------------------------------------------------------------------------------------------------


@functools.cache
def _sets(file: Path) -> Mapping[str, tuple[str, ...]]:
    """Return the names of each set in a file of several."""
    sets: dict[str, tuple[str, ...]] = {}
    for name, entries in strict_yaml.read(file).value.items():
        if isinstance(entries, dict):
            sets[name] = (BACKGROUND, *sets[entries["background_before"]])
        else:
            sets[name] = tuple(entry["name"] if isinstance(entry, dict) else entry for entry in entries)
    return sets


def _read(file: Path) -> tuple[str, ...]:
    """Return the names in a file."""
    check_is_no_pipe(file)
    with file.open("rb") as opened:
        raw = opened.read(LARGEST_FILE + 1)
    if len(raw) > LARGEST_FILE:
        raise UsageError(f"{file}: more than {LARGEST_FILE} bytes, expected the names of classes")
    if file.suffix.casefold() in (".yaml", ".yml"):
        try:
            return _names(strict_yaml.read(file).value, file)
        except RegistryError as error:
            raise UsageError(str(error)) from error
    try:
        text = raw.decode("utf-8-sig")
        if file.suffix.casefold() == ".json":
            return _names(_in_order(json.loads(text)), file)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file}: cannot be read: {error!s:.200}; expected names in UTF-8") from error
    return _names([line.strip() for line in text.rstrip().split("\n")], file)


def _in_order(value: Any) -> Any:
    """Return the names of a mapping from names to numbers, or back, in the order of the numbers; others as they are."""
    if not isinstance(value, dict):
        return value
    pairs = [(str(number), name) if isinstance(number, SupportsIndex) else (str(name), number)
             for name, number in value.items()]  # fmt: skip
    by_number = dict(pairs)
    if by_number.keys() != {str(number) for number in range(len(value))}:
        raise ValueError("a mapping that does not number its names from 0, without a gap")
    names = [by_number[str(number)] for number in range(len(value))]
    # the kinetics_classnames.json of PyTorchVideo's demos has names in quotes within the quotes
    return [name[1:-1] if isinstance(name, str) and re.fullmatch('"(?s:.+)"', name) else name for name in names]


def _names(value: Any, where: str | Path) -> tuple[str, ...]:
    """Check that a value is a list of names."""
    if not isinstance(value, list) or not value:
        raise UsageError(f"{where}: found {type(value).__name__} without names, expected a list of the classes' names")
    for number, name in enumerate(value):
        if not is_name(name):
            raise UsageError(f"{where}: class {number} is called {name!r:.80}, expected a name")
    return tuple(map(str, value))  # numpy has texts of its own


def is_name(value: Any) -> bool:
    """Return whether something may be what a class is called: a text, in letters that UTF-8 has."""
    return isinstance(value, str) and bool(value.strip()) and not re.search("[\ud800-\udfff]", value)


def _listed_in_torchvision(variable: str) -> tuple[str, ...] | None:
    """Return what a variable of torchvision's lists is set to, off its file: to import it takes a second; or None."""
    package = find_spec("torchvision")
    file = Path(package.origin).with_name("models") / "_meta.py" if package and package.origin else None
    if file is None or not file.is_file():
        return None
    for statement in ast.parse(file.read_bytes()).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == variable:
            return tuple(ast.literal_eval(statement.value))
    return None

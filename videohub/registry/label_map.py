"""Which outputs of a network are the classes of a data set, by a file of numbers: a label map.

A head of the 710 classes of Kinetics-710 holds those of Kinetics-400, 600 and 700. Which they are, publishers state in
files such as `label_710to400.json`: a JSON list with, for each class of the smaller set in its order, the number of the
output. Source: VideoMAE V2's run_class_finetuning.py and InternVideo2's run_finetuning.py, which pick these rows of the
classifier.
"""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from videohub import metrics, registry
from videohub.errors import UsageError
from videohub.files import read_file
from videohub.registry.labels import Given, with_classes, with_labels
from videohub.registry.schema import Record


def read(path: str | Path) -> tuple[int, ...]:
    """Return the outputs that a label map names: that of class 0, of class 1, and so on.

    Raises: UsageError if the file cannot be read, is no JSON list of numbers from 0, or names an output twice.
    """
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


def read_if_named(path: str | Path | None) -> tuple[int, ...] | None:
    """Return what `read` does; None where no file is named."""
    return None if path is None else read(path)


def check(outputs: tuple[int, ...], record: Record) -> None:
    """Refuse a label map that does not fit a network. Raises: UsageError."""
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

    Args:
        record: With all outputs.
        classes: As many as a label map names.
        labels: What these are called; None: nobody says.
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

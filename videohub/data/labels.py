"""The class names of each label set, in the order of a network's outputs."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping, Sequence

from videohub.errors import DataError, UsageError
from videohub.escaping import brief, encodable
from videohub.log import log
from videohub.registry.labels import Given, check_map, count, in_words, known, mapped, names
from videohub.registry.schema import Labels, Record


def class_names(labels: Labels) -> tuple[str, ...]:
    """Return the names that labels stand for; output k of a network has name k.

    Kinetics-400 and ImageNet come from torchvision (which is imported only then), the others from `labels.yaml`,
    whose head says how each set is ordered. AVA has its 80 actions, of which output k is id k + 1.

    Raises: UsageError if there is no such set, or there are no names.
    """
    if labels is None:
        raise UsageError("labels: the names of the classes are needed here, and none are stated; give --labels FILE")
    if not isinstance(labels, str):
        return labels
    if labels not in known():
        raise UsageError(f"no label set is called {labels!r}; known: {', '.join(known())}")
    return names(labels) or _torchvision_names(labels)


def names_of(record: Record) -> tuple[str, ...]:
    """Return a name for each output of a record's network; where the record states none, `class 0` and so on.

    Raises: UsageError if it states more or fewer names than there are outputs, or a set that nobody knows.
    """
    outputs = record.num_classes
    if record.labels is None:
        return tuple(f"class {output}" for output in range(outputs))
    names = class_names(record.labels)
    if len(names) != outputs:
        raise UsageError(
            f"{record.name}: its labels are {in_words(record.labels)}, and its network has {outputs} outputs; "
            "expected a name for each"
        )
    return names


def with_outputs(record: Record, outputs: tuple[int, ...], labels: Given | None) -> Record:
    """Return a record with those of its outputs for classes that a label map names; see `mapped` of the registry's.

    One line tells it where the record has other names for them than `labels`, spelling aside.
    Raises: UsageError if the map does not fit the network, or there are not as many labels as classes.
    """
    check_map(outputs, record)
    made = mapped(record, len(outputs), labels)
    if made.labels is None or count(record.labels) != record.num_classes:
        return made
    names, given = class_names(record.labels), class_names(made.labels)
    renamed = [at for at, output in enumerate(outputs) if squeezed(names[output]) != squeezed(given[at])]
    if renamed:
        first = renamed[0]
        log.warning("%s: the labels name %d of %d classes otherwise than the outputs of the label map: class %d is %s, "
                    "and output %d is %s", record.name, len(renamed), len(outputs), first, brief(given[first]),
                    outputs[first], brief(names[outputs[first]]))  # fmt: skip
    return made


def numbers_by_name(names: Sequence[str]) -> dict[str, list[int]]:
    """Return the numbers of the classes of each name, as it is `squeezed`; for `class_called`."""
    numbers: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        numbers.setdefault(squeezed(name), []).append(number)
    return numbers


def class_called(name: str, numbers: Mapping[str, Sequence[int]]) -> int | None:
    """Return the number of the class that a folder or a row names, spelling aside; None if there is none.

    Raises: DataError if several classes are called so.
    """
    candidates = numbers.get(squeezed(name), ())
    if len(candidates) > 1:
        raise DataError(f"{brief(name)} is what classes {', '.join(map(str, candidates))} are called, "
                        "expected one class alone; give each a name of its own, or lists with numbers")  # fmt: skip
    return candidates[0] if candidates else None


def squeezed(name: str) -> str:
    """Return a class's name as it survives any way to make it a folder's: letters and digits, in any script.

    Accents may be letters of their own or marks (macOS); a name of a folder that is no UTF-8 is read as Latin-1.
    """
    if encodable(name) != name:
        name = os.fsencode(name).decode("latin-1")
    return "".join(filter(str.isalnum, unicodedata.normalize("NFC", name).casefold()))


def _torchvision_names(label_set: str) -> tuple[str, ...]:
    """Import the names from a torchvision that lists them elsewhere than others; nothing is downloaded."""
    if label_set == "imagenet1k":
        from torchvision.models import ResNet50_Weights

        return tuple(ResNet50_Weights.DEFAULT.meta["categories"])
    from torchvision.models.video import R3D_18_Weights

    return tuple(R3D_18_Weights.DEFAULT.meta["categories"])

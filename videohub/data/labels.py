"""The class names of each label set, in the order of a network's outputs."""

from __future__ import annotations

import ast
import os
import unicodedata
from importlib.util import find_spec
from pathlib import Path

from videohub.errors import UsageError
from videohub.escaping import encodable
from videohub.registry.labels import IN_TORCHVISION, in_words, known, shipped
from videohub.registry.schema import Labels, Record

_LISTS = {"kinetics400": "_KINETICS400_CATEGORIES", "imagenet1k": "_IMAGENET_CATEGORIES"}  # torchvision's variables


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
    if labels in IN_TORCHVISION:
        return _torchvision_names(labels)
    if labels not in shipped():
        raise UsageError(f"no label set is called {labels!r}; known: {', '.join(known())}")
    return shipped()[labels]


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


def squeezed(name: str) -> str:
    """Return a class's name as it survives any way to make it a folder's: letters and digits, in any script.

    Accents may be letters of their own or marks (macOS); a name of a folder that is no UTF-8 is read as Latin-1.
    """
    if encodable(name) != name:
        name = os.fsencode(name).decode("latin-1")
    return "".join(filter(str.isalnum, unicodedata.normalize("NFC", name).casefold()))


def _torchvision_names(label_set: str) -> tuple[str, ...]:
    """Read the names that torchvision keeps beside its own weights; nothing is downloaded.

    They are read off the file in which it lists them: to import it takes a second, torch's compiler with it. A version
    that lists them elsewhere is imported.
    """
    if names := _listed_in_torchvision(_LISTS[label_set]):
        return names
    if label_set == "imagenet1k":
        from torchvision.models import ResNet50_Weights

        return tuple(ResNet50_Weights.DEFAULT.meta["categories"])
    from torchvision.models.video import R3D_18_Weights

    return tuple(R3D_18_Weights.DEFAULT.meta["categories"])


def _listed_in_torchvision(variable: str) -> tuple[str, ...] | None:
    """Return the texts that a variable of torchvision's list of names is set to; None where it is not to be found."""
    package = find_spec("torchvision")
    if package is None or package.origin is None:
        return None
    file = Path(package.origin).with_name("models") / "_meta.py"
    if not file.is_file():
        return None
    for statement in ast.parse(file.read_bytes()).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == variable:
            return tuple(ast.literal_eval(statement.value))
    return None

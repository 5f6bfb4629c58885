"""The class names of each label set, in the order of a network's outputs."""

from __future__ import annotations

import os
import unicodedata

from videohub import resources
from videohub.errors import UsageError
from videohub.escaping import encodable
from videohub.registry import strict_yaml

_FROM_TORCHVISION = ("kinetics400", "imagenet1k")


def class_names(label_set: str) -> tuple[str, ...]:
    """Return the names of a label set; output k of a network has name k.

    Kinetics-400 and ImageNet come from torchvision (which is imported only then), the others from `labels.yaml`,
    whose head says how each set is ordered. AVA has its 80 actions, of which output k is id k + 1.

    Raises: UsageError if there is no such set.
    """
    if label_set in _FROM_TORCHVISION:
        return _torchvision_names(label_set)
    sets = strict_yaml.read(resources.labels_file()).value
    if label_set not in sets:
        known = ", ".join(sorted([*_FROM_TORCHVISION, *sets]))
        raise UsageError(f"no label set is called {label_set!r}; known: {known}")
    return tuple(entry["name"] if isinstance(entry, dict) else entry for entry in sets[label_set])


def squeezed(name: str) -> str:
    """Return a class's name as it survives any way to make it a folder's: letters and digits, in any script.

    Accents may be letters of their own or marks (macOS); a name of a folder that is no UTF-8 is read as Latin-1.
    """
    if encodable(name) != name:
        name = os.fsencode(name).decode("latin-1")
    return "".join(filter(str.isalnum, unicodedata.normalize("NFC", name).casefold()))


def _torchvision_names(label_set: str) -> tuple[str, ...]:
    """Read the names that torchvision keeps beside its own weights; nothing is downloaded."""
    if label_set == "imagenet1k":
        from torchvision.models import ResNet50_Weights

        return tuple(ResNet50_Weights.DEFAULT.meta["categories"])
    from torchvision.models.video import R3D_18_Weights

    return tuple(R3D_18_Weights.DEFAULT.meta["categories"])

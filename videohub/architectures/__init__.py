"""What a record's `model:` may say, a file for each family of networks: frozen values with defaults, and no torch.

A family is found by its file, `FAMILY.py`, which holds a struct tagged `FAMILY`; `videohub.models.FAMILY` builds it.
The types are written out at once (no `from __future__ import annotations`): msgspec would compile each one's text at
the start of every process.
"""

import importlib
import os
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, Union

import msgspec

# No file may ask for a network that fills the memory.
Count: TypeAlias = Annotated[int, msgspec.Meta(gt=0, le=65_536)]
MOST_BLOCKS = 1_000

Task: TypeAlias = Literal["classification", "detection", "features"]


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of what a record says about its network: immutable, and nothing in it is unknown.

    `NEUTRAL` holds, for each field that came after others had been used, the value that means what a network was before
    the field existed. It never changes, even where the field's default does.
    """

    NEUTRAL: ClassVar[Mapping[str, Any]] = {}

    def effective(self) -> dict[str, Any]:
        """Return all that this says, defaults too, as plain values; without what is neutral.

        A digest of it stays when a field is added whose default is neutral, and changes with any other default.
        """
        config = self.__struct_config__
        fields: dict[str, Any] = {str(config.tag_field): config.tag} if config.tag_field else {}
        for name in sorted(self.__struct_fields__):
            value = getattr(self, name)
            if name not in self.NEUTRAL or value != self.NEUTRAL[name]:
                fields[name] = value.effective() if isinstance(value, Part) else msgspec.to_builtins(value)
        return fields


class Architecture(Part, frozen=True, tag_field="family"):
    """A network as a record describes it; each family adds its own fields, with defaults."""

    classifier: ClassVar[str] = "head.projection"  # the module whose `weight` and `bias` have a row a class

    num_classes: Count | None = 400  # null: no classifier, and features come out

    @property
    def family(self) -> str:
        """The family: the name of the file here and in `videohub.models`, and of the folder in `converters/`."""
        return str(self.__struct_config__.tag)

    @property
    def arch(self) -> str:
        """What `list --arch` finds it by."""
        return self.family

    @property
    def size(self) -> str:
        """Its depth or size as tables print it, such as R50, which `list --depth` finds it by."""
        raise NotImplementedError

    @property
    def task(self) -> Task:
        """What it is for: to name what is in whole clips or in boxes, or to describe clips by features alone."""
        return "features" if self.num_classes is None else "classification"

    @property
    def num_blocks(self) -> int:
        """How many blocks are built one after the other: what comes from elsewhere must not ask for a million."""
        raise NotImplementedError

    @property
    def background_outputs(self) -> int:
        """How many of the first outputs stand for no class: 1 where that is background."""
        return 0

    def with_classes(self, num_classes: int | None) -> "Architecture":
        """Return the same network with another classifier: none of its outputs is background."""
        return self if num_classes == self.num_classes else msgspec.structs.replace(self, num_classes=num_classes)

    def flaws(self) -> Iterable[tuple[tuple[str, ...], str]]:
        """Yield fields that are well typed and ask for what cannot be built: the field, and what is wrong with it."""
        return ()

    @property
    def classifier_keys(self) -> tuple[str, str]:
        """The names of the classifier's parameters in a state dict: (classes, D) and (classes,)."""
        return f"{self.classifier}.weight", f"{self.classifier}.bias"


def families() -> dict[str, type[Architecture]]:
    """Return the struct of each family, by its name."""
    structs = {}
    files = {file for folder in __path__ for file in os.listdir(folder)}  # pkgutil takes longer to import
    for module in sorted(file.removesuffix(".py") for file in files if file.endswith(".py") and file[0] != "_"):
        for value in vars(importlib.import_module(f"{__name__}.{module}")).values():
            if isinstance(value, type) and issubclass(value, Architecture) and value.__struct_config__.tag == module:
                structs[module] = value
    return structs


def read(fields: Mapping[str, Any]) -> Architecture:
    """Return the architecture that a record's `model:` says. Raises: msgspec.ValidationError."""
    arch: Architecture = msgspec.convert(fields, Union[tuple(families().values())])  # noqa: UP007  # any of them
    return arch

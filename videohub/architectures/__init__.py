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

from videohub.errors import UsageError

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

    def unsaid(self) -> list[str]:
        """Return what the family's struct has to say and does not, or says as another type."""
        return [
            f"{name} ({words})"
            for name, kind, words in (("size", str, "text"), ("num_blocks", int, "a whole number"))
            if getattr(type(self), name) is getattr(Architecture, name) or not isinstance(getattr(self, name), kind)
        ]

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
    """Return the struct of each family, by its name. Raises: UsageError for one that is not tagged as its file."""
    files = {file for folder in __path__ for file in os.listdir(folder)}  # pkgutil takes longer to import
    names = sorted(file.removesuffix(".py") for file in files if file.endswith(".py") and file[0] != "_")
    structs = {}
    for name, module in [(name, importlib.import_module(f"{__name__}.{name}")) for name in names]:
        classes = [each for each in vars(module).values() if isinstance(each, type) and issubclass(each, Architecture)]
        tagged = {each.__struct_config__.tag: each for each in classes}
        if name in tagged:
            structs[name] = tagged[name]
        for tag, each in tagged.items():
            if name not in tagged and each.__module__ == module.__name__ and not each.__subclasses__():
                raise UsageError(f"{module.__file__}: found a struct with the tag {tag}, expected {name}")
    return structs


def read(fields: Mapping[str, Any]) -> Architecture:
    """Return the architecture that a record's `model:` says. Raises: msgspec.ValidationError."""
    arch: Architecture = msgspec.convert(fields, Union[tuple(families().values())])  # noqa: UP007  # any of them
    return arch

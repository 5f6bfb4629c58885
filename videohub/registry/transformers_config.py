"""config.json of the library transformers: the network that one describes, and the one that describes ours.

What changes arithmetic is read, or refused by name; what a file does not say is what the library takes then. Fields
that nobody knows are told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from videohub import architectures
from videohub.architectures import Architecture
from videohub.errors import ConversionError, RegistryError
from videohub.escaping import brief
from videohub.registry.labels import MOST_CLASSES
from videohub.registry.messages import schema_flaws, shown
from videohub.registry.transformers_kinds import KINDS, Kind

NAME = "config.json"

# What says nothing of the arithmetic of a network that is not trained any more.
_WITHOUT_EFFECT = {
    "_attn_implementation", "_commit_hash", "_name_or_path", "_num_labels", "architectures",
    "attention_probs_dropout_prob", "attn_implementation", "chunk_size_feed_forward", "dtype", "finetuning_task",
    "hidden_dropout_prob", "id2label", "initializer_range", "is_encoder_decoder", "label2id", "model_type",
    "num_labels", "output_attentions", "output_hidden_states", "problem_type", "return_dict", "tie_word_embeddings",
    "torch_dtype", "torchscript", "transformers_version", "use_cache",
}  # fmt: skip


@dataclass(frozen=True)
class Described:
    """The network that a config.json describes, what its outputs are called, and what is to be told of it."""

    kind: Kind
    model: Architecture
    side: int  # height and width of its clips
    frames: int  # that it sees together
    segments: int  # so many times, each in another part of the video
    labels: tuple[str, ...] | None
    remarks: tuple[str, ...]


def read(config: Mapping[str, Any], where: str) -> Described:
    """Return what a config.json describes.

    Args:
        config: What the file says.
        where: The folder or repository, as messages begin.
    Raises: RegistryError naming each field that is not supported, what was found and what was expected.
    """
    where = f"{where}: {NAME}"
    for code in ("auto_map", "quantization_config"):
        if config.get(code):
            why = {"auto_map": "the repository's own code, which videohub does not run",
                   "quantization_config": "numbers that are no plain tensors"}[code]  # fmt: skip
            raise RegistryError(f"{where}: {code} asks for {why}; expected a network of the library's own classes")
    kind = KINDS.get(str(config.get("model_type")))
    if kind is None:
        raise _refusal(where, "model_type", config.get("model_type"), f"one of {', '.join(KINDS)}")
    classifies = _classifies(kind, config.get("architectures"), where)
    known = {field.name for field in msgspec.structs.fields(kind.schema)}
    said = {name: value for name, value in config.items() if name in known}
    if flaws := [*schema_flaws(said, kind.schema)]:
        raise RegistryError("\n".join(f"{where}: {'.'.join(map(str, field))} {what}" for field, what, _ in flaws))
    fields = msgspec.convert(said, kind.schema)
    if refused := [*kind.refused(fields, classifies)]:
        raise RegistryError("\n".join(f"{where}: {field} is {shown(value)}, expected {expected}"
                                      for field, value, expected in refused))  # fmt: skip
    classes, labels, remarks = _outputs(config, where) if classifies else (None, None, [])
    arguments = {"family": kind.family, **kind.arguments(fields, classifies), "num_classes": classes}
    model = architectures.read(arguments)
    if flaw := next(iter(model.flaws()), None):
        raise RegistryError(f"{where}: of the network that it describes, {'.'.join(flaw[0])} {flaw[1]}")
    remarks += kind.remarks(fields, str(config.get("transformers_version") or ""))
    if unknown := sorted(config.keys() - known - _WITHOUT_EFFECT - kind.without_effect):
        remarks.append(f"passed over what videohub does not know in {NAME}: {', '.join(map(brief, unknown))[:400]}")
    return Described(
        kind=kind,
        model=model,
        side=kind.side(fields),
        frames=kind.frames(fields),
        segments=kind.segments(classifies),
        labels=labels,
        remarks=tuple(remarks),
    )


def written(model: Architecture, frames: int, names: Sequence[str] | None) -> dict[str, Any]:
    """Return the config.json that belongs to a network of ours in a file of the library's layout.

    Args:
        model: The network.
        frames: Of its clips.
        names: What its outputs are called; None: nobody knows, and they are numbered, as the library does.
    Raises: ConversionError if the library has no such network.
    """
    kind = next((kind for kind in KINDS.values() if kind.holds(model)), None)
    if kind is None:
        raise ConversionError(f"transformers: has no network as {model.arch} {model.size} for {NAME} to describe")
    said = {"model_type": kind.model_type, **kind.said(model, frames)}
    if model.num_classes is None:
        return {"architectures": [kind.encoders[0]], **said}
    names = names or [f"LABEL_{number}" for number in range(model.num_classes)]
    return {
        "architectures": [kind.classifier],
        **said,
        "problem_type": "single_label_classification" if model.num_classes > 1 else None,
        "id2label": {str(number): name for number, name in enumerate(names)},
        "label2id": {name: number for number, name in reversed([*enumerate(names)])},
    }


def _classifies(kind: Kind, classes: Any, where: str) -> bool:
    """Return whether a file's network has a classifier, by the class that wrote it."""
    if isinstance(classes, list) and len(classes) == 1 and classes[0] in (kind.classifier, *kind.encoders):
        return bool(classes[0] == kind.classifier)
    found = classes[0] if isinstance(classes, list) and len(classes) == 1 else classes
    raise _refusal(where, "architectures", found, f"one of {', '.join((kind.classifier, *kind.encoders))}")


def _outputs(config: Mapping[str, Any], where: str) -> tuple[int, tuple[str, ...] | None, list[str]]:
    """Return how many outputs there are, what they are called if the file names them, and what is to be told."""
    if (problem := config.get("problem_type")) not in (None, "single_label_classification"):
        raise _refusal(where, "problem_type", problem, "single_label_classification, or null")
    names = config.get("id2label")
    if names is None:
        count = config.get("num_labels", 2)  # the library's default, which its files leave out
        if type(count) is not int or not 1 <= count <= MOST_CLASSES:
            raise _refusal(where, "num_labels", count, f"1 to {MOST_CLASSES}")
        return count, None, []
    if not isinstance(names, dict) or not 1 <= len(names) <= MOST_CLASSES:
        raise _refusal(where, "id2label", names, f"one of 1 to {MOST_CLASSES} names")
    missing = next((number for number in range(len(names)) if str(number) not in names), None)
    if missing is not None:
        raise RegistryError(f"{where}: id2label has {len(names)} names and none for {missing}; expected one for each "
                            f"of 0 to {len(names) - 1}")  # fmt: skip
    ordered = tuple(names[str(number)] for number in range(len(names)))
    for number, name in enumerate(ordered):
        if not isinstance(name, str) or not name.strip():
            raise _refusal(where, f"id2label.{number}", name, "a name")
    if ordered == tuple(f"LABEL_{number}" for number in range(len(names))):
        return len(names), None, []
    if contradicted := _contradicted(ordered, config.get("label2id")):
        remark = (f"label2id says otherwise than id2label what {brief(contradicted)} is: outputs are numbered; "
                  "--labels FILE or labels= gives their names")  # fmt: skip
        return len(names), None, [remark]
    return len(names), ordered, []


def _contradicted(names: Sequence[str], numbers: Any) -> str | None:
    """Return a name that label2id gives another number, None if there is none."""
    if not isinstance(numbers, dict):
        return None
    places: dict[str, set[str]] = {}
    for number, name in enumerate(names):
        places.setdefault(name, set()).add(str(number))
    return next((name for name in places if name in numbers and str(numbers[name]) not in places[name]), None)


def _refusal(where: str, field: str, found: Any, expected: str) -> RegistryError:
    return RegistryError(f"{where}: {field} is {shown(found)}, expected {expected}")

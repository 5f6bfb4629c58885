"""From what a user names to a ready model: a record with its published weights, a network here, or an exported file."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

import torch
from torch import Tensor, nn

from videohub import onnx_model, registry
from videohub.building import build, build_empty, classes_of, held, renames, with_activation, with_weights
from videohub.convert import kept_weights
from videohub.convert.recognition import check_state_dict, shapes, without_wrappers
from videohub.devices import usable
from videohub.errors import ConversionError, UsageError
from videohub.files import atomic_write, check_parent_exists
from videohub.log import log, warn_once
from videohub.models.inference_form import optimize
from videohub.registry.labels import Given, as_text, resolve, with_classes, with_labels
from videohub.registry.lookup import MARKS, marks
from videohub.registry.schema import Record
from videohub.value_types import Activation
from videohub.version import __version__
from videohub.weights import fetch, to_portable_json

if TYPE_CHECKING:
    from videohub.models import VideoModel

NameOrModel: TypeAlias = str | Path | Record | nn.Module


def load(
    name: str | Record,
    *,
    checkpoint: str | Path | None = None,
    num_classes: int | None = None,
    labels: Given | None = None,
    activation: Activation | None = None,
    device: str | torch.device = "cpu",
    ignore: Sequence[str] = (),
    check: bool = False,
    pretrained: Literal[True] = True,
) -> VideoModel:
    """Return the network of a record with its published weights, in evaluation mode.

    Args:
        name: A record, its id or its upstream name.
        checkpoint: A file of one's own instead of the record's URL: a copy of the published one, converted weights, or
            what was saved from such a network, which has the classes that are in the file; one line tells them.
        num_classes: Replace a classifier of another size, or one whose classes are called otherwise than `labels`, by a
            new one, to be trained; one line says which tensors. A network that was trained without classes gets one
            only so: else it gives features, and one line says so.
        labels: What the outputs are called: the classes' names, a file of them, or a label set that is known; None: as
            the file or the record says.
        activation: What makes scores of the logits, "softmax" or "sigmoid", for a training of one's own; None: as the
            file says, where `save` wrote it, or the record. See `build`.
        device: Where to put it, such as "cpu", "cuda:0" or a torch.device.
        ignore: Patterns of keys of the file to leave aside knowingly, such as "loss.*" of a training script's.
        check: Compute again what is publicly known of the file's outputs, as `videohub.check` does, on the CPU; one
            line says so where nothing is.
        pretrained: May be said, as other libraries want it: True is all that there is. Without published weights,
            `videohub.build` makes the network.
    Raises: UnavailableError, DownloadError, FormatError, ConversionError, DeviceError; UsageError if there are not as
        many labels as outputs, or `pretrained` is not True; KnownAnswerError, and DownloadError where the clip of a
        known answer cannot be had.
    """
    if pretrained is not True:
        raise UsageError(
            f"pretrained: found {pretrained!r}, expected True: videohub.load always brings a record's published "
            "weights, or those of checkpoint=; videohub.build(name) makes its network without them"
        )
    record = registry.record(name)
    where = usable(device)
    names = None if labels is None else resolve(labels)  # before a download: most mistakes show here
    weights = fetch(record, checkpoint=checkpoint, ignore=ignore)
    if check:
        _check(record, weights, checkpoint)
    is_other = num_classes is not None and num_classes != classes_of(weights, record)
    if num_classes is not None and (is_other or renames(weights, record, names, checkpoint)):
        record = with_activation(record, activation or kept_weights.origin(weights).get("activation"))
        model = _with_new_classifier(record, weights, num_classes, labels=names)
    else:
        of_file = held(record, weights, labels=names, activation=activation, source=checkpoint)
        model = from_weights(of_file, weights)
    if model.record.model.num_classes is None:
        log.warning("%s: its file has no classifier, and features (B, %d) come out; num_classes= puts a new one on",
                    record.name, model.num_features)  # fmt: skip
    return model.to(where)


def save(model: VideoModel, path: str | Path) -> Path:
    """Write a network's weights, float32, with its record and the names of its classes, as one .safetensors file.

    The file is all that `load(name, checkpoint=path)`, `predict`, `benchmark --data` and `export` need. It appears
    whole or not at all, and carries a checksum.

    Args:
        model: From `load` or `build`, whatever it was trained to since, also in a wrapper that has it as `module`, as
            DistributedDataParallel does, or from torch.compile; not what `optimize` returned.
        path: The file; its folder exists.
    Returns: the path.
    Raises: UsageError if nothing tells what the model is, or the folder is missing; ConversionError if its tensors are
        not those of its record's network.
    """
    model = cast("VideoModel", _unwrapped(model))
    record = getattr(model, "record", None)
    if not isinstance(record, Record):
        raise UsageError(
            f"save: found a {type(model).__name__} without a record, expected a model from videohub.load or "
            "videohub.build"
        )
    expected, known = build_empty(record).state_dict(), without_wrappers(model.state_dict())
    held_here = {key: tensor.detach().cpu() for key, tensor in known.items() if isinstance(tensor, Tensor)}
    if missing := expected.keys() - held_here.keys():
        raise UsageError(
            f"save: found a {type(model).__name__} without {len(missing)} of its {len(expected)} tensors "
            f"({min(missing)}), expected one as load or build gave it; save a network before it is optimised or "
            "quantised, after prune.remove, and with its own head"
        )
    classes, outputs = record.model.num_classes, len(held_here.get(record.model.classifier_keys[0], ()))
    if outputs != (classes or 0):
        raise UsageError(
            f"save: found {outputs} outputs, expected the {classes or 'no'} classes of the model's record: where its "
            "classifier was replaced by hand, nothing says what comes out.\n"
            f"  Say it with model.record = videohub.build(model.record, num_classes={outputs}, labels=…).record."
        )
    state = check_state_dict(held_here, expected, record.name)
    check_parent_exists(Path(path))
    header = {"videohub": __version__, "record": to_portable_json(record), "labels": as_text(record.labels),
              "activation": record.protocol.scores.activation}  # fmt: skip
    with atomic_write(Path(path)) as part:
        kept_weights.write(part, state, header)
    kept_weights.tell_suffix(Path(path))
    return Path(path)


def from_weights(record: Record, weights: Path, *, outputs: Sequence[int] | None = None) -> VideoModel:
    """Return the network of a record with the converted weights that `fetch` returned; its marks are told once.

    Args:
        outputs: Those of the file's that are the record's classes, by a label map; None: all.
    """
    _tell_marks(record)
    return with_weights(record, weights, outputs=outputs)


def inflate(
    name: str | Record,
    *,
    image: str | Record = "resnet_r50_in1k",
    checkpoint: str | Path | None = None,
    num_classes: int | None = None,
) -> VideoModel:
    """Return the video network of a record, started from the weights of an image network.

    Args:
        name: A one-pathway video record, its id or its upstream name.
        image: The image record whose kernels are repeated over time.
        checkpoint: A local copy of the image record's file, instead of its URL.
        num_classes: Size of the new classifier; None: the record's.
    Raises: ConversionError if the two networks do not share their layout.
    """

    record = registry.record(name)
    model = build(record, num_classes=num_classes)
    kernels = kept_weights.tensors(fetch(image, checkpoint=checkpoint))
    _fill(model, _inflated(kernels, model.state_dict(), classifier=record.model.classifier_keys), record)
    return model


@dataclass(frozen=True, eq=False)
class ChosenModel:
    """What a user wants to be run: a network that is here, or a record whose weights are still to be loaded."""

    record: Record  # of a network that is here, with its classes and names; else as the registry has it
    device: torch.device
    network: nn.Module | None = None
    checkpoint: str | Path | None = None
    labels: Given | None = None

    def loaded(self) -> nn.Module:
        """Return the network as it is written, loaded unless it is here. Raises: what `load` raises."""
        if self.network is not None:
            return self.network
        return load(self.record, checkpoint=self.checkpoint, labels=self.labels, device=self.device)

    def ready(self) -> tuple[nn.Module, Record]:
        """Return the network in its inference form, and its record with the classes and names that it has.

        Raises: what `load` raises.
        """
        model = self.loaded()
        return optimize(model), self.record if self.network is not None else cast(Record, model.record)


def chosen_model(
    name_or_model: NameOrModel,
    *,
    verb: str,
    checkpoint: str | Path | None = None,
    labels: Given | None = None,
    device: str | torch.device = "cpu",
) -> ChosenModel:
    """Look at what a user wants to be run, before anything is fetched, read or copied.

    Args:
        name_or_model: A record, its id or upstream name, or a model from `load` or `build`, also in a wrapper that has
            it as `module`, as DataParallel and AveragedModel do; or an ONNX file that `export` wrote.
        verb: What it is wanted for, as messages begin.
        checkpoint: A file of one's own instead of the record's URL; see `load`. Not beside a model.
        labels: What the outputs are called; None: as the record says.
        device: Where to run a model that is loaded; one that is here stays where it is.
    Raises: UnknownNameError, DeviceError; UsageError if the model is not ours, in training mode, or given beside a
        checkpoint, or if the labels are not as many as its outputs; FormatError for an ONNX file of others.
    """
    if onnx_model.is_file(name_or_model):
        name_or_model = onnx_model.load(name_or_model, device=device)
    if not isinstance(name_or_model, nn.Module):
        name = str(name_or_model) if isinstance(name_or_model, Path) else name_or_model
        record, names = registry.record(name), None if labels is None else resolve(labels)
        return ChosenModel(record, usable(device), checkpoint=checkpoint, labels=names)
    if checkpoint is not None:
        raise UsageError(
            f"{verb}: found a model and the checkpoint {checkpoint}, expected one of them; "
            "pass a record's name with a checkpoint, or what videohub.load(name, checkpoint=…) returns"
        )
    model = _unwrapped(name_or_model)
    return ChosenModel(with_labels(_record_of(model, verb), labels), next(model.parameters()).device, model)


def _check(record: Record, weights: Path, checkpoint: str | Path | None) -> None:
    """Compute again what is known of a file's outputs. Raises: KnownAnswerError."""
    from videohub import known_answers  # with all that reads videos

    checked = known_answers.check_weights(record, weights, checkpoint=checkpoint)
    known_answers.refuse_wrong(checked)
    if checked.status == "nothing known":
        log.warning("%s: nothing is publicly known of the outputs of %s, so that nothing was checked",
                    record.name, checked.file)  # fmt: skip


def _with_new_classifier(record: Record, weights: Path, num_classes: int, *, labels: Given | None) -> VideoModel:
    """Return the network of a record with converted weights and a new classifier; one line says what is new."""
    _tell_marks(record)
    classifier = record.model.classifier_keys
    state = {key: tensor for key, tensor in kept_weights.tensors(weights).items() if key not in classifier}
    model = build(record, num_classes=num_classes, labels=labels)
    _fill(model, state, record)
    return model


def _inflated(
    image: Mapping[str, Tensor], video: Mapping[str, Tensor], *, classifier: Collection[str]
) -> dict[str, Tensor]:
    """Return the tensors of `image` in the shapes of `video`, whose keys they share.

    A kernel (O, I, 1, H, W) becomes (O, I, T, H, W), each slice divided by T, so that a clip of T equal frames gives
    what the frame gave. Equal shapes are copied. A `classifier` (its keys) of another size is left out.

    Raises: ConversionError that lists keys which only one side has, and shapes that no repetition explains.
    Source: the original's inflation, `repeat over time / kernel length`.
    """
    if image.keys() != video.keys():
        lost, new = [k for k in image if k not in video], [k for k in video if k not in image]
        raise ConversionError(
            "the image network and the video network do not share their keys:\n"
            f"  only the image network has:\n{shapes(image, lost)}\n  only the video network has:\n{shapes(video, new)}"
        )
    tensors, odd = {}, []
    for key, target in video.items():
        tensor = image[key]
        if tensor.shape == target.shape:
            tensors[key] = tensor
        elif target.ndim == 5 and tensor.shape == (*target.shape[:2], 1, *target.shape[3:]):
            tensors[key] = tensor.expand(target.shape) / target.shape[2]
        elif key not in classifier:
            odd.append(key)
    if odd:
        raise ConversionError(
            f"the image network's kernels do not inflate:\n{shapes(image, odd)}\n  expected:\n{shapes(video, odd)}"
        )
    return tensors


def _tell_marks(record: Record) -> None:
    words = {"NC": f"{MARKS['NC']}: {record.checkpoint.license}", "unproven": f"unproven: {MARKS['unproven']}"}
    for mark in marks(record):
        warn_once("%s: %s", record.name, words[mark])


def _fill(model: nn.Module, state: Mapping[str, Tensor], record: Record) -> None:
    """Load what `state` has and say in one line what stays new."""
    tensors = model.state_dict()
    new = [f"{key} {tuple(tensor.shape)}" for key, tensor in tensors.items() if key not in state]
    model.load_state_dict({**tensors, **state}, strict=True)
    log.warning("%s: new, to be trained: %s", record.name, ", ".join(new) or "nothing")


def _unwrapped(model: nn.Module) -> nn.Module:
    """Return the model within a wrapper, or the model itself."""
    if isinstance(original := getattr(model, "_orig_mod", None), nn.Module):  # of torch.compile, which renames tensors
        return _unwrapped(original)
    inner = getattr(model, "module", None)
    return model if hasattr(model, "record") or not isinstance(inner, nn.Module) else _unwrapped(inner)


def _record_of(model: nn.Module, verb: str) -> Record:
    """Return the record of a model, with as many classes as it has. Raises: UsageError if nothing tells it."""
    record = getattr(model, "record", None)
    if not isinstance(record, Record):
        raise UsageError(
            f"{verb}: this model comes neither from videohub.load nor from videohub.build, so nothing tells how it "
            "wants its clips; pass a record's name, or let `model.record` be the record that does"
        )
    if training := [name for name, module in model.named_modules() if module.training]:
        which = f"its part {training[0]}" if training[0] else "a model"
        raise UsageError(f"{verb}: found {which} in training mode, expected evaluation mode; call model.eval()")
    # perhaps a new one, put in by hand
    classifier = dict(model.named_parameters()).get(record.model.classifier_keys[0])
    return record if classifier is None else with_classes(record, len(classifier))

"""Golden networks: weights made from names, and what the original implementation computes with them.

A case is a json and an npz below tests/golden. `tests/golden/networks/FAMILY.yaml` lists those of a family: what each
is in the words of a record's `model:`, how its keys are spelt, and which module of ours puts out a stage of theirs.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np
import torch
from torch import Tensor

from tests.golden import synth
from videohub import architectures, models
from videohub.architectures import Architecture
from videohub.convert import conversion, tables
from videohub.convert.recognition import recognise
from videohub.convert.tables import Table
from videohub.registry import strict_yaml
from videohub.registry.schema import Record

GOLDEN = Path(__file__).parent.parent / "golden"
LOGITS_CLOSE = 1e-5  # of the largest logit; threads and rounding to float32 make 1.7e-6


def compared(architecture: Architecture) -> dict:
    """Return the arguments of a network that its logits at each position of the head depend on."""
    arguments = {name: value for name, value in architecture.effective().items() if name != "num_classes"}
    if "head" in arguments:
        unseen = ("mean_of", "background")  # of what is done with logits, or what they are called
        arguments["head"] = {name: value for name, value in arguments["head"].items() if name not in unseen}
    return arguments


def trained(arch: Architecture, *, frames: int) -> models.VideoModel:
    """Return a network whose weights are made from its own names: no norm is the identity, no table is zero."""
    network = models.build(arch, frames=frames)
    for name, tensor in network.state_dict().items():
        tensor.copy_(torch.from_numpy(synth.synth(name, tuple(tensor.shape))))
    return network


@dataclass(frozen=True, eq=False)
class GoldenCase:
    """One network of an original implementation, its input and its outputs."""

    name: str  # the path below tests/golden, without suffix
    layout: str
    architecture: Architecture
    stages: Mapping[str, str | Sequence[str | None] | None]
    quick: bool
    frames: int | None = None  # that the network is built for; None: those of the input

    @cached_property
    def facts(self) -> dict:
        """What its json says."""
        return json.loads((GOLDEN / f"{self.name}.json").read_text())

    @cached_property
    def expected(self) -> Mapping[str, np.ndarray]:
        """The numbers of its npz."""
        return dict(np.load(GOLDEN / f"{self.name}.npz"))

    @property
    def family(self) -> str:
        return self.architecture.family

    @property
    def arguments(self) -> dict:
        """The arguments of the network, as key tables name them."""
        frames = self.frames or self.facts["input"]["shape"][2]
        return {**msgspec.to_builtins(self.architecture), "arch": self.architecture.arch, "frames": frames}

    @property
    def table(self) -> Table:
        """How its tensors are named, there and here."""
        return tables.find(self.family, self.layout).of(self.arguments)

    def computed(self, record: Record) -> bool:
        """Tell whether what the original computed here is what a record's network computes.

        That is of the same arguments and as many frames, but for the number of classes, of which each has a row of the
        classifier, whatever it is called, and for how a head joins the scores of its positions: those are compared
        before they are joined.
        """
        theirs = self.frames or self.facts["input"]["shape"][2], compared(self.architecture)
        return theirs == (record.clip.frames, compared(record.model))

    @property
    def output_activation(self) -> str | None:
        """What the original applied before it gave its output; None: that is logits."""
        text, averaging = self.facts["architecture"], self.facts.get("evaluation", {}).get("averaging", "")
        # mmaction2, and Video Swin, which is built on it: the mean of clips' probabilities
        if text.get("cls_head", {}).get("average_clips") == "prob" or "average_clips prob" in averaging:
            return "softmax"
        if text.get("bbox_head", {}).get("multilabel"):
            return "sigmoid"
        activation = text.get("head_act") or text.get("head_activation")
        return activation and activation.lower().split()[0]

    def clip(self) -> Tensor:
        """Return the input, (B, 3, T, H, W)."""
        return torch.from_numpy(synth.synth_clip(self.facts["input"]["seed"], self.facts["input"]["shape"]))

    def boxes(self) -> tuple[Tensor, ...]:
        """Return the boxes of a detection case as a further argument, else nothing."""
        return () if self.facts["boxes"] is None else (torch.tensor(self.facts["boxes"]),)

    def file(self, make: Callable[[str, list[int]], np.ndarray]) -> dict[str, np.ndarray]:
        """Return the tensors of a published file, each made from its key and shape.

        What a file holds twice has one value, and tables that its network computes are left out.
        """
        originals = dict(self.facts.get("aliases", ()))
        computed = {*self.facts.get("integer_buffers", ()), *dict(self.facts.get("computed_buffers", ()))}
        return {key: make(originals.get(key, key), shape) for key, shape, _ in self.facts["tensors"]
                if key not in computed}  # fmt: skip

    def golden_file(self) -> dict[str, np.ndarray]:
        """Return the tensors of a file with the golden weights; batches are counted in whole numbers, as files do."""
        seed, gains = self.facts["weights"]["seed"], self.facts["weights"]["gains"]
        made = self.file(lambda key, shape: synth.synth(key, shape, seed, gains))
        return {key: array.astype(np.int64) if key.endswith("num_batches_tracked") else array
                for key, array in made.items()}  # fmt: skip

    def numbered_file(self) -> dict[str, np.ndarray]:
        """Return the tensors of a file with a number of its own in each row, and no memory for the rest.

        Wherever a row gets to, it can be told from all others; so that needs no weights.
        """
        order = {key: number for number, (key, _, _) in enumerate(self.facts["tensors"])}

        def make(key: str, shape: list[int]) -> np.ndarray:
            first = order[key] * 10_000.0
            if not shape:
                return np.float32(first).reshape(())
            rows = np.arange(first, first + shape[0], dtype=np.float32)
            return np.lib.stride_tricks.as_strided(rows, shape, [rows.itemsize] + [0] * (len(shape) - 1))

        return self.file(make)

    def state(self, file: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        """Return the tensors of a file under our names; the layout is known by the keys alone."""
        recognised = recognise(file, self.family, self.arguments)
        assert (recognised.layout, recognised.prefix) == (self.layout, "")
        arrays = conversion.imported(file, recognised, self.arguments, self.name)
        return {name: torch.from_numpy(np.asarray(array)) for name, array in arrays.items()}

    def build(self) -> models.VideoModel:
        """Return the network with random weights."""
        frames = self.frames or self.facts["input"]["shape"][2]
        return models.build(self.architecture, frames=frames, activation=self.output_activation or "softmax")

    def network(self) -> models.VideoModel:
        """Return the network with the golden weights."""
        network = self.build()
        network.load_state_dict(self.state(self.golden_file()), strict=True)
        return network

    def output_difference(self, logits: Tensor) -> float:
        """Return how far the output that these logits give is from the original's, 1 being the most that is allowed.

        Probabilities may differ by 1e-5, and where the original gave logits, those by that share of the largest.
        """
        if self.output_activation is None:
            return _relative(logits.numpy(), self.expected["output"]) / LOGITS_CLOSE
        scores = logits.sigmoid() if self.output_activation == "sigmoid" else logits.softmax(dim=1)
        return float(np.abs(scores.numpy() - self.expected["output"]).max()) / 1e-5

    def logits_difference(self, logits: Tensor) -> float:
        """Return how far these outputs of the classifier are from the original's, 1 being the most that is allowed.

        They have the classes last, and before them whatever positions there are.
        """
        expected = self.expected["logits"]
        if expected.shape[-1] != self.architecture.num_classes:  # of a convolution
            expected = np.moveaxis(expected, 1, -1)
        result = logits.numpy()
        if result.squeeze().ndim < expected.squeeze().ndim:  # of each frame: their mean is that of their features
            expected = expected.mean(axis=0, keepdims=True)
        assert result.squeeze().shape == expected.squeeze().shape
        return _relative(result.squeeze(), expected.squeeze()) / LOGITS_CLOSE

    def watch_stages(self, network: models.VideoModel) -> dict[str, float]:
        """Return what a forward pass fills: by how much each stage differs, 1 being the most that is allowed.

        In the order in which they are computed, so that the first which is above 1 is where a mismatch begins. The
        limits are those of the golden data: 1e-4 for values, 1e-5 for mean and deviation, of the stage's scale.
        """
        differences: dict[str, float] = {}
        for row, stage in enumerate(self.facts["stages"]):
            if (module := self._module_of(stage["name"], stage["pathway"])) is None:
                continue

            def compare(_module, _given, made, row=row, stage=stage):
                values = (made if isinstance(made, Tensor) else made[stage["pathway"]]).double().numpy()
                if values.ndim > len(stage["shape"]):  # there, frames are images
                    values = values.swapaxes(1, 2).reshape(-1, values.shape[1], *values.shape[3:])
                differences[f"{stage['name']}/{stage['pathway']}"] = self._stage_difference(row, values)

            network.get_submodule(module).register_forward_hook(compare)
        return differences

    def _stage_difference(self, row: int, values: np.ndarray) -> float:
        stage, expected = self.facts["stages"][row], self.expected
        if list(values.shape) != stage["shape"]:
            return math.inf
        sampled = np.abs(values.reshape(-1)[expected["stage_indices"][row]] - expected["stage_values"][row]).max()
        mean, std = abs(values.mean() - stage["mean"]), abs(values.std() - stage["std"])
        return float(max(sampled / 1e-4, mean / 1e-5, std / 1e-5) / (stage["std"] + abs(stage["mean"])))

    def _module_of(self, stage: str, pathway: int) -> str | None:
        """Return which module puts out a stage, None if none of ours does; a * stands for a number on both sides."""
        for pattern, modules in self.stages.items():
            if match := re.fullmatch(re.escape(pattern).replace(r"\*", r"(\d+)"), stage):
                module = modules if modules is None or isinstance(modules, str) else modules[pathway]
                for number in match.groups():
                    module = module and module.replace("*", number, 1)
                return module
        raise AssertionError(f"{self.name}: tests/golden/networks/{self.family}.yaml does not name the stage {stage}")


def _relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def _cases() -> dict[str, GoldenCase]:
    cases = {}
    for path in sorted((GOLDEN / "networks").glob("*.yaml")):
        family = strict_yaml.read(path).value
        for name, case in family["cases"].items():
            architecture = architectures.read({"family": path.stem, **case["model"]})
            stages, quick = family["stages"][case.get("stages", case["layout"])], case.get("quick", False)
            cases[name] = GoldenCase(name, case["layout"], architecture, stages, quick, case.get("frames"))
    return cases


CASES = _cases()

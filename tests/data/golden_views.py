"""The original's views of the sample videos, and how far from them ours are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from tests.data.sample_videos import protocol
from videohub.data.views import Views
from videohub.protocols import Protocol
from videohub.registry.schema import Clip

VIEWS = Path(__file__).resolve().parents[1] / "golden" / "views"


def cases(*datasets: str) -> list[str]:
    """Return the names of the cases of some data sets, as the golden files call them."""
    return sorted(path.stem for path in VIEWS.glob("*.json") if json.loads(path.read_text())["dataset"] in datasets)


def golden_case(name: str) -> tuple[dict, dict[str, np.ndarray]]:
    """Return the facts and the arrays of one video under one configuration."""
    return json.loads((VIEWS / f"{name}.json").read_text()), dict(np.load(VIEWS / f"{name}.npz"))


def how(facts: dict) -> tuple[Protocol, Clip]:
    """Return the test that the original ran."""
    crop, dataset = facts["test_crop_size"], facts["dataset"]
    kinetics, ava = dataset == "kinetics", dataset == "ava"
    rules = {"ssv2": "segments", "charades": "spread", "ava": "keyframe", "kinetics": "proportional"}
    crops = 1 if ava else facts["num_crops"]
    rule = protocol(
        clips=1 if ava else facts["num_clips"],
        crops=crops,
        short_side=facts["train_jitter_scales"][0] if kinetics and crops == 1 else crop,
        crop=None if ava else crop,
        sampling="offset" if facts.get("use_offset_sampling") else rules[dataset],
        mean=tuple(facts["mean"]),
        std=tuple(facts["std"]),
    )
    return rule, Clip(frames=facts["num_frames"], sampling_rate=facts["sampling_rate"])


def value_differences(views: Views, facts: dict, expected: dict[str, np.ndarray], first: int = 0) -> np.ndarray:
    """Return by how much the sampled pixels differ from the original's, of whose views number `first` is our 0."""
    differences = []
    for number, pathway, rows, cropped in _pathways(views, facts):
        shape = facts["pathway_shapes"][pathway]
        assert shape == [3, len(rows), *views.size]
        channel, time, y, x = np.unravel_index(expected[f"p{pathway}_idx"][first + number], shape)
        values = cropped.numpy()[rows[time], channel, y, x]
        differences.append(np.abs(values - expected[f"p{pathway}_val"][first + number]))
    return np.array(differences)


def moment_differences(views: Views, facts: dict, expected: dict[str, np.ndarray], first: int = 0) -> np.ndarray:
    """Return by how much mean and standard deviation of each channel differ; shared frames are looked at once."""
    differences = []
    of_frames: dict[int, tuple[np.ndarray, ...]] = {}
    for number, pathway, rows, cropped in _pathways(views, facts):
        crop = number % len(views.offsets)
        if crop not in of_frames:
            mean = cropped.mean(dim=(2, 3), keepdim=True)
            variance = (cropped - mean).square_().mean(dim=(2, 3))  # three times as fast as torch.var_mean
            of_frames[crop] = tuple(moment.numpy().astype(np.float64) for moment in (variance, mean[..., 0, 0]))
        variances, means = (moment[rows] for moment in of_frames[crop])
        deviation = np.sqrt(variances.mean(axis=0) + means.var(axis=0))
        differences.append(np.abs(means.mean(axis=0) - expected[f"p{pathway}_mean"][first + number]))
        differences.append(np.abs(deviation - expected[f"p{pathway}_std"][first + number]))
    return np.array(differences)


def _pathways(views: Views, facts: dict) -> Iterator[tuple[int, int, np.ndarray, torch.Tensor]]:
    """Yield view number, pathway, the rows of the frames that it takes, and all frames cropped, for all of them."""
    height, width = views.size
    for number in range(len(views)):
        clip, crop = divmod(number, len(views.offsets))
        top, left, _ = views.offsets[crop]
        cropped = views.frames[:, :, top : top + height, left : left + width]
        fast = views.positions[clip].numpy()
        pathways = [fast] if len(facts["pathway_shapes"]) == 1 else [fast[facts["slow_pathway_positions"]], fast]
        for pathway, rows in enumerate(pathways):
            yield number, pathway, rows, cropped

"""Folders as the library transformers saves a network in, made without it: small ones, in any state of disorder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from tests.own_registry import like
from videohub import convert, models
from videohub.architectures import Architecture
from videohub.architectures.vit import ViT

NAMES = ("run", "jump", "fall")
SIZES: dict[str, Any] = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "image_size": 32,
                         "intermediate_size": 96, "num_frames": 4}  # fmt: skip
CONFIG: dict[str, Any] = {
    "architectures": ["VideoMAEForVideoClassification"],
    "model_type": "videomae",
    **SIZES,
    "id2label": {str(number): name for number, name in enumerate(NAMES)},
    "label2id": {name: number for number, name in enumerate(NAMES)},
    "transformers_version": "4.46.0",
}
PIXELS: dict[str, Any] = {
    "image_processor_type": "VideoMAEImageProcessor",
    "size": {"shortest_edge": 36},
    "crop_size": {"height": 32, "width": 32},
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.25, 0.5, 0.2],
    "rescale_factor": 0.00392156862745098,
}
OURS = ViT(depth=2, width=24, heads=3, crop=32, class_token=False, positions="sinusoid", key_bias=False,
           norm_eps=1e-12, readout_eps=1e-5, num_classes=3)  # fmt: skip


def network(arch: Architecture = OURS, frames: int = 4) -> models.VideoModel:
    """Return a network of ours with normal numbers in it, the same each time."""
    built = models.build(arch, frames=frames)
    generator = torch.Generator().manual_seed(0)
    for tensor in built.state_dict().values():
        tensor.normal_(generator=generator)
    return built


def tensors(arch: Architecture = OURS) -> dict[str, torch.Tensor]:
    """Return its tensors as the library calls them in its files."""
    record = like("slow_r50_8x8", name="small", model=arch, labels=None)
    table = convert.conversion.tables.find(arch.family, "transformers").of(convert.conversion.arguments_of(record))
    return convert.conversion.to_published(network(arch).state_dict(), table, convert.conversion.arguments_of(record))


def write(
    folder: Path,
    config: Any = CONFIG,
    pixels: Any = PIXELS,
    weights: dict[str, torch.Tensor] | None = None,
    *,
    file: str = "model.safetensors",
) -> Path:
    """Write a folder: its two descriptions (bytes as they are, None: not at all) and a file of weights."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("config.json", config), ("preprocessor_config.json", pixels)):
        if text is not None:
            (folder / name).write_bytes(text if isinstance(text, bytes) else json.dumps(text).encode())
    write_weights(folder / file, tensors() if weights is None else weights)
    return folder


def write_weights(file: Path, weights: dict[str, torch.Tensor]) -> None:
    """Write tensors as one file, in the container that its name tells."""
    if file.suffix == ".bin":
        torch.save(weights, file)
    else:
        arrays = {name: tensor.numpy() for name, tensor in weights.items()}
        convert.kept_weights.write_safetensors(file, arrays, {"format": "pt"})

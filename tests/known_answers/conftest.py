"""A small VideoMAE of the library transformers, and a record of its file: the library computes what is known of it."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from tests.own_registry import like, write_registry
from videohub.architectures.vit import ViT
from videohub.protocols import Crop, Divide, Normalise, ResizeShortSide
from videohub.registry.known_answers import ArrayClip, KnownAnswer, Values
from videohub.registry.schema import Clip, Record

SIDE, FRAMES, CLASSES = 32, 4, 5
HALF = (0.5, 0.5, 0.5)


@pytest.fixture(autouse=True)
def home(own_cache, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def run(run):
    """Run the command line and return its exit code, stdout and stderr; --json comes back parsed."""

    def parsed(*arguments):
        code, out, err = run(*arguments)
        return code, json.loads(out) if "--json" in arguments and out else out, err

    return parsed


@pytest.fixture(scope="session")
def video() -> np.ndarray:
    """Frames (8, 40, 56, 3), each noise of 5 x 7 large squares."""
    noise = np.random.default_rng(0).integers(0, 256, (8, 5, 7, 3), np.uint8)
    return noise.repeat(8, axis=1).repeat(8, axis=2)


@dataclass(frozen=True)
class Theirs:
    """The library's network, its file, and what it makes of frames."""

    network: Any
    folder: Path

    def logits(self, frames: np.ndarray, *, mean: object = HALF, std: object = HALF, **config: object) -> list[float]:
        """Return all logits, as its image processor and its network compute them, with other settings perhaps."""
        transformers = pytest.importorskip("transformers")
        # as all versions resized when the values of our records were computed: by Pillow
        by_pillow = getattr(transformers, "VideoMAEImageProcessorPil", transformers.VideoMAEImageProcessor)
        processor = by_pillow(
            size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}, image_mean=mean, image_std=std
        )
        network = self.network
        if config:
            changed = transformers.VideoMAEConfig(**{**network.config.to_dict(), **config})
            network = transformers.VideoMAEForVideoClassification(changed).eval()
            network.load_state_dict(self.network.state_dict())
        with torch.no_grad():
            return network(**processor(list(frames), return_tensors="pt")).logits[0].tolist()


def theirs(folder: Path, seed: int = 0) -> Theirs:
    """Return a small network with weights large enough that each slip shows, written as the library writes it."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(seed)
    config = transformers.VideoMAEConfig(
        image_size=SIDE, patch_size=16, num_frames=FRAMES, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=128, num_labels=CLASSES, layer_norm_eps=1e-6,
    )  # fmt: skip
    network = transformers.VideoMAEForVideoClassification(config).eval()
    for tensor in network.state_dict().values():
        tensor.normal_(0, 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network.save_pretrained(folder)
    return Theirs(network, folder)


@pytest.fixture(scope="session")
def published(tmp_path_factory) -> Theirs:
    return theirs(tmp_path_factory.mktemp("published"))


@pytest.fixture
def record(published, tmp_path) -> Record:
    """A record of that file, of whose outputs nothing is known."""
    record = like("videomae_vit_b_16x4", name="tiny", upstream_name="TINY", aliases=(), proof=None, labels=None)
    url = Path(shutil.copy(published.folder / "model.safetensors", tmp_path)).as_uri()
    file = next(file for file in (record.checkpoint, *record.other_checkpoints) if file.layout == "transformers")
    file = msgspec.structs.replace(file, url=url, container="safetensors")
    model = ViT(depth=2, width=32, heads=4, class_token=False, positions="sinusoid", key_bias=False, crop=SIDE,
                num_classes=CLASSES)  # fmt: skip
    crop = [Crop(size=SIDE, arithmetic=step.arithmetic) if isinstance(step, Crop) else step
            for step in record.protocol.pixels if not isinstance(step, ResizeShortSide)]  # fmt: skip
    protocol = msgspec.structs.replace(record.protocol, name="tiny_protocol", pixels=tuple(crop))
    return msgspec.structs.replace(
        record, model=model, checkpoint=file, other_checkpoints=(), clip=Clip(frames=FRAMES, sampling_rate=2),
        known_answers=(), protocol=protocol,
    )  # fmt: skip


Known = Callable[..., Record]


@pytest.fixture
def known(record, tmp_path, video) -> Known:
    """Return the record with these known answers: by default one, of the first logits of the first frames."""

    def make(first: list[float] | None = None, **changes: Any) -> Record:
        np.save(tmp_path / "clip.npy", video)
        pixels = (
            ResizeShortSide(pixels=SIDE, long_side="truncate", arithmetic="pillow_bilinear"),
            Crop(size=SIDE, arithmetic="videomae"), Divide(by=255), Normalise(mean=HALF, std=HALF),
        )  # fmt: skip
        given = {
            "layouts": ("transformers",), "input": clip_beside(tmp_path), "pixels": pixels,
            "values": Values(first=tuple(first or ())), "tolerance": 1e-4, "source": "its converter",
        }  # fmt: skip
        answers = () if first is None and not changes else (KnownAnswer(**{**given, **changes}),)
        return msgspec.structs.replace(record, known_answers=answers)

    return make


def clip_beside(folder: Path, **chosen: Any) -> ArrayClip:
    return ArrayClip(url=(folder / "clip.npy").as_uri(), sha256=None, frames=FRAMES, **chosen)


@pytest.fixture
def registered(tmp_path, monkeypatch) -> Callable[[Record], None]:
    """Write a registry with a record in it, and name it."""

    def write(record: Record) -> None:
        write_registry(tmp_path / "own.yaml", record)
        monkeypatch.setenv("VIDEOHUB_REGISTRY", str(tmp_path / "own.yaml"))

    return write

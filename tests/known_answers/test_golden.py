"""VideoMAE-S in its container, with golden weights: the original's logits come out, and each slip has its cause."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
import torch

import videohub
from tests.models.golden_networks import CASES
from tests.own_registry import like
from videohub.protocols import Divide, Normalise
from videohub.registry.known_answers import ArrayClip, KnownAnswer, Values

SIX_HEADS = CASES["modern/transformers/videomae-small-finetuned-kinetics__6heads"]
SIXTEEN_HEADS = CASES["modern/transformers/videomae-small-finetuned-kinetics"]  # as transformers' converter builds it
HALF, IMAGENET = (Normalise(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
                  Normalise(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)))  # fmt: skip


@pytest.fixture
def checked(tmp_path, monkeypatch):
    """Check the record's file with what a case's original computed of its clip, of which the levels are stored."""
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path / "cache"))
    file = {key: torch.from_numpy(array) for key, array in SIX_HEADS.golden_file().items()}
    torch.save(file, tmp_path / "pytorch_model.bin")

    def check(case=SIX_HEADS, normalise=HALF, stored=lambda levels: levels):
        levels = (case.clip()[0].permute(1, 2, 3, 0) * 0.5 + 0.5) * 255  # (T, H, W, 3)
        np.save(tmp_path / "clip.npy", stored(levels).numpy())
        logits = case.expected["logits"].ravel()
        answer = KnownAnswer(
            layouts=("transformers",),
            input=ArrayClip(url=(tmp_path / "clip.npy").as_uri(), sha256=None, frames=16),
            pixels=(Divide(by=255), normalise),
            values=Values(first=tuple(logits[:5].tolist()), top1=int(logits.argmax()),
                          probability=float(torch.from_numpy(logits).double().softmax(dim=0).max())),
            tolerance=2e-5 * float(np.abs(logits).max()),
            source=case.name,
        )  # fmt: skip
        record = like("videomae_vit_s_16x4", known_answers=(answer,))
        files = (record.checkpoint, *record.other_checkpoints)
        hub = next(file for file in files if file.layout == "transformers")
        hub = msgspec.structs.replace(hub, url=(tmp_path / "pytorch_model.bin").as_uri())
        return videohub.check(msgspec.structs.replace(record, checkpoint=hub, other_checkpoints=()))

    return check


def test_the_original_s_logits_come_out(checked):
    assert checked().status == "holds"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("slip", "kind", "what"),
    [
        ({"case": SIXTEEN_HEADS}, "arithmetic", "16 attention heads"),
        ({"normalise": IMAGENET}, "preprocessing", "mean and deviation 0.5"),
        ({"stored": lambda levels: levels.flip(3)}, "preprocessing", "the channels' order turned round"),
        ({"stored": lambda levels: levels.flip(0)}, "preprocessing", "the frames' order turned round"),
    ],
    ids=["heads", "mean", "channels", "frames"],
)
def test_each_slip_has_its_cause(checked, slip, kind, what):
    result = checked(**slip)
    assert (result.status, result.cause.kind) == ("fails", kind)
    assert f"with {what} the known values come out" in result.cause.why

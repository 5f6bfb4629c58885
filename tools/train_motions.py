"""Train the embedded demo's network and store it as its publisher would: a Caffe2 pickle.

    python tools/train_motions.py

It makes the training split of the motion videos, trains for some minutes on two CPU cores, writes
`demo/SLOWFAST_MOTIONS.pkl`, and prints what goes into the record: digest, size, and the accuracy on the test split.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

import videohub
from videohub import registry
from videohub.convert.conversion import export
from videohub.data.sets.lists import read_list
from videohub.data.synthetic import motions
from videohub.data.synthetic.scenes import CLASSES
from videohub.hub import cache
from videohub.models.convolutions import Bottleneck

RECORD = "slowfast_motions"
CHECKPOINT = Path(__file__).parent.parent / "demo" / "SLOWFAST_MOTIONS.pkl"
CROP = 32  # the training crop, which the last stage sees as one cell
LEARNING_RATE, WEIGHT_DECAY, SMOOTHING, BATCH = 3e-3, 0.02, 0.05, 16

# A flipped clip shows another motion. Each flip swaps these classes and leaves the others.
MIRRORED = [("moving left", "moving right"), ("turning clockwise", "turning counterclockwise")]
UPSIDE_DOWN = [("moving up", "moving down"), ("turning clockwise", "turning counterclockwise")]
BACKWARDS = [
    ("moving left", "moving right"),
    ("moving up", "moving down"),
    ("turning clockwise", "turning counterclockwise"),
    ("growing", "shrinking"),
]
FLIPS = {3: MIRRORED, 2: UPSIDE_DOWN, 1: BACKWARDS}  # dimension of a clip (3, T, H, W) -> what it does to classes


def main() -> None:
    """Train, write and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("demo-run"), help="folder for the generated videos")
    parser.add_argument("--videos", type=int, default=2000, help="training videos")
    parser.add_argument("--epochs", type=int, default=16)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    random.seed(0)

    record = registry.record(RECORD)
    videos = decode_all(motions.generate(arguments.work, split="train", clips=arguments.videos), record)
    model = videohub.build(RECORD).to(memory_format=torch.channels_last_3d)  # three times as fast on a CPU
    model.head.dropout.p = 0.0  # too small to overfit
    for block in (module for module in model.modules() if isinstance(module, Bottleneck)):
        nn.init.ones_(block.norm_c.weight)  # blocks that start as the identity cost more time than these minutes have
    print(f"{sum(parameter.numel() for parameter in model.parameters())} parameters")
    train(model, videos, epochs=arguments.epochs)

    export(model.state_dict(), record, "caffe2", CHECKPOINT)
    measure(arguments.work)


def measure(work: Path) -> None:
    """Print what goes into the record: the checkpoint's digest and size, and its accuracy on the test split."""
    print(f"sha256: {cache.sha256_of(CHECKPOINT)}\nsize: {CHECKPOINT.stat().st_size}")
    report = videohub.verify(RECORD, motions.generate(work), checkpoint=CHECKPOINT)
    for row in report.comparisons:
        print(f"{row.metric}: {row.recomputed:.2f} of {report.scored} test videos")


def decode_all(listing: Path, record: registry.Record) -> list[tuple[Tensor, float, int]]:
    """Return (frames (T, 3, H, W) uint8 at the protocol's short side, frame rate, class) of every listed video."""
    samples = read_list(listing, num_classes=len(CLASSES))
    paths = [sample.source.path for sample in samples]

    def decode(path: Path) -> tuple[Tensor, float]:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            rate = float(stream.average_rate or 0)
            frames = torch.stack([torch.from_numpy(f.to_ndarray(format="rgb24")) for f in container.decode(stream)])
        frames = frames.permute(0, 3, 1, 2).float()
        side = min(frames.shape[2:])
        size = [math.floor(length / side * (record.protocol.short_side or side)) for length in frames.shape[2:]]
        return F.interpolate(frames, size, mode="bilinear").round().to(torch.uint8), rate

    with ThreadPoolExecutor(2) as pool:
        decoded = list(tqdm(pool.map(decode, paths), total=len(paths), desc="decode"))
    return [(frames, rate, sample.truth[0]) for (frames, rate), sample in zip(decoded, samples, strict=True)]


def train(model: nn.Module, videos: list[tuple[Tensor, float, int]], *, epochs: int) -> None:
    """Fit `model` to random clips of the videos."""
    steps = epochs * (len(videos) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.1)
    model.train()
    began = time.monotonic()
    for epoch in range(epochs):
        order = torch.randperm(len(videos)).tolist()
        right, losses = 0, []
        for first in range(0, len(order) - BATCH + 1, BATCH):
            pairs = [random_clip(*videos[i]) for i in order[first : first + BATCH]]
            clips, labels = torch.stack([clip for clip, _ in pairs]), torch.tensor([label for _, label in pairs])
            normalised = (clips.float() / 255 - 0.45) / 0.225
            logits = model(normalised.contiguous(memory_format=torch.channels_last_3d))
            loss = F.cross_entropy(logits, labels, label_smoothing=SMOOTHING)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            right += int((logits.argmax(1) == labels).sum())
            losses.append(loss.item())
        print(
            f"epoch {epoch + 1}: loss {sum(losses) / len(losses):.3f}, {100 * right / (len(losses) * BATCH):.1f} % of "
            f"training clips right, {time.monotonic() - began:.0f} s",
            flush=True,
        )
    model.eval()


def random_clip(frames: Tensor, rate: float, label: int) -> tuple[Tensor, int]:
    """Return a clip (3, 16, CROP, CROP) from somewhere in a video, perhaps flipped, and the class it then shows."""
    span = 16 * 2 / 30 * rate
    start = random.random() * max(len(frames) - span, 0)
    positions = (start + torch.linspace(0, span - 1, 16)).clamp(0, len(frames) - 1).long()
    top, left = (random.randint(0, length - CROP) for length in frames.shape[2:])
    clip = frames[positions, :, top : top + CROP, left : left + CROP].permute(1, 0, 2, 3)[torch.randperm(3)]
    for dimension, swaps in FLIPS.items():
        if random.random() < 0.5:
            clip, label = clip.flip(dimension), swapped(label, swaps)
    return clip, label


def swapped(label: int, swaps: list[tuple[str, str]]) -> int:
    """Return the class that a flip turns `label` into."""
    for one, other in swaps:
        if CLASSES[label] in (one, other):
            return CLASSES.index(other if CLASSES[label] == one else one)
    return label


if __name__ == "__main__":
    main()

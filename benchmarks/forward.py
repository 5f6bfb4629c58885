"""Networks as they are written beside their inference form, in float32 on this CPU: `python benchmarks/forward.py`.

Each network gets a view of noise, in turns with its inference form and with a product of two matrices, which is about
the fastest that float32 goes here: as any program calls it, and as an evaluation does, where memory that is freed stays
with the process. Weights are random; batch norms know the statistics of such a clip, so that numbers stay as large as
in a trained network. Two processes take turns, one for each way, for memory that was once kept changes what follows.
What torchvision publishes is timed beside torchvision's own network, too; VideoMAE, TimeSformer, ViViT and V-JEPA 2
beside those of the library transformers, and Hiera beside its authors', where these are installed.
The results go to benchmarks/results/forward.json.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import measurement
import torch
import torchvision
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import videohub
from videohub.evaluation.kept_memory import kept_memory
from videohub.registry import Record
from videohub.timing import MatrixProduct

RESULTS = measurement.RESULTS / "forward.json"
NAMES = (
    "c2d_nopool_r50_8x8",
    "i3d_r50_8x8",
    "i3d_nln_r50_8x8",
    "slow_r50_4x16",
    "slow_r50_8x8",
    "slowfast_r50_4x16",
    "slowfast_r50_8x8",
    "x3d_xs_4x12",
    "x3d_s_13x6",
    "x3d_m_16x5",
    "x3d_l_16x5",
    "ptv_csn_r101_32x2",
    "ptv_r2plus1d_r50_16x4",
    "tv_r2plus1d_18",
    "tv_r3d_18",
    "tv_mc3_18",
    "tv_s3d",
    "tv_mvit_v1_b",
    "tv_mvit_v2_s",
    "tv_swin3d_t",
    "videomae_vit_b_16x4",
    "timesformer_b_8x32",
    "scenic_vit_b_32x2",
    "hiera_b_16x4",
    "vjepa2_vit_l_16x4_ssv2",
    "internvideo2_vit_b_8",
    "uniformer_s_16x4",
    "uniformerv2_b16_8",
    "ig65m_r2plus1d_r34_8",
    "vmz_ipcsn_r152_32x2",
    "tsm_r50_8x8",
)
OUTSIDE, INSIDE = PLACES = ("called by a program", "in an evaluation")
PLAIN = f"plain, {OUTSIDE}"
PUBLISHED = {  # whose own network a publisher's is timed beside
    "torchvision": "torchvision's own",
    "videomae": "transformers' own",
    "timesformer": "transformers' own",
    "scenic": "transformers' own",
    "vjepa2": "transformers' own",
    "hiera": "its authors' own",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Time every network and write the results."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--names", nargs="+", default=NAMES)
    options.add_argument("--turns", type=int, default=7)
    options.add_argument("--size", type=int, help="height and width of a view; default: as the network is tested")
    options.add_argument("--matrix", type=int, default=4096, help="height and width of the matrices")
    options.add_argument("--out", type=Path, default=RESULTS)
    chosen = options.parse_args(arguments)
    networks = {name: compare(name, chosen.size, chosen.matrix, chosen.turns) for name in chosen.names}
    measurement.publish(
        chosen.out,
        {
            **measurement.header("transformers"),
            "threads": torch.get_num_threads(),
            "turns": chosen.turns,
            "networks": networks,
        },
    )


def compare(name: str, size: int | None, matrix: int, turns: int) -> dict[str, object]:
    """Return the figures of one network."""
    seconds: dict[str, list[float]] = defaultdict(list)
    with ExitStack() as stack:
        processes = {where: stack.enter_context(_process(name, size, matrix, kept=where == INSIDE)) for where in PLACES}
        facts = processes[OUTSIDE].submit(_facts).result()
        for turn in range(-1, turns):  # the first one does not count
            for where in PLACES if turn % 2 else reversed(PLACES):
                for form, took in processes[where].submit(_turn, turn).result().items():
                    if turn >= 0:
                        seconds[f"{form}, {where}"].append(took)
    evaluated, called, written = (seconds[of] for of in (f"optimized, {INSIDE}", f"optimized, {OUTSIDE}", PLAIN))
    library = PUBLISHED.get(videohub.record(name).publisher or "")
    published = seconds.get(f"{library}, {OUTSIDE}")
    limit = measurement.rates(2 * matrix**3 / 1e9, seconds[f"product, {INSIDE}"])
    way = facts.pop("product by")
    return {
        **facts,
        "seconds": {of: measurement.summary(took) for of, took in seconds.items() if not of.startswith("product")},
        "times as fast as plain": {
            INSIDE: measurement.summary(measurement.ratios(written, evaluated)),
            OUTSIDE: measurement.summary(measurement.ratios(written, called)),
            f"both {INSIDE}": measurement.summary(measurement.ratios(seconds[f"plain, {INSIDE}"], evaluated)),
        },
        **({f"times as fast as {library}": _beside(published, called, evaluated)} if published else {}),
        f"GFLOP/s of a float32 product, {matrix} squared, by {way}": measurement.summary(limit),
        "GFLOP/s in an evaluation / product": measurement.summary(
            measurement.ratios(measurement.rates(facts["GFLOP"], evaluated), limit)
        ),
    }


def _beside(
    published: Sequence[float], called: Sequence[float], evaluated: Sequence[float]
) -> dict[str, dict[str, float]]:
    """Return how many times as fast ours is, in either place, as the publisher's own network called by a program."""
    return {
        INSIDE: measurement.summary(measurement.ratios(published, evaluated)),
        OUTSIDE: measurement.summary(measurement.ratios(published, called)),
    }


def _process(name: str, size: int | None, matrix: int, *, kept: bool) -> ProcessPoolExecutor:
    """Return a process of its own with the network: memory that was once kept would change what follows."""
    alone = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, alone, initializer=_prepare, initargs=(name, size, matrix, kept))


@dataclass(frozen=True, eq=False)
class Subject:
    """What a process times: a network, its inference form, what they are given, and the product of the limit."""

    plain: nn.Module
    optimized: nn.Module
    published: dict[str, nn.Module]  # the library's own network, where it has it and is installed
    clip: Tensor  # channels-last, as an evaluation gives it
    contiguous: Tensor  # as a plain network is given it
    product: MatrixProduct


_subject: Subject  # of this process
_kept = ExitStack()  # to its end


def _prepare(name: str, size: int | None, matrix: int, kept: bool) -> None:
    global _subject
    record = videohub.record(name)
    size = size or record.protocol.crop_size
    torch.manual_seed(0)
    clip = torch.randn(1, 3, record.clip.frames, size, size)
    plain = network(name, clip)
    laid_out = clip.contiguous(memory_format=torch.channels_last_3d)
    published = _published(record, size)
    _subject = Subject(plain, videohub.optimize(plain), published, laid_out, clip, MatrixProduct(matrix))
    if kept:
        _kept.enter_context(kept_memory(clip.device))


@torch.inference_mode()
def _turn(number: int) -> dict[str, float]:
    """Return what each form of the network takes for a view, and the product, in seconds."""
    of = _subject
    contenders = {
        "plain": lambda: of.plain(of.contiguous),
        "plain, channels-last": lambda: of.plain(of.clip),
        "optimized": lambda: of.optimized(of.clip),
        "product": of.product,
    }
    for library, published in of.published.items():
        contenders[library] = lambda published=published: published(of.contiguous)
    return measurement.a_turn(contenders, number)


@torch.inference_mode()
def _facts() -> dict[str, Any]:
    """Return what a view is, how much it is to compute, and how far the results of the two forms differ."""
    with FlopCounterMode(display=False) as counter:
        expected = _subject.plain(_subject.contiguous)
    result = _subject.optimized(_subject.clip)
    return {
        "view": list(_subject.clip.shape[1:]),
        "GFLOP": round(counter.get_total_flops() / 1e9, 1),
        "product by": _subject.product.way,
        "largest difference": {
            "probabilities": float((result.softmax(dim=1) - expected.softmax(dim=1)).abs().max()),
            "logits, relative to the largest": float((result - expected).abs().max() / expected.abs().max()),
        },
    }


def _published(record: Record, size: int) -> dict[str, nn.Module]:
    """Return a library's own network for a record, for views of this size and with random weights, by what it is."""
    if record.publisher == "torchvision":
        made = getattr(torchvision.models.video, record.name.removeprefix("tv_"))()
    elif record.publisher == "hiera":
        if not find_spec("hiera"):
            return {}
        made = of_hiera(record, size)
    elif record.publisher in PUBLISHED and find_spec("transformers"):
        made = OfTransformers(record, size)
    else:
        return {}
    return {PUBLISHED[record.publisher]: made.eval()}


class OfTransformers(nn.Module):
    """The network of transformers that is a record's, with random weights; it takes clips as ours do."""

    def __init__(self, record: Record, size: int) -> None:
        """Take the height and width of its clips; of the record its arguments, frames and classes."""
        super().__init__()
        import transformers

        model: Any = record.model
        text = {"num_labels": record.num_classes, "hidden_size": model.width, "num_hidden_layers": model.depth,
                "num_attention_heads": model.heads}  # fmt: skip
        kind, of_kind = {
            "videomae": ("VideoMAE", {"intermediate_size": 4 * model.width}),
            "timesformer": ("Timesformer", {"intermediate_size": 4 * model.width}),
            "scenic": ("Vivit", {"intermediate_size": 4 * model.width}),
            "vjepa2": ("VJEPA2", {"crop_size": size, "frames_per_clip": record.clip.frames}),
        }[str(record.publisher)]
        if kind != "VJEPA2":
            of_kind |= {"image_size": size, "num_frames": record.clip.frames}
        config = getattr(transformers, f"{kind}Config")(**text, **of_kind)
        self.network = getattr(transformers, f"{kind}ForVideoClassification")(config)

    def forward(self, clip: Tensor) -> Tensor:
        """Return logits for a clip (B, 3, T, H, W)."""
        return self.network(clip.transpose(1, 2)).logits


def of_hiera(record: Record, size: int) -> nn.Module:
    """Return the network of Hiera's authors that is a record's, for such clips and with random weights."""
    import hiera

    model: Any = record.model
    return hiera.Hiera(
        input_size=(record.clip.frames, size, size), num_classes=record.num_classes, embed_dim=model.width,
        num_heads=model.heads, stages=model.blocks, q_stride=(1, 2, 2), mask_unit_size=(1, 8, 8),
        patch_kernel=(3, 7, 7), patch_stride=(2, 4, 4), patch_padding=(1, 3, 3), sep_pos_embed=True,
    )  # fmt: skip


def network(name: str, clip: Tensor) -> nn.Module:
    """Return a network with random weights whose activations neither vanish nor grow, and whose classes differ."""
    model = videohub.build(name)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm3d)]
    for norm in norms:
        norm.momentum = 1.0  # the statistics of one clip are taken as they are
        nn.init.uniform_(norm.weight, 0.5, 1.0)
        nn.init.uniform_(norm.bias, -0.2, 0.2)
    nn.init.normal_(model.head.projection.weight, std=2 * model.head.projection.in_features**-0.5)
    with torch.no_grad():
        model.train()(clip)
    return model.eval().requires_grad_(False)  # so that a parameter given to a module, a probe's query, can be counted


if __name__ == "__main__":
    main()

"""Networks as they are written beside their inference form, in float32 on this CPU: `python benchmarks/forward.py`.

Each network gets a view of noise, in turns with its inference form and with a product of two matrices, which is about
the fastest that float32 goes here: as any program calls it, and as an evaluation does, where memory that is freed stays
with the process. Weights are random; batch norms know the statistics of such a clip, so that numbers stay as large as
in a trained network. Each network has a process of its own, for memory that was once kept changes what follows. The
results go to benchmarks/results/forward.json.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import measuring
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import videohub
from videohub.benchmark.kept_memory import kept_memory

RESULTS = measuring.RESULTS / "forward.json"
NAMES = (
    "c2d_nopool_r50_8x8",
    "i3d_r50_8x8",
    "i3d_nln_r50_8x8",
    "slow_r50_4x16",
    "slow_r50_8x8",
    "slowfast_r50_4x16",
    "slowfast_r50_8x8",
)
OUTSIDE, INSIDE = "called by a program", "in an evaluation"
PLAIN = f"plain, {OUTSIDE}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Time every network and write the results."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--names", nargs="+", default=NAMES)
    options.add_argument("--turns", type=int, default=7)
    options.add_argument("--size", type=int, help="height and width of a view; default: as the network is tested")
    options.add_argument("--matrix", type=int, default=4096, help="height and width of the matrices")
    options.add_argument("--out", type=Path, default=RESULTS)
    chosen = options.parse_args(arguments)
    of = partial(compare, side=chosen.size, turns=chosen.turns, matrix=chosen.matrix)
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as processes:
        networks = dict(zip(chosen.names, processes.imap(of, chosen.names), strict=True))
    measuring.publish(
        chosen.out,
        {**measuring.header(), "threads": torch.get_num_threads(), "turns": chosen.turns, "networks": networks},
    )


def compare(name: str, *, side: int | None, turns: int, matrix: int) -> dict[str, object]:
    """Return the figures of one network."""
    record = videohub.record(name)
    side = side or record.protocol.crop
    torch.manual_seed(0)
    clip = torch.randn(1, 3, record.clip.frames, side, side)
    clip = clip.contiguous(memory_format=torch.channels_last_3d)  # as an evaluation gives it
    plain = network(name, clip)
    return {"view": list(clip.shape[1:]), **timed(plain, videohub.optimize(plain), clip, turns, matrix)}


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
    return model.eval()


@torch.inference_mode()
def timed(plain: nn.Module, optimized: nn.Module, clip: Tensor, turns: int, side: int) -> dict[str, object]:
    """Return seconds a view, their ratios, the share of a matrix product's speed, and how far results differ."""
    with FlopCounterMode(display=False) as counter:
        expected = plain(clip)
    found = optimized(clip)
    matrix, product = torch.randn(side, side), torch.empty(side, side)
    contiguous = clip.contiguous()  # as a plain network is given a clip
    forms = {
        "plain": lambda: plain(contiguous),
        "plain, channels-last": lambda: plain(clip),
        "optimized": lambda: optimized(clip),
        "product": lambda: torch.mm(matrix, matrix, out=product),
    }
    outside = measuring.in_turns(forms, turns)
    with kept_memory(clip.device):
        inside = measuring.in_turns(forms, turns)
    seconds = {f"{form}, {OUTSIDE}": took for form, took in outside.items()}
    seconds |= {f"{form}, {INSIDE}": took for form, took in inside.items()}
    gflop = counter.get_total_flops() / 1e9
    evaluated, called, written = (seconds[of] for of in (f"optimized, {INSIDE}", f"optimized, {OUTSIDE}", PLAIN))
    limit = measuring.rates(2 * side**3 / 1e9, seconds[f"product, {INSIDE}"])
    return {
        "seconds": {of: measuring.summary(took) for of, took in seconds.items() if not of.startswith("product")},
        "times as fast as plain": {
            "in an evaluation": measuring.summary(measuring.ratios(written, evaluated)),
            "called by a program": measuring.summary(measuring.ratios(written, called)),
            "both in an evaluation": measuring.summary(measuring.ratios(seconds[f"plain, {INSIDE}"], evaluated)),
        },
        "GFLOP": round(gflop, 1),
        f"GFLOP/s of a float32 product, {side} squared": measuring.summary(limit),
        "GFLOP/s in an evaluation / product": measuring.summary(
            measuring.ratios(measuring.rates(gflop, evaluated), limit)
        ),
        "largest difference": {
            "probabilities": float((found.softmax(dim=1) - expected.softmax(dim=1)).abs().max()),
            "logits, relative to the largest": float((found - expected).abs().max() / expected.abs().max()),
        },
    }


if __name__ == "__main__":
    main()

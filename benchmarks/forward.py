"""Networks as they are written beside their inference form, in float32 on this CPU: `python benchmarks/forward.py`.

Each network gets one and two views of noise, in turns with its inference form and with a product of two matrices, which
is about the fastest that float32 goes here. Weights are random; batch norms know the statistics of such a clip, so that
numbers stay as large as in a trained network. The results go to benchmarks/results/forward.json.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import measuring
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import videohub

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
MOST_FRAMES = 64  # of all views of a batch; more are slower on a CPU, view by view
MATRIX = 4096


def main(arguments: Sequence[str] | None = None) -> None:
    """Time every network and write the results."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--names", nargs="+", default=NAMES)
    options.add_argument("--turns", type=int, default=9)
    options.add_argument("--size", type=int, help="height and width of a view; default: as the network is tested")
    options.add_argument("--out", type=Path, default=RESULTS)
    chosen = options.parse_args(arguments)
    networks = {name: compare(name, side=chosen.size, turns=chosen.turns) for name in chosen.names}
    measuring.publish(
        chosen.out,
        {**measuring.header(), "threads": torch.get_num_threads(), "turns": chosen.turns, "networks": networks},
    )


def compare(name: str, *, side: int | None, turns: int) -> dict[str, object]:
    """Return the figures of one network for each number of views."""
    record = videohub.record(name)
    side = side or record.protocol.crop
    torch.manual_seed(0)
    clips = torch.randn(2, 3, record.clip.frames, side, side)
    clips = clips.contiguous(memory_format=torch.channels_last_3d)  # as an evaluation gives them
    plain = network(name, clips)
    optimized = videohub.optimize(plain)
    found: dict[str, object] = {"view": list(clips.shape[1:])}
    for views in (1, 2):
        if views * record.clip.frames <= MOST_FRAMES:
            found[f"{views} views at once" if views > 1 else "1 view"] = timed(plain, optimized, clips[:views], turns)
    return found


def network(name: str, clips: Tensor) -> nn.Module:
    """Return a network with random weights whose activations neither vanish nor grow, and whose classes differ."""
    model = videohub.build(name)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm3d)]
    for norm in norms:
        norm.momentum = 1.0  # the statistics of one clip are taken as they are
        nn.init.uniform_(norm.weight, 0.5, 1.0)
        nn.init.uniform_(norm.bias, -0.2, 0.2)
    nn.init.normal_(model.head.projection.weight, std=2 * model.head.projection.in_features**-0.5)
    with torch.no_grad():
        model.train()(clips[:1])
    return model.eval()


@torch.inference_mode()
def timed(plain: nn.Module, optimized: nn.Module, clips: Tensor, turns: int) -> dict[str, object]:
    """Return seconds a view, their ratio, the share of a matrix product's speed, and how far results differ."""
    with FlopCounterMode(display=False) as counter:
        expected = plain(clips)
    found = optimized(clips)
    matrix = torch.randn(MATRIX, MATRIX)
    contiguous = clips.contiguous()  # as a plain network is given a clip
    forms = {
        "plain": lambda: plain(contiguous),
        "plain, channels-last": lambda: plain(clips),
        "optimized": lambda: optimized(clips),
    }
    seconds = measuring.in_turns({**forms, "product": lambda: matrix @ matrix}, turns)
    operations = counter.get_total_flops()
    speeds = {form: measuring.rates(operations / 1e9, seconds[form]) for form in forms}
    product = measuring.rates(2 * MATRIX**3 / 1e9, seconds["product"])
    return {
        "seconds a view": {form: measuring.summary([each / len(clips) for each in seconds[form]]) for form in forms},
        "times as fast as plain": measuring.summary(measuring.ratios(seconds["plain"], seconds["optimized"])),
        "GFLOP a view": round(operations / len(clips) / 1e9, 1),
        "GFLOP/s": {form: measuring.summary(each) for form, each in speeds.items()},
        f"GFLOP/s of a float32 product, {MATRIX} squared": measuring.summary(product),
        "optimized / product": measuring.summary(measuring.ratios(speeds["optimized"], product)),
        "largest difference": {
            "probabilities": float((found.softmax(dim=1) - expected.softmax(dim=1)).abs().max()),
            "logits, relative to the largest": float((found - expected).abs().max() / expected.abs().max()),
        },
    }


if __name__ == "__main__":
    main()

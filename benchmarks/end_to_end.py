"""Videos to scores on a CPU, beside the original's way and the processor's limit: `python benchmarks/end_to_end.py`.

SlowFast 4x16 R50 with random weights in float32, 4 clips x 3 crops of generated videos. Ours is `evaluate` with a
worker process and the network's inference form, as verify runs it; theirs decodes every view anew in a loader's
process and runs the network as it is written. Each turn has both and, as the limit, a float32 matrix product on all
cores; ratios are the turns' own. The results go to benchmarks/results/end_to_end.json. --small runs all of it on tiny
videos and the demo's network, for tests.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import measurement
import numpy as np
import original_way
import synthetic_videos
import torch
from gpu_forward import network
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import videohub
from videohub import registry
from videohub.data.samples import Sample, VideoFile
from videohub.data.spec import TestSpec
from videohub.evaluation.scoring import EvalModel, evaluate
from videohub.timing import MatrixProduct

RESULTS = measurement.RESULTS / "end_to_end.json"
PRODUCTS = 5  # in a turn
KNOWN = 0.50  # views a second of the original itself, on 2 cores with AVX2
_SAME = 1e-5  # of a probability


def main() -> None:
    """Run everything and write the results."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--videos", type=int, default=3, help="that ours scores in a turn")
    options.add_argument("--their-videos", type=int, default=1, help="that theirs scores in a turn")
    options.add_argument("--turns", type=int, default=5)
    options.add_argument("--workers", type=int, default=1, help="worker processes, ours and theirs")
    options.add_argument("--small", action="store_true")
    options.add_argument("--out", type=Path, default=RESULTS)
    arguments = options.parse_args()
    record = registry.record("slowfast_motions" if arguments.small else "slowfast_r50_4x16")
    protocol = record.protocol.with_views(clips=4, crops=3)
    kind = synthetic_videos.SMALL if arguments.small else synthetic_videos.KINETICS
    model = network(record.name)
    with tempfile.TemporaryDirectory() as folder:
        paths = synthetic_videos.make_videos(Path(folder), arguments.videos, kind, threads=measurement.cores())
        result = side_by_side(
            model,
            TestSpec(protocol, record.clip),
            paths,
            paths[: arguments.their_videos],
            turns=arguments.turns,
            workers=arguments.workers,
            product=MatrixProduct(128 if arguments.small else 2048),
        )
    threads = {"threads": torch.get_num_threads(), "decoder processes": arguments.workers}
    measurement.publish(arguments.out, {**measurement.header("av"), "model": record.name, **threads, **result})


def side_by_side(
    model: nn.Module,
    spec: TestSpec,
    ours: Sequence[Path],
    theirs: Sequence[Path],
    *,
    turns: int,
    workers: int,
    product: MatrixProduct,
) -> dict[str, object]:
    """Score videos both ways and multiply matrices, in turns; return views a second, ratios and the share of the limit.

    Raises: SystemExit if the two ways do not give the same probabilities.
    """
    form = videohub.optimize(model)
    protocol, clip = spec.protocol, spec.clip
    views = protocol.num_views
    batch = _faster_batch(model, spec)
    kept: dict[str, np.ndarray] = {}

    def our_way() -> None:
        kept["ours"] = score(form, spec, ours, workers=workers)

    def their_way() -> None:
        result = original_way.scores(model, list(theirs), protocol, clip, workers=workers, batch=batch)
        kept["theirs"] = result.numpy()

    seconds = measurement.in_turns(
        {"ours": our_way, "theirs": their_way, "products": partial(product, PRODUCTS)}, turns
    )
    difference = float(np.abs(kept["ours"][: len(theirs)] - kept["theirs"]).max())
    if difference > _SAME:
        raise SystemExit(f"the two ways give probabilities that differ by {difference:.2g}: no comparison")
    our_rates = measurement.rates(len(ours) * views, seconds["ours"])
    their_rates = measurement.rates(len(theirs) * views, seconds["theirs"])
    gflops = measurement.rates(2 * PRODUCTS * product.multiply_adds / 1e9, seconds["products"])
    of_a_view = flop(spec, model) / 1e9
    limits = [rate / of_a_view for rate in gflops]
    return {
        "turns": turns,
        "views a video": views,
        "views a second": {"ours": measurement.summary(our_rates), "theirs": measurement.summary(their_rates)},
        "their batch": batch,
        "largest difference of a probability": difference,
        "ours / theirs": {"ratio": measurement.summary(measurement.ratios(our_rates, their_rates)), "goal": ">= 2.4"},
        "ours / the original itself": {
            "ratio": measurement.summary([rate / KNOWN for rate in our_rates]),
            "theirs": f"{KNOWN} views a second, known from two cores of another machine",
        },
        "GFLOP a view": float(f"{of_a_view:.4g}"),
        "float32 product, GFLOP/s": measurement.summary(gflops),
        "float32 product by": product.way,
        "limit, views a second": measurement.summary(limits),
        "share of the limit": {"ours": measurement.summary(measurement.ratios(our_rates, limits)), "goal": ">= 0.65"},
    }


def score(model: nn.Module, spec: TestSpec, paths: Sequence[Path], *, workers: int) -> np.ndarray:
    """Return the probabilities of every view of every video, (videos, views, classes), as verify has them."""
    samples = [Sample(path.name, VideoFile(path), truth=()) for path in paths]
    scored = evaluate([EvalModel(model, spec)], enumerate(samples), workers=workers)
    return np.stack([each.scores for each in scored])


def flop(spec: TestSpec, model: nn.Module) -> int:
    """Return the floating-point operations of one view, two for a multiplication and the addition to it."""
    side = spec.protocol.crop_size
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, spec.clip.frames, side, side))
    return counter.get_total_flops()


def _faster_batch(model: nn.Module, spec: TestSpec) -> int:
    """Return how many views the plain network had best be given at once, 1 or 4: theirs shall have its better one."""
    side = spec.protocol.crop_size
    clips = torch.zeros(4, 3, spec.clip.frames, side, side)

    def run(batch: int) -> None:
        with torch.inference_mode():
            for part in clips.split(batch):
                model(part)

    seconds = measurement.in_turns({"1": lambda: run(1), "4": lambda: run(4)}, turns=1)
    return 1 if math.fsum(seconds["1"]) <= math.fsum(seconds["4"]) else 4


if __name__ == "__main__":
    main()

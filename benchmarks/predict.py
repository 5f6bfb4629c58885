"""How long `videohub predict` takes to answer, its start included: `python benchmarks/predict.py`.

SlowFast 8x8 with random weights, kept in our format, looks at a generated clip of 10 seconds. Every command runs as a
process of its own, in turns; medians of wall time. `--all-views` adds the 30 views of the record's test, one turn of
minutes. The results go to benchmarks/results/predict.json.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import measurement
import synthetic_videos
from start_up import console_command

NAME = "slowfast_r50_8x8"
RESULTS = measurement.RESULTS / "predict.json"
IMPORTS = "import torch, av"


def main() -> None:
    """Run everything and write the results."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--turns", type=int, default=7)
    options.add_argument("--all-views", action="store_true", help="also time all views of the test, once")
    options.add_argument("--small", action="store_true", help="the demo's network and a small video, for tests")
    options.add_argument("--out", type=Path, default=RESULTS)
    arguments = options.parse_args()
    kind = synthetic_videos.SMALL if arguments.small else synthetic_videos.KINETICS
    name = "slowfast_motions" if arguments.small else NAME
    with tempfile.TemporaryDirectory(prefix="videohub-") as folder:
        results = answers(Path(folder), name, kind, arguments.turns, all_views=arguments.all_views)
    measurement.publish(arguments.out, {**measurement.header("av"), **results})


def answers(folder: Path, name: str, kind: synthetic_videos.Kind, turns: int, *, all_views: bool) -> dict[str, object]:
    """Ask for the classes of a clip once a turn; return seconds."""
    weights, (video,) = random_weights(folder, name), synthetic_videos.make_videos(folder, 1, kind)
    console, how = console_command()
    environment = {**os.environ, "VIDEOHUB_HOME": str(folder / "home")}
    run = partial(subprocess.run, check=True, stdout=subprocess.DEVNULL, env=environment)
    predict = [*console, "predict", str(video), "--model", name, "--checkpoint", str(weights)]
    commands = {"videohub predict": predict, IMPORTS: [sys.executable, "-c", IMPORTS]}
    seconds = measurement.in_turns({each: partial(run, command) for each, command in commands.items()}, turns)
    results: dict[str, object] = {
        "network": name,
        "video": f"{kind.seconds:g} s of {kind.width} x {kind.height}",
        "turns": turns,
        "console command": how,
        "seconds": {each: measurement.summary(took) for each, took in seconds.items()},
        "goal": "<= 5 s",
    }
    if all_views:
        start = time.perf_counter()
        run([*predict, "--views", "protocol"])
        results["all views, seconds"] = float(f"{time.perf_counter() - start:.3g}")
    return results


def random_weights(folder: Path, name: str) -> Path:
    """Write random weights of a record's network in our format."""
    import torch

    import videohub
    from videohub.weights import convert_file

    torch.manual_seed(0)
    torch.save(videohub.build(name).state_dict(), folder / "random.pth")
    convert_file(folder / "random.pth", name, folder / "random.safetensors")
    return folder / "random.safetensors"


if __name__ == "__main__":
    main()

"""The verb features: what a network's classifier would be given, along videos, into files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import click

from videohub.formatting import counted
from videohub.terminal import options
from videohub.terminal.layout import say, tell

if TYPE_CHECKING:
    from videohub.feature_extraction import Sampling
    from videohub.feature_extraction.folder import Outcome

_Layout: TypeAlias = Literal["actionformer", "opentad"]
_MISSING = "missing_files.txt"


@click.command("features")
@click.argument("videos", nargs=-1, required=True, metavar="VIDEO|FOLDER|LIST...")
@options.with_model
@click.option("--stride", required=True, type=options.COUNT, help="Frames from one window to the next.")
@click.option("--frames", type=options.COUNT, help="Frames of a window.  [default: the record's]")
@click.option("--sampling-rate", type=options.COUNT, help="From one of them to the next.  [default: the record's]")
@click.option(
    "--fps",
    type=options.POSITIVE,
    help="Rate that all these count, in frames a second.  [default: the protocol's, or each video's own]",
)
@click.option(
    "--crop",
    default="center",
    show_default=True,
    type=click.Choice(("center", "whole", "three")),
    help="What of a frame; three are averaged.",
)
@click.option(
    "--tail",
    default="pad",
    show_default=True,
    type=click.Choice(("pad", "drop")),
    help="Windows that go beyond the end: the last frame repeated, or none.",
)
@click.option("-o", "--out", required=True, type=options.PATH, help="Folder for the files.")
@click.option("--fp16", is_flag=True, help="Keep float16 in place of float32.")
@click.option(
    "--layout", type=click.Choice(("actionformer", "opentad")), help="Also tell the lines of its configuration."
)
@options.with_checkpoint
@options.with_device
@click.option("--precision", default="fp32", show_default=True, type=click.Choice(("fp32", "tf32", "bf16", "fp16")))
@options.RUN_OPTIONS["batch"]
@click.option(
    "--threads",
    type=click.IntRange(min=0),
    help="Videos that are decoded at once, ahead of the network.  [default: what the device can use]",
)
@click.option("--shard", metavar="I/N", help="Take only this part of the videos; torchrun says it by itself.")
@options.with_json
def command(
    videos: tuple[str, ...],
    model: str,
    out: Path,
    fp16: bool,
    layout: _Layout | None,
    device: str,
    precision: str,
    shard: str | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Write features along videos, a row for each window.

    They go into NAME.npy (windows, D), their times into NAME.json. A list has a path or URL on each line. Several
    videos share a batch. The same command goes on where an interrupted one ended; broken videos are told, the others go
    on, and the exit code is 1.

    \b
    For example, a feature each 16 frames at 30 a second:
      videohub features clips/ --model slowfast_r50_8x8 --stride 16 -o features
    """
    from tqdm import tqdm

    from videohub.data.inputs import named_videos
    from videohub.evaluation import distributed
    from videohub.feature_extraction import Network
    from videohub.feature_extraction.folder import FeatureFolder, extract, ids_of, setting_of
    from videohub.files import atomic_write

    part = distributed.shard_here(shard)
    network = Network(model, device=distributed.local_device(device), precision=precision, **chosen)
    named = ids_of(named_videos(videos, network.protocol))
    folder = FeatureFolder.opened(out, setting_of(network, precision, "float16" if fp16 else "float32"))
    mine = {name: video for number, (name, video) in enumerate(named.items()) if part.has(number)}
    failed = False
    with tqdm(desc=network.record.name, unit="window", leave=False, disable=None) as bar:
        for outcome in extract(mine, network, folder, tell=bar.update):
            failed |= outcome.status == "failed"
            bar.clear()
            print_outcome(outcome, as_json)
    distributed.barrier()
    if layout is not None and distributed.is_rank_zero():
        if layout == "opentad":  # ActionFormer passes over what is missing by itself
            missing = [name for name, video in named.items() if folder.kept(name, video) is None]
            with atomic_write(out / _MISSING) as temp:
                temp.write_text("".join(f"{name}\n" for name in missing), encoding="utf-8", errors="surrogateescape")
        say(*_config(layout, out, network.sampling, network.num_features).splitlines(), err=as_json)
    sys.exit(1 if failed else 0)


def print_outcome(outcome: Outcome, as_json: bool) -> None:
    """Print what became of a video: a line to stdout, or why there is nothing to stderr."""
    if as_json:
        options.print_json(outcome, indent=None)
    elif outcome.error is not None:
        tell(outcome.error)
    else:
        there = " (was there)" if outcome.status == "kept" else ""
        say(f"{outcome.file}  {counted(outcome.windows or 0, 'window')}{there}")


def _config(layout: _Layout, folder: Path, sampling: Sampling, num_features: int) -> str:
    """Return how code for temporal action localisation is told of features of `num_features` values in a folder.

    Both read `ID.npy` of (T, D), and place feature k around frame k * stride + span / 2 at the stated rate, which is
    the middle of window k. What they read was taken from their code; neither has been run.

    Source: of ActionFormer libs/datasets/thumos14.py, which divides `seconds * fps - 0.5 * num_frames` by
    `feat_stride`; of OpenTAD opentad/datasets/anet.py: `(seconds * fps - offset_frames) / (feature_stride *
    sample_stride)`. Its THUMOS data set takes the rate from the annotations, frames by seconds, and no `fps`.
    """
    if layout == "actionformer":
        return f"""\
dataset: {{
  feat_folder: {json.dumps(str(folder))},
  file_prefix: ~,
  file_ext: .npy,
  input_dim: {num_features},
  feat_stride: {sampling.stride},
  num_frames: {sampling.span},
  default_fps: {"~" if sampling.fps is None else f"{sampling.fps:g}"},
}}
"""
    return f"""\
data_path = {json.dumps(f"{folder}/")}
block_list = data_path + "{_MISSING}"
feature_stride = {sampling.stride}
sample_stride = 1
offset_frames = {sampling.span // 2}
fps = {-1 if sampling.fps is None else f"{sampling.fps:g}"}
load = dict(type="LoadFeats", feat_format="npy")
rearrange = dict(type="Rearrange", keys=["feats"], ops="t c -> c t")
in_channels = {num_features}
"""

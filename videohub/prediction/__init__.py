"""What a model sees in videos, in words: the classes that it finds most probable."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Literal, SupportsIndex, TypeAlias, cast, get_args

import torch
from torch import nn
from tqdm import tqdm

from videohub import metrics
from videohub.data.inputs import VideoInput, input_name, is_single, named_videos, video_source
from videohub.data.labels import names_of
from videohub.data.video_info import tell_contradictions, tell_single_picture
from videohub.data.views import Views, read_content_views
from videohub.devices import AUTO, supported
from videohub.errors import UsageError, VideohubError
from videohub.evaluation.batches import Batches, Scores, at_once, check_finite, prepares_on
from videohub.evaluation.kept_memory import kept_memory
from videohub.evaluation.precision_choice import agreed_precision
from videohub.loading import ChosenModel, NameOrModel, chosen_model
from videohub.log import warn_once
from videohub.registry.labels import Given, with_classes
from videohub.registry.schema import Record
from videohub.runs import join_views

__all__ = ["Predicted", "Prediction", "WhichViews", "predict", "predict_many"]

WhichViews: TypeAlias = Literal["one", "protocol"]


@dataclass(frozen=True)
class Prediction:
    """A class and how probable the model finds it, from 0 to 1."""

    label: str
    probability: float
    index: int


@dataclass(frozen=True)
class Predicted:
    """What a model sees in one of several videos, best first; or why it sees nothing."""

    name: str  # as `videohub.data.inputs.input_name` calls the video
    predictions: list[Prediction]
    error: VideohubError | None = None


def predict(
    video: VideoInput,
    name_or_model: NameOrModel,
    *,
    topk: int = 5,
    views: WhichViews = "one",
    checkpoint: str | Path | None = None,
    labels: Given | None = None,
    device: str | torch.device = "cpu",
    precision: str = "auto",
    fps: float | None = None,
) -> list[Prediction]:
    """Return the most probable classes of a video, best first.

    What counts is the content of the video: where its header contradicts that, one line says in what, and pictures that
    are stored turned or mirrored are seen upright. (`verify` reads such videos as the original does.)

    Args:
        video: The path or URL of a video file (or of an image, for an image record), its bytes, a file opened for
            reading bytes, or frames: uint8 levels of RGB as an array or a tensor (T, H, W, 3) or (T, 3, H, W), or a
            list of PIL images. Several videos are what `predict_many` takes.
        name_or_model: A record, its id or upstream name, or a model from `videohub.load` or `videohub.build`, also in
            a wrapper that has it as `module`, as DataParallel and AveragedModel do; or an ONNX file of `export`.
        topk: How many classes to return.
        views: "one": the clip in the middle of the video, as long as the record's test has it, under the centre crop;
            nothing is decoded behind it. "protocol": all views of the record's test, which take as many times as long.
        checkpoint: A file of one's own instead of the record's URL; see `load`. Not beside a model.
        labels: What the outputs are called; None: as the model's record says, or `class 0` and so on.
        device: Where to run a model that is loaded here.
        precision: "fp32", "tf32", "bf16", "fp16", or "auto": fp32 on a CPU, on a GPU fp16 if it agrees with fp32 on the
            first video. Another one that does not agree is refused.
        fps: Frames a second of frames in memory; None: the rate that the record's sampling refers to, or 30.
    Raises: UsageError, VideoError, DeviceError, DownloadError, and what `load` raises.
    """
    (only,) = predict_many([video], name_or_model, topk=topk, views=views, checkpoint=checkpoint, labels=labels,
                           device=device, precision=precision, fps=fps)  # fmt: skip
    if only.error is not None:
        raise only.error
    return only.predictions


def predict_many(
    videos: str | os.PathLike[str] | Iterable[VideoInput],
    name_or_model: NameOrModel,
    *,
    topk: int = 5,
    views: WhichViews = "one",
    checkpoint: str | Path | None = None,
    labels: Given | None = None,
    device: str | torch.device = "cpu",
    precision: str = "auto",
    fps: float | None = None,
) -> Iterator[Predicted]:
    """Yield the most probable classes of each of several videos, in their order; a broken one costs no other.

    Videos share batches, so one may wait for a few that come after it. The model is loaded once, when the first video
    has been decoded.

    Args:
        videos: The folder of videos, or a list of them with a path or URL on each line (see `named_videos`); or
            whatever gives videos one after another, each as `predict` takes it.
        name_or_model, topk, views, checkpoint, labels, device, precision, fps: As for `predict`.
    Raises: when it is called, UsageError for what cannot be for any video; while it goes on, what `load` raises.
    """
    is_name = isinstance(videos, str | os.PathLike)
    if not is_name and (is_single(videos) or not isinstance(videos, Iterable)):
        raise UsageError(
            f"predict_many: found one video ({input_name(cast(VideoInput, videos))}), expected several; "
            "predict takes one"
        )
    chosen = chosen_classifier(
        name_or_model, topk, views, precision, checkpoint=checkpoint, labels=labels, device=device
    )
    if isinstance(videos, str | os.PathLike):
        videos = named_videos([videos], chosen.record.protocol)
    return _predicted(videos, chosen, topk, views, precision, fps)


def chosen_classifier(
    name_or_model: NameOrModel,
    topk: int,
    views: str,
    precision: str,
    *,
    checkpoint: str | Path | None,
    labels: Given | None,
    device: str | torch.device,
) -> ChosenModel:
    """Look at what is asked of which model, before any frame and any download; arguments are those of `predict`.

    Raises: UsageError for what no model, or not this one, can be asked; DeviceError; what `chosen_model` raises.
    """
    if not isinstance(topk, SupportsIndex) or operator.index(topk) < 1:
        raise UsageError(f"topk: found {topk!r}, expected a whole number, at least 1")
    if views not in (known := get_args(WhichViews)):
        raise UsageError(f"views: found {views!r}, expected {' or '.join(known)}")
    chosen = chosen_model(name_or_model, verb="predict", checkpoint=checkpoint, labels=labels, device=device)
    record = chosen.record
    if metrics.of(record.protocol.metric).by_box:
        raise UsageError(
            f"{record.name}: this network names what people in given boxes do; predict needs a classifier.\n"
            "  `videohub detect` takes it, or call the loaded model with (clip, boxes)."
        )
    names_of(record)
    if precision != AUTO:
        supported(precision, chosen.device)
    return chosen


def ready_classifier(chosen: ChosenModel) -> tuple[nn.Module, Record]:
    """Load a model, and say once where its classes go by their numbers, for nothing names them.

    Where loading took their names away, for a file has other classes, it said so itself.
    """
    model, record = chosen.ready()
    if record.labels is None and chosen.record.labels is None:
        warn_once("%s: its %d classes have no names here: output k is called class k; --labels FILE or labels= names "
                  "them", record.name, record.num_classes)  # fmt: skip
    return model, record


def best_of(views: Scores, record: Record, topk: int) -> list[Prediction]:
    """Return the most probable classes by the views' scores (V, classes), best first, called as the record says."""
    rule = record.protocol.scores
    scores = torch.from_numpy(join_views(views, rule)) / (len(views) if rule.join == "sum" else 1)
    names = names_of(with_classes(record, len(scores)))
    best = scores.topk(min(topk, len(scores)))
    return [
        Prediction(names[index], float(probability), index)
        for probability, index in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]


def _predicted(
    videos: Iterable[VideoInput],
    chosen: ChosenModel,
    topk: int,
    which: WhichViews,
    precision: str,
    fps: float | None,
) -> Iterator[Predicted]:
    """Yield what is seen in each video; the model is loaded when there is something to see."""
    viewed = (_viewed(video, chosen, which, fps) for video in videos)
    for entry, views in viewed:
        if views is not None:
            break
        yield entry
    else:
        return
    model, record = ready_classifier(chosen)
    protocol, each, first = record.protocol, len(views), views
    total = each * len(videos) if isinstance(videos, Sized) else None
    size = at_once(views.shape[1:], chosen.device)
    size = size if total is None else min(size, total)
    numeric = agreed_precision(precision, model, protocol, lambda: [first]).name
    with kept_memory(chosen.device), tqdm(total=total, desc=record.name, unit="view", leave=False, disable=None) as bar:
        batches = Batches(model, protocol, numeric, size=size, progress=bar.update)
        for done, scores in batches.scored(chain([(entry, first)], viewed)):
            if scores is None:
                yield done
                continue
            check_finite(scores, done.name, numeric)
            yield replace(done, predictions=best_of(scores, record, topk))


def _viewed(
    video: VideoInput, chosen: ChosenModel, which: WhichViews, fps: float | None
) -> tuple[Predicted, Views | None]:
    """Return a video's entry, without predictions yet, and its views; none, and why, if there are none to be had."""
    record, name = chosen.record, input_name(video)
    protocol, number = record.protocol.middle_view() if which == "one" else (record.protocol, None)
    try:
        with video_source(video, protocol, fps=fps) as source:
            views = read_content_views(
                source.file, protocol, record.clip, number=number, device=prepares_on(chosen.device)
            )
    except VideohubError as error:
        return Predicted(name, [], error), None
    tell_contradictions(name, views.contradictions)
    if len(views.frames) == 1 < views.shape[2]:
        tell_single_picture(name, views.shape[2])
    return Predicted(name, []), views

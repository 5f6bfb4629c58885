"""videohub: published video-recognition checkpoints, found by name, read safely, proved and re-measured."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from videohub.version import __version__ as __version__

if TYPE_CHECKING:
    from videohub.building import build
    from videohub.data.clip_dataset import ClipDataset
    from videohub.data.transforms import to_pixels, transforms
    from videohub.detection import Detection, detect
    from videohub.evaluation.kept_memory import kept_memory
    from videohub.evaluation.scoring import views
    from videohub.exports import Exported, export
    from videohub.feature_extraction import Features, features
    from videohub.known_answers import Checked, check
    from videohub.loading import inflate, load, save
    from videohub.models import VideoModel
    from videohub.models.inference_form import optimize
    from videohub.prediction import Predicted, Prediction, predict, predict_many
    from videohub.prediction.timeline import PredictedWindow, predict_windows
    from videohub.registry import list_models, record
    from videohub.reporting.report import Evaluated, Report
    from videohub.timing import Speed, speed
    from videohub.verification import evaluate, verify, verify_together
    from videohub.verification.results import VideoScores, video_scores
    from videohub.weights import fetch

__all__ = [
    "Checked", "ClipDataset", "Detection", "Evaluated", "Exported", "Features", "Predicted", "PredictedWindow",
    "Prediction", "Report", "Speed", "VideoModel", "VideoScores", "build", "check", "detect", "evaluate", "export",
    "features", "fetch", "inflate", "kept_memory", "list_models", "load", "optimize", "predict", "predict_many",
    "predict_windows", "record", "save", "speed", "to_pixels", "transforms", "verify", "verify_together",
    "video_scores", "views",
]  # fmt: skip

_NAMES = {  # by the modules that have them, as above
    "videohub.building": ("build",),
    "videohub.data.clip_dataset": ("ClipDataset",),
    "videohub.data.transforms": ("to_pixels", "transforms"),
    "videohub.detection": ("Detection", "detect"),
    "videohub.evaluation.kept_memory": ("kept_memory",),
    "videohub.evaluation.scoring": ("views",),
    "videohub.exports": ("Exported", "export"),
    "videohub.feature_extraction": ("Features", "features"),
    "videohub.known_answers": ("Checked", "check"),
    "videohub.loading": ("inflate", "load", "save"),
    "videohub.models": ("VideoModel",),
    "videohub.models.inference_form": ("optimize",),
    "videohub.prediction": ("Predicted", "Prediction", "predict", "predict_many"),
    "videohub.prediction.timeline": ("PredictedWindow", "predict_windows"),
    "videohub.registry": ("list_models", "record"),
    "videohub.reporting.report": ("Evaluated", "Report"),
    "videohub.timing": ("Speed", "speed"),
    "videohub.verification": ("evaluate", "verify", "verify_together"),
    "videohub.verification.results": ("VideoScores", "video_scores"),
    "videohub.weights": ("fetch",),
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}
_MODULES = ("convert", "errors", "metrics", "models", "registry")


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import videohub` costs nothing."""
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"videohub.{name}")
    raise AttributeError(f"module 'videohub' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES, "__version__"])

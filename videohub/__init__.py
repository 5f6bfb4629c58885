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
    from videohub.verification.video_scores import VideoScores, video_scores
    from videohub.weights import fetch

__all__ = [
    "Checked",
    "ClipDataset",
    "Detection",
    "Evaluated",
    "Exported",
    "Features",
    "Predicted",
    "PredictedWindow",
    "Prediction",
    "Report",
    "Speed",
    "VideoModel",
    "VideoScores",
    "build",
    "check",
    "detect",
    "evaluate",
    "export",
    "features",
    "fetch",
    "inflate",
    "kept_memory",
    "list_models",
    "load",
    "optimize",
    "predict",
    "predict_many",
    "predict_windows",
    "record",
    "save",
    "speed",
    "to_pixels",
    "transforms",
    "verify",
    "verify_together",
    "video_scores",
    "views",
]

_HOME = {
    "Checked": "videohub.known_answers",
    "ClipDataset": "videohub.data.clip_dataset",
    "Detection": "videohub.detection",
    "Evaluated": "videohub.reporting.report",
    "Exported": "videohub.exports",
    "Features": "videohub.feature_extraction",
    "Predicted": "videohub.prediction",
    "PredictedWindow": "videohub.prediction.timeline",
    "Prediction": "videohub.prediction",
    "Report": "videohub.reporting.report",
    "Speed": "videohub.timing",
    "VideoModel": "videohub.models",
    "VideoScores": "videohub.verification.video_scores",
    "build": "videohub.building",
    "check": "videohub.known_answers",
    "detect": "videohub.detection",
    "evaluate": "videohub.verification",
    "export": "videohub.exports",
    "features": "videohub.feature_extraction",
    "fetch": "videohub.weights",
    "inflate": "videohub.loading",
    "kept_memory": "videohub.evaluation.kept_memory",
    "list_models": "videohub.registry",
    "load": "videohub.loading",
    "optimize": "videohub.models.inference_form",
    "predict": "videohub.prediction",
    "predict_many": "videohub.prediction",
    "predict_windows": "videohub.prediction.timeline",
    "record": "videohub.registry",
    "save": "videohub.loading",
    "speed": "videohub.timing",
    "to_pixels": "videohub.data.transforms",
    "transforms": "videohub.data.transforms",
    "verify": "videohub.verification",
    "verify_together": "videohub.verification",
    "video_scores": "videohub.verification.video_scores",
    "views": "videohub.evaluation.scoring",
}
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

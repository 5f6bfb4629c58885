"""Records of detectors as mmaction2 tests them, made from one of ours, and the pickles that go with them."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from videohub import registry
from videohub.protocols import Detection
from videohub.registry.schema import Record

AVA = Detection(
    version="2.2",
    moments="annotated",
    boxes="ava_dense_proposals_val.FAIR.recall_93.9.pkl",
    score_threshold=0.9,
    label_map="ava_action_list_v2.2_for_activitynet_2019.pbtxt",
    exclusions="ava_val_excluded_timestamps_v2.2.csv",
    ground_truth="ava_val_v2.2.csv",
)
MULTISPORTS = Detection(
    version="1.0",
    moments="annotated",
    boxes="multisports_dense_proposals_val.recall_96.13.pkl",
    score_threshold=0.9,
    label_map=None,
    exclusions=None,
    ground_truth="multisports_GT.pkl",
)


def detector(dataset: str, detection: Detection, *, shift: int, metric: str, classes: int = 80) -> Record:
    """A record of a detector that is tested on this data set."""
    ours = registry.record("slow_r50_4x16_ava22")
    rule = msgspec.structs.replace(ours.protocol.frames, shift=shift, boxes="as_given")
    protocol = msgspec.structs.replace(
        ours.protocol, name="theirs", dataset=dataset, frames=rule, metric=metric, detection=detection
    )
    model = msgspec.structs.replace(ours.model, num_classes=classes)
    info, labels = registry.default().datasets[dataset], ours.labels if classes == 80 else None
    return msgspec.structs.replace(ours, protocol=protocol, dataset=info, model=model, labels=labels, published=())


def pickled(boxes: Mapping[str, Any], *, protocol: int = 4) -> bytes:
    """Boxes as mmaction2 and the data sets' publishers give them out."""
    return pickle.dumps({name: np.array(rows, np.float64) for name, rows in boxes.items()}, protocol)


def ground_truth(tubes: Mapping[str, Mapping[int, Any]], labels: list[str], **others: Any) -> bytes:
    """Write `multisports_GT.pkl` as its publisher does: tubes of frame, x1, y1, x2, y2 in pixels."""
    arrays = {video: {label: [np.array(tube, np.float32) for tube in of_label] for label, of_label in of.items()}
              for video, of in tubes.items()}  # fmt: skip
    content = {
        "labels": labels,
        "gttubes": arrays,
        "nframes": dict.fromkeys(tubes, 100),
        "train_videos": [[]],
        "test_videos": [list(tubes)],
        "resolution": dict.fromkeys(tubes, (720, 1280)),
    }
    return pickle.dumps({**content, **others})

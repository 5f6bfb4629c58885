"""Small generated results: videos with several classes, and boxes with actions."""

from __future__ import annotations

import numpy as np

from videohub.metrics.ava_files import Boxes

NAMES = {1: "stand", 5: "sit", 12: "talk", 80: "watch"}


def multilabel(seed, videos=30, classes=6, *, digits=8):
    """Scores and labels; right classes score higher, and few digits make equal scores."""
    random = np.random.default_rng(seed)
    labels = random.random((videos, classes)) < 0.3
    return (random.normal(size=(videos, classes)) + 1.2 * labels).round(digits), labels


def ava(seed, *, moments=24, videos=5, people=3, digits=8):
    """Ground truth and detections, with crowded moments, unknown labels, boxes without extent and empty moments."""
    random = np.random.default_rng(seed)
    labels = [*NAMES, 99]
    truth, result = [], []
    for _ in range(moments):
        key = f"video{random.integers(videos)},{random.integers(902, 906):04d}"
        for _ in range(random.integers(0, people + 1)):
            corner, size = random.random(2) * 0.6, 0.1 + 0.3 * random.random(2)
            box = np.concatenate([corner, corner + size])
            for label in random.choice(labels, random.integers(0, 3), replace=False):
                truth.append((key, box, label))
            for _ in range(random.integers(0, 4)):
                near = box + random.normal(0, 0.03, 4)
                if random.random() < 0.1:
                    near[2] = near[0]
                for label in random.choice(labels, random.integers(0, 4), replace=False):
                    result.append((key, near, label, round(random.random(), digits)))
    keys, boxes, ids = zip(*truth, strict=True)
    found_keys, found_boxes, found_ids, scores = zip(*result, strict=True)
    return (
        Boxes(keys, np.array(boxes), np.array(ids)),
        Boxes(found_keys, np.array(found_boxes), np.array(found_ids), np.array(scores)),
    )


def as_rows(boxes):
    """The rows of `prose.ava`."""
    scores = [None] * len(boxes.labels) if boxes.scores is None else list(boxes.scores)
    return [
        (key, tuple(box), int(label), score)
        for key, box, label, score in zip(boxes.keys, boxes.boxes.tolist(), boxes.labels, scores, strict=True)
    ]


def repeated(boxes, counts):
    """Each video as often as it counts, every copy under a name of its own."""
    kept = [
        (row, f"{video}#{copy},{second}")
        for row, (video, second) in enumerate(key.split(",") for key in boxes.keys)
        for copy in range(counts.get(video, 0))
    ]
    which = [row for row, _ in kept]
    scores = None if boxes.scores is None else boxes.scores[which]
    return Boxes([key for _, key in kept], boxes.boxes[which], boxes.labels[which], scores)

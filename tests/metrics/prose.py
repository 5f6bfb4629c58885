"""The metrics once more, row by row as the prose of the protocols tells them, slow and without numpy's help."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path


def average_precision(scores, right):
    """The sum over distinct scores, from the highest, of precision times the rise of recall; None without a hit."""
    positives = sum(right)
    if not positives:
        return None
    area = recall = 0.0
    for threshold in sorted(set(scores), reverse=True):
        chosen = [hit for score, hit in zip(scores, right, strict=True) if score >= threshold]
        area += (sum(chosen) / positives - recall) * sum(chosen) / len(chosen)
        recall = sum(chosen) / positives
    return area


def rows(path: Path, excluded: Path | None = None):
    """(moment, box, label, score or None) of each row of an AVA csv."""
    moments = set()
    if excluded is not None:
        moments = {(row[0], int(row[1])) for row in csv.reader(excluded.read_text().splitlines())}
    for row in csv.reader(path.read_text().splitlines()):
        moment = row[0], int(row[1])
        if moment not in moments:
            score = float(row[7]) if len(row) > 7 else None
            yield moment, tuple(float(field) for field in row[2:6]), int(row[6]), score


def iou(one, other):
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0) * max(height, 0)
    return shared / ((one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1]) - shared)


def ava(truth, found, label_ids, threshold=0.5):
    """Average precision of each label id; None where it has no ground truth. Rows are those of `rows`."""
    result = {}
    for expected in label_ids:
        boxes, taken = defaultdict(list), defaultdict(set)
        for moment, box, label, _ in truth:
            if label == expected:
                boxes[moment].append(box)
        decided = []
        for moment, box, label, score in found:
            if label != expected or box[0] >= box[2] or box[1] >= box[3]:
                continue
            overlaps = [iou(box, other) for other in boxes[moment]]
            best = max(overlaps, default=0.0)
            right = best >= threshold and overlaps.index(best) not in taken[moment]
            if right:
                taken[moment].add(overlaps.index(best))
            decided.append((score, right))
        count = sum(len(each) for each in boxes.values())
        result[expected] = area_under_envelope(decided, count) if count else None
    return result


def area_under_envelope(decided, count):
    """Every step of recall, at the best precision from there on; of equal scores the later row goes first."""
    ranked = decided[::-1]
    ranked.sort(key=lambda each: -each[0])
    curve = []
    right = 0
    for place, (_, hit) in enumerate(ranked, start=1):
        right += hit
        curve.append((right / count, right / place))
    area = recall = 0.0
    for position, (reached, _) in enumerate(curve):
        area += (reached - recall) * max(precision for _, precision in curve[position:])
        recall = reached
    return area

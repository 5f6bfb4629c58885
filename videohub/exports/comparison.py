"""How a file that was exported is compared with its network: on clips of noise, in batches of two sizes."""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec
import torch
from torch import Tensor, nn

from videohub.certificate import noise
from videohub.errors import ConversionError
from videohub.exports.formats import Logits
from videohub.onnx_model.metadata import ClipShape

_CLIPS = 3  # that are compared, at least


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """One call of the file, beside what the network gives for the same clips."""

    batch: int
    boxes: int  # in all of the batch; 0 where whole clips are classified
    largest_logit: float
    relative_difference: float  # the largest of a clip, as a share of the clip's largest logit


def compared(
    network: nn.Module, exported: Logits, clip: ClipShape, dtype: torch.dtype, *, detects: bool
) -> Iterator[Comparison]:
    """Yield each call of the file: one clip and three, or as many as it takes until three were seen."""
    expected: dict[int, Tensor] = {}
    for numbers in _batches(clip.batch):
        clips = [noise(clip.of(1), number=number).to(dtype) for number in numbers]
        people = [boxes_of(clip, number) if detects else None for number in numbers]
        for number, one, boxes in zip(numbers, clips, people, strict=True):
            if number not in expected:
                with torch.inference_mode():
                    expected[number] = network(one.float()) if boxes is None else network(one.float(), boxes)
        rows = [in_batch(boxes, place) for place, boxes in enumerate(people) if boxes is not None]
        logits = exported(torch.cat(clips), torch.cat(rows) if rows else None).float()
        beside = torch.cat([expected[number] for number in numbers])
        if logits.shape != beside.shape:
            raise ConversionError(
                f"the file gives logits {tuple(logits.shape)} for {len(clips)} clips, expected {tuple(beside.shape)}.\n"
                "  Nothing was written. Report this: it is a mistake of videohub's."
            )
        if not beside.isfinite().all():
            raise ConversionError(
                "the network itself gives logits that are no numbers for noise; look at its weights.\n"
                "  Nothing was written."
            )
        if not beside.any():
            raise ConversionError(
                "the network itself gives logits that are all 0 for noise, beside which no difference shows; look at "
                "its weights.\n  Nothing was written."
            )
        lengths = [len(expected[number]) for number in numbers]
        pairs = zip(torch.split(logits, lengths), torch.split(beside, lengths), strict=True)  # of each clip
        shares = torch.stack([(found - right).abs().max() / right.abs().max() for found, right in pairs])
        yield Comparison(
            batch=len(clips),
            boxes=sum(map(len, rows)),
            largest_logit=float(beside.abs().max()),
            relative_difference=float(shares.max()),  # which is no number where one of them is none
        )


def _batches(batch: int | None) -> list[list[int]]:
    """Return the numbers of the clips in each call."""
    if batch is None:
        return [[0], list(range(_CLIPS))]
    count = max(_CLIPS, batch)
    return [[(call * batch + place) % count for place in range(batch)] for call in range(math.ceil(_CLIPS / batch))]


def boxes_of(clip: ClipShape, number: int) -> Tensor:
    """Return boxes of a clip, (K, 5), none of which is a square or lies in the middle: 1, 2, 3, 1, … of them."""
    parts = [(1 + box, 2 + box, 6 + box, 9 - box) for box in range(1 + number % _CLIPS)]  # tenths of width and height
    tenths = torch.tensor([[0, *part] for part in parts], dtype=torch.float32) / 10
    return tenths * torch.tensor([1, clip.width, clip.height, clip.width, clip.height])


def in_batch(boxes: Tensor, place: int) -> Tensor:
    """Return boxes of a clip alone as those of the clip at a place of a batch."""
    return boxes + boxes.new_tensor([place, 0, 0, 0, 0])

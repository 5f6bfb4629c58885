"""Known slips: how networks and their inputs were got wrong before. Each is tried on weights that give wrong values.

One that makes the known values come out tells where to look: here, or where the values were computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

import msgspec
from torch import nn

from videohub.models import VideoModel
from videohub.models.transformer import Attention
from videohub.protocols import Divide, Normalise, Pixels, Resize, ResizeShortSide, ReverseChannels

Kind: TypeAlias = Literal["weights", "arithmetic", "preprocessing"]
Steps: TypeAlias = tuple[Pixels, ...]
Change: TypeAlias = tuple[nn.Module, str, object]  # an attribute of a part, and what it becomes

HALF = Normalise(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


@dataclass(frozen=True)
class Slip:
    """Something that was got wrong before: in a network, in the steps of its input, or in the order of frames."""

    kind: Kind
    what: str
    changes: Callable[[nn.Module], Iterable[Change]] = lambda model: ()
    steps: Callable[[Steps], Steps] = lambda steps: steps
    reverses: bool = False  # the order of frames

    def concerns(self, model: nn.Module, steps: Steps) -> bool:
        """Whether anything would be otherwise with it."""
        return self.reverses or self.steps(steps) != steps or any(True for _ in self._changes(model))

    @contextmanager
    def made_in(self, model: VideoModel) -> Iterator[None]:
        """Let a network have the slip for as long as the block lasts."""
        before = [(part, name, getattr(part, name)) for part, name, _ in self._changes(model)]
        try:
            for part, name, value in list(self._changes(model)):
                setattr(part, name, value)
            yield
        finally:
            for part, name, value in before:
                setattr(part, name, value)

    def _changes(self, model: nn.Module) -> Iterator[Change]:
        return ((part, name, value) for part, name, value in self.changes(model) if getattr(part, name) is not value)


def biases_are_zero(model: nn.Module) -> bool:
    """Tell whether a file lost the biases of all queries and values: each is 0, which no training leaves."""
    biases = [getattr(part, name) for part, name, _ in _without_biases(model)]
    return bool(biases) and not any(bias is not None and bias.any() for bias in biases)


def _without_biases(model: nn.Module) -> Iterator[Change]:
    for part in model.modules():
        if isinstance(part, Attention):
            if part.q_bias is None:
                yield part.qkv, "bias", None
            else:
                yield part, "q_bias", None
                yield part, "v_bias", None


def _epsilon(eps: float, model: nn.Module) -> Iterator[Change]:
    return ((part, "eps", eps) for part in model.modules() if isinstance(part, nn.LayerNorm) and part.eps != eps)


def _gelu(form: str, model: nn.Module) -> Iterator[Change]:
    return ((part, "approximate", form) for part in model.modules() if isinstance(part, nn.GELU))


def _heads(count: int, model: nn.Module) -> Iterator[Change]:
    for part in model.modules():
        if type(part) is Attention and part.heads != count and part.projection.in_features % count == 0:
            yield part, "heads", count


def _levels_to(steps: Steps, normalise: Normalise | None) -> Steps:
    """Return steps that bring levels to 0..1 and normalise them so, and otherwise do the same."""
    others = tuple(step for step in steps if not isinstance(step, Divide | Normalise))
    return (*others, Divide(by=255.0), *((normalise,) if normalise else ()))


def _other_channels(steps: Steps) -> Steps:
    others = tuple(step for step in steps if not isinstance(step, ReverseChannels))
    return others if others != steps else (ReverseChannels(), *steps)


def _other_resizing(steps: Steps) -> Steps:
    """Return steps that resize with antialiasing where they did without, and the other way round."""
    other = {"pillow_bilinear": "opencv_uint8", "opencv_uint8": "pillow_bilinear", "torch_uint8": "pillow_bilinear"}
    return tuple(
        msgspec.structs.replace(step, arithmetic=other.get(step.arithmetic, step.arithmetic))
        if isinstance(step, Resize | ResizeShortSide)
        else step
        for step in steps
    )


def _of_pixels(what: str, steps: Callable[[Steps], Steps]) -> Slip:
    return Slip("preprocessing", what, steps=steps)


_NORMALISED = {
    "0.5": HALF,
    "ImageNet's": Normalise(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    "0.45 and 0.225": Normalise(mean=(0.45, 0.45, 0.45), std=(0.225, 0.225, 0.225)),
}

SLIPS: Sequence[Slip] = (
    Slip("weights", "queries and values without their biases", _without_biases),
    *(Slip("arithmetic", f"layer norms with epsilon {eps:g}", partial(_epsilon, eps)) for eps in (1e-6, 1e-5, 1e-12)),
    Slip("arithmetic", "GELU in its exact form", partial(_gelu, "none")),
    Slip("arithmetic", "GELU by its tanh", partial(_gelu, "tanh")),
    Slip("arithmetic", "16 attention heads", partial(_heads, 16)),
    *(
        _of_pixels(f"mean and deviation {name}", partial(_levels_to, normalise=normalise))
        for name, normalise in _NORMALISED.items()
    ),
    _of_pixels("levels from 0 to 1, without mean and deviation", partial(_levels_to, normalise=None)),
    _of_pixels("mean and deviation 0.5 a second time", lambda steps: (*steps, HALF)),
    _of_pixels("the channels' order turned round", _other_channels),
    _of_pixels("resizing with antialiasing turned on or off", _other_resizing),
    Slip("preprocessing", "the frames' order turned round", reverses=True),
)  # fmt: skip

"""How a network is tested, and which networks can be tested on the same frames of a video."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from videohub.errors import UsageError
from videohub.registry.schema import Clip, Protocol

# What the frames of a video depend on; crops, clips and their lengths are cut from the same frames.
_SHARED = ("dataset", "split", "decoder", "short_side", "mean", "std")


class Recipe(msgspec.Struct, frozen=True):
    """A protocol, and the clip that the network is given under it."""

    protocol: Protocol
    clip: Clip


def check_shared(recipes: Sequence[Recipe]) -> None:
    """Refuse recipes that use different frames of the videos. Raises: UsageError, which says what differs."""
    first = recipes[0].protocol
    for recipe in recipes[1:]:
        for field in _SHARED:
            here, there = getattr(first, field), getattr(recipe.protocol, field)
            if here != there:
                raise UsageError(
                    f"one pass over the videos serves protocols that use the same frames; {first.name} has {field} "
                    f"{here}, {recipe.protocol.name} has {there}. Verify them one after the other"
                )

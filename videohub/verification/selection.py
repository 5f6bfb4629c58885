"""Which samples of a data set are evaluated, and in which order; the same on every machine for the same seed."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction

from videohub.data.samples import Sample
from videohub.errors import UsageError


def shuffled(samples: Sequence[Sample], *, seed: int) -> list[Sample]:
    """Return the samples in a random order that depends on the seed and their names alone.

    The order is that of a hash, so no library's random numbers, and not the order of a list, can change it.
    """
    return sorted(samples, key=lambda sample: hashlib.sha256(f"{seed}:{sample.name}".encode()).digest())


def stratified(samples: Sequence[Sample], count: int, *, seed: int) -> list[Sample]:
    """Return `count` samples, each class represented by its share, in the order of the data set.

    A class is whatever set of classes is right for a sample. Each gets the whole part of its share; the seats that are
    left go to the largest remainders, the earlier hash first where they are equal.

    Raises: UsageError unless 1 <= count <= len(samples).
    """
    if not 1 <= count <= len(samples):
        raise UsageError(f"sample: found {count}, expected 1 to {len(samples)}, the number of listed videos")
    strata: dict[tuple[int, ...], list[Sample]] = defaultdict(list)
    for sample in shuffled(samples, seed=seed):
        strata[sample.truth].append(sample)
    shares = {truth: Fraction(count * len(members), len(samples)) for truth, members in strata.items()}
    seats = {truth: int(share) for truth, share in shares.items()}
    by_remainder = sorted(shares, key=lambda truth: shares[truth] - seats[truth], reverse=True)  # stable: hash order
    for truth in by_remainder[: count - sum(seats.values())]:
        seats[truth] += 1
    chosen = {sample.name for truth, members in strata.items() for sample in members[: seats[truth]]}
    return [sample for sample in samples if sample.name in chosen]

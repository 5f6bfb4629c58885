"""Memory that is used again: never while anybody can still see what is in it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from videohub.data.reused import Pool


def address(array):
    return array.__array_interface__["data"][0]


@pytest.mark.parametrize(
    "derive",
    [
        lambda array: array[1:],
        lambda array: torch.from_numpy(array)[:, 1:].T,
        lambda array: array.view(np.uint8)[::2],
        lambda array: memoryview(array),
    ],
    ids=["slice", "tensor", "other type", "memoryview"],
)
def test_memory_stays_as_it_is_while_anything_made_of_it_is_there(derive):
    pool = Pool()
    array = pool.room((3, 4))
    array[:] = 7
    kept = derive(array)
    first, expected = address(array), np.asarray(kept).tobytes()
    del array
    second = pool.room((3, 4))
    second[:] = 8
    assert address(second) != first
    assert np.asarray(kept).tobytes() == expected
    del kept
    assert address(pool.room((3, 4))) == first


def test_memory_goes_on_to_what_fits_and_grows_where_nothing_does():
    pool = Pool()
    large = address(pool.room((100, 100)))
    small = pool.room((10, 10))
    assert address(small) == large
    assert small.shape == (10, 10)
    assert small.dtype == np.float32
    other = pool.room((10, 10))  # while the first is in use
    assert address(other) != large
    del small, other
    assert pool.room((200, 100)).size == 20_000


def test_what_is_too_small_does_not_pile_up():
    pool = Pool()
    for side in range(1, 50):
        pool.room((side, side))
    assert len(pool._pieces) == 1

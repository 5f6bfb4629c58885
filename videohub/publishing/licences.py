"""May weights be passed on? Their licence, in its publisher's words, has to say so, or the user."""

from __future__ import annotations

import re

from videohub.errors import UsageError
from videohub.registry.schema import Record

# Licences under which anybody may pass on the same weights in another form; NC: for non-commercial use.
_ALLOWS = re.compile(
    r"(Apache-2\.0|MIT|BSD-[23]-Clause|CC0-1\.0|CC-BY(-NC)?(-SA)?[- ][1-4]\.0)(?![\w.-])", re.IGNORECASE | re.ASCII
)
# What says that it was not read for the weights: "not stated for the file; the repository is MIT".
_NOT_OF_WEIGHTS = re.compile(r"\bnot stated\b|\bnot read\b|\bof the code\b|\bcode (only|alone)\b", re.IGNORECASE)


def allows(words: str) -> bool:
    """Return whether a licence lets anybody pass the weights on: one that is known to, and is stated for them."""
    return _ALLOWS.match(words) is not None and _NOT_OF_WEIGHTS.search(words) is None


def check(record: Record, right: str | None) -> None:
    """Refuse to pass on weights whose licence does not allow it, unless the user says by which right.

    Raises: UsageError with the licence's words.
    """
    words = record.checkpoint.license
    if right is not None and not right.strip():
        raise UsageError("right: found no words, expected what gives you the right to publish these weights")
    if right is None and not allows(words):
        raise UsageError(
            f"{record.name}: its licence does not say that the weights may be passed on: {words!r}.\n"
            '  If you have that right all the same (you made them, their authors agreed), state it: --right "WORDS". '
            "The words stand on the card."
        )

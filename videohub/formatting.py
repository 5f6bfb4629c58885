"""Numbers and lists as people read them: with noun or unit, summed up, joined by commas and an `and`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec


class Spread(msgspec.Struct, frozen=True):
    """Where several numbers lie."""

    least: float
    median: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return that of at least one number."""
        from statistics import median  # `videohub list` formats, and would wait for it

        return cls(min(values), median(values), max(values))


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 video`, `19,761 videos`, `2 classes`, `3 entries`."""
    if number == 1:
        return f"1 {noun}"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{number:,} {noun[:-1]}ies"
    return f"{number:,} {noun}{'es' if noun.endswith(('s', 'x', 'ch', 'sh')) else 's'}"


def listed(words: Iterable[str], word: str = "and") -> str:
    """Return `a`, `a and b`, `a, b and c`, or with another word."""
    *most, last = words
    return f"{', '.join(most)} {word} {last}" if most else last


def duration(seconds: float) -> str:
    """Return a duration in the two largest units that it fills."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole, minutes = round(seconds), round(seconds / 60)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{minutes // 60:,} h {minutes % 60} min"


def with_unit(size: int) -> str:
    """Return a size in bytes with three digits, in powers of 1000."""
    number, units = float(size), ["B", "kB", "MB", "GB", "TB"]
    while number >= 999.5 and len(units) > 1:
        number, units = number / 1000, units[1:]
    return f"{number:.0f} B" if units[0] == "B" else f"{number:.3g} {units[0]}"


def with_letter(count: int) -> str:
    """Return a count with three digits, in powers of 1000: `386k`, `34.6M`, `126G`, `2.83T`."""
    number, letters = float(count), ["", "k", "M", "G", "T"]
    while number >= 999.5 and len(letters) > 1:
        number, letters = number / 1000, letters[1:]
    return str(count) if letters[0] == "" else f"{number:#.3g}".rstrip(".") + letters[0]


def versions(libraries: Mapping[str, str]) -> str:
    """Return libraries with their versions: `av 14.0.0, torch 2.6.0`."""
    return ", ".join(f"{name} {version}" for name, version in sorted(libraries.items()))


def interval(ends: tuple[float, float], *, signed: bool = False) -> str:
    """Return both ends of an interval with two decimals."""
    sign = "+" if signed else ""
    return f"{ends[0]:{sign}.2f} – {ends[1]:{sign}.2f}"

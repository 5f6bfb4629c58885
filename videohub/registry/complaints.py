"""How a broken registry file is told: which file, record, field and line, and what was found there."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from videohub.errors import RegistryError
from videohub.escaping import shortened

Steps: TypeAlias = tuple["str | int", ...]  # from the top of a file to a value: ("records", "slow_r50_8x8", "rate")


def complaint(file: Path, steps: Steps, what: str, *, line: int | None = None, advice: str = "") -> RegistryError:
    """Return the error that says `what` is wrong with the value that `steps` lead to."""
    what = shortened(what, 1_000)
    hint = " ".join(part for part in (f"Line {line}." if line else "", advice) if part)
    return RegistryError(f"{place(file, steps)} {what}." + (f"\n  {hint}" if hint else ""))


def place(file: Path, steps: Steps) -> str:
    """Return where a value stands, such as `registry.yaml: slow_r50_8x8: model.width`."""
    section, rest = (str(steps[0]) if steps else ""), steps[1:]
    if section not in ("records", "protocols") or not rest:
        return f"{file}: {_dotted(steps) or 'the file'}"
    owner = str(rest[0]) if section == "records" else f"protocol {rest[0]}"
    return f"{file}: {shortened(owner, 100)}" + (f": {_dotted(rest[1:])}" if rest[1:] else "")


def shown(value: object) -> str:
    """Return `value` as a registry file would write it, or its kind where it is long."""
    if isinstance(value, (dict, list)):
        return "a mapping" if isinstance(value, dict) else "a list"
    import json  # most files have nothing to be shown

    return shortened(json.dumps(value, ensure_ascii=False, default=str), 200)


def _dotted(steps: Steps) -> str:
    dotted = "".join(f"[{step}]" if isinstance(step, int) else f".{shortened(step, 100)}" for step in steps)
    return shortened(dotted.lstrip("."), 200)

"""Print the README's table of the zoo from the records: `python tools/zoo_table.py`."""

from __future__ import annotations

from videohub import registry
from videohub.registry.schema import Record


def main() -> None:
    """Print the table in Markdown."""
    print("\n".join(table(registry.default())))


def table(records: registry.Registry) -> list[str]:
    """Return the lines of the table, in the order of the registry."""
    head = [
        "| name | upstream name | data | frames x rate | published | status |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    return head + [row(record) for record in records.records.values()]


def row(record: Record) -> str:
    """Return one record's line."""
    clip = f"{record.frames} x {record.rate}" if record.frames else "image"
    cells = (
        f"`{record.name}`",
        record.upstream_name,
        record.protocol.dataset,
        clip,
        str(record.number or "no number"),
        record.status,
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()

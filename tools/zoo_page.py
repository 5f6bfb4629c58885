"""Write docs/zoo.md from the records, and print what the README says of the zoo: `python tools/zoo_page.py`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from videohub import registry
from videohub.registry.schema import Record

PAGE = Path(__file__).resolve().parent.parent / "docs" / "zoo.md"


def main() -> None:
    """Write the page, and print the README's lines."""
    known = registry.load(registry.files()[0])
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(known), encoding="utf-8")
    print("\n".join(summary(known)))


def page(known: registry.Registry) -> str:
    """Return docs/zoo.md: a section for each publisher, a line for each record, in the order of the registry."""
    lines = [
        "# The zoo",
        "",
        "Made from the registry by `python tools/zoo_page.py`. Frames x rate are those that the published table prints",
        "(of SlowFast, the slow pathway's); `videohub show NAME` tells what the network is given, how it was tested,",
        "and every doubt that its source leaves open. A name that several publishers use means the first one's that",
        "has it; `publisher/NAME` names one.",
    ]
    for publisher, records in _by_publisher(known).items():
        described = known.publishers.get(publisher)
        lines += ["", f"## {described.title if described else publisher}", ""]
        if described:
            commit = f"at {described.commit}" if described.commit else ""
            source = " ".join(filter(None, (described.url, commit)))
            name = f"`{publisher}`: {source}." if source else f"`{publisher}`."
            license_ = f"License: {described.license}." if described.license else ""
            lines += [" ".join(filter(None, (name, license_, described.citation))), ""]
        lines += ["| name | upstream name | data | frames x rate | published | status |", "| --- " * 6 + "|"]
        lines += map(row, records)
    return "\n".join(lines) + "\n"


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


def summary(known: registry.Registry) -> list[str]:
    """Return the README's lines: one for each publisher and family of networks, with how many records it has."""
    lines = ["| publisher | family | networks | data sets | records |", "| --- | --- | --- | --- | --- |"]
    for publisher, records in _by_publisher(known).items():
        described = known.publishers.get(publisher)
        for family, count in Counter(record.family for record in records).items():
            own = [record for record in records if record.family == family]
            archs = ", ".join(dict.fromkeys(record.arch for record in own))
            datasets = ", ".join(dict.fromkeys(record.protocol.dataset for record in own))
            title = described.title if described else publisher
            lines.append(f"| {title} | {family} | {archs} | {datasets} | {count} |")
    return lines


def _by_publisher(known: registry.Registry) -> dict[str, list[Record]]:
    order = list(known.publishers)
    found: dict[str, list[Record]] = {name: [] for name in order}
    for record in known.records.values():
        found.setdefault(record.publisher or "others", []).append(record)
    return {name: records for name, records in found.items() if records}


if __name__ == "__main__":
    main()

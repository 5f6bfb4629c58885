"""Write docs/zoo.md and docs/assets/zoo.svg from the records: `python tools/zoo_page.py`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tools import zoo_plot
from videohub import registry
from videohub.formatting import with_letter
from videohub.registry import Cost, Record
from videohub.registry.schema import Proof

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE, IMAGE = DOCS / "zoo.md", DOCS / "assets" / "zoo.svg"


def main() -> None:
    """Write the page and the plot."""
    known = registry.load(registry.files()[0])
    IMAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(known), encoding="utf-8")
    IMAGE.write_text(zoo_plot.image(known), encoding="utf-8")


def page(known: registry.Registry) -> str:
    """Return docs/zoo.md: a section for each publisher, a line for each record, in the order of the registry."""
    lines = [_BEGINNING, *_table("publisher | families | records | equal to the original | to another implementation")]
    for publisher, records in _by_publisher(known).items():
        families, originals, others = ", ".join(_by_family(records)), _originals(records), _others(records)
        lines.append(f"| {_title(known, publisher)} | {families} | {len(records)} | {len(originals)} | {len(others)} |")
    for publisher, records in _by_publisher(known).items():
        described = known.publishers.get(publisher)
        lines += ["", f"## {_title(known, publisher)}", ""]
        if described:
            commit = f"at {described.commit}" if described.commit else ""
            source = " ".join(filter(None, (described.url, commit)))
            name = f"`{publisher}`: {source}." if source else f"`{publisher}`."
            license_ = f"License: {described.license}." if described.license else ""
            lines += [" ".join(filter(None, (name, license_, described.citation))), ""]
        lines += _table(
            "family | networks | records | equal to the original, by these cases | to another implementation"
        )
        for family, ours in _by_family(records).items():
            originals, others = _counted(_originals(ours)), _counted(_others(ours))
            lines.append(f"| {family} | {_networks(ours)} | {len(ours)} | {originals} | {others} |")
        lines += [
            "",
            *_table("name | upstream name | data | frames x rate | published | parameters | multiply-adds | status"),
        ]
        lines += [row(record, known.costs.get(record.name)) for record in records]
    return "\n".join(lines) + "\n"


CHECKED = """\
- Records: numbers, clips and addresses, against their publishers' tables, which the tests have by themselves.
- Networks: scores, to 1e-5, against those of the publisher's own code with the same weights (golden cases, and
  torchvision's networks as they are), or of another implementation that runs in the tests. What was compared had the
  record's arguments and frames, whatever the number of classes. A record that is counted in neither way is built by the
  same code, and its very configuration was not compared.
- Parameters and multiply-adds: counted from the network, for one view under the test crop, and held against every
  figure that a publisher prints; `errata.yaml` tells which figures count something else.
- Files: none has been read yet. `videohub registry probe --online --fetch` reads and proves them where they can be had.
"""

_BEGINNING = (
    """\
# The zoo

Made from the registry by `python tools/zoo_page.py`. Frames x rate are those that the published table prints
(of SlowFast, the slow pathway's); `videohub show NAME` tells what the network is given, how it was tested,
and every doubt that its source leaves open. A name that several publishers use means the first one's that
has it; `publisher/NAME` names one.

What was checked against what:

"""
    + CHECKED
)


def row(record: Record, cost: Cost | None) -> str:
    """Return one record's line."""
    clip = "image"
    if record.frames:
        clip = f"{record.frames} x {record.rate}" if record.rate else str(record.frames)
    cells = (
        f"`{record.name}`",
        record.upstream_name,
        record.protocol.dataset,
        clip,
        str(record.number or "no number"),
        with_letter(cost.params) if cost else "not counted",
        with_letter(cost.multiply_adds) if cost else "not counted",
        record.status,
    )
    return f"| {' | '.join(cells)} |"


def summary(known: registry.Registry) -> list[str]:
    """Return a line for each family of networks, with how many records each publisher has of it."""
    lines = _table("family | networks | records of each publisher | equal to the original | to another implementation")
    for family, records in _by_family(known.records.values()).items():
        ours = {publisher: len(_by_family(each).get(family, ())) for publisher, each in _by_publisher(known).items()}
        counts = ", ".join(f"{_title(known, publisher)} {count}" for publisher, count in ours.items() if count)
        compared = f"{len(_originals(records))} of {len(records)} | {len(_others(records))}"
        lines.append(f"| {family} | {_networks(records)} | {counts} | {compared} |")
    return lines


def _table(header: str) -> list[str]:
    return [f"| {header} |", "| --- " * len(header.split("|")) + "|"]


def _title(known: registry.Registry, publisher: str) -> str:
    described = known.publishers.get(publisher)
    return described.title if described else publisher


def _networks(records: Sequence[Record]) -> str:
    return ", ".join(dict.fromkeys(record.arch for record in records))


def proof_state(record: Record) -> str:
    """Return what a record's network was compared with, the `original` or an `other` one; or that it is `unproven`."""
    if record.proof is None:
        return "unproven"
    return "original" if _is_original(record.publisher, record.proof) else "other"


def _originals(records: Sequence[Record]) -> list[str]:
    """Return by what each record's network was compared with its publisher's: a golden case, or its library's own."""
    proofs = [(record.publisher, record.proof) for record in records if record.proof]
    return [f"`{proof.golden or proof.reference}`" for publisher, proof in proofs if _is_original(publisher, proof)]


def _others(records: Sequence[Record]) -> list[str]:
    """Return with which other implementation each record's network was compared, where it was with none of those."""
    proofs = [(record.publisher, record.proof) for record in records if record.proof]
    return [str(proof.reference) for publisher, proof in proofs if not _is_original(publisher, proof)]


def _is_original(publisher: str | None, proof: Proof) -> bool:
    return proof.golden is not None or str(proof.reference).startswith(f"{publisher}.")


def _counted(names: Sequence[str]) -> str:
    """Return how many there are, and each of them once."""
    return f"{len(names)}: {', '.join(dict.fromkeys(names))}" if names else "0"


def _by_family(records: Iterable[Record]) -> dict[str, list[Record]]:
    families: dict[str, list[Record]] = {}
    for record in records:
        families.setdefault(record.family, []).append(record)
    return families


def _by_publisher(known: registry.Registry) -> dict[str, list[Record]]:
    publishers: dict[str, list[Record]] = {name: [] for name in known.publishers}
    for record in known.records.values():
        publishers.setdefault(record.publisher or "others", []).append(record)
    return {name: records for name, records in publishers.items() if records}


if __name__ == "__main__":
    main()

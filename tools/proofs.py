"""Run each golden case and each other implementation once, and keep how far our networks are from them.

    python tools/proofs.py                  what results/proofs.json lacks, one after the other
    python tools/proofs.py --anew PATTERN   those whose names fit, again
    python tools/proofs.py --giants         also networks of more than 600 million parameters

The tests say whether a difference is small enough; this says how large it was. It is written after each one, so that it
may be ended at any time. Which golden views a protocol has is written each time.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import tempfile
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec
import torch

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "results" / "proofs.json"


class Difference(msgspec.Struct, frozen=True):
    """How far our logits were from another implementation's."""

    logits: float  # the largest difference, as a share of the largest logit
    date: str
    torch: str  # its version


class GoldenViews(msgspec.Struct, frozen=True):
    """Which files of tests/golden hold an original's views of a protocol."""

    whole: list[str] = []  # of the same frames, steps, clips and crops
    steps: list[str] = []  # of the same frames and steps; other clips or crops


class Proofs(msgspec.Struct):
    """What results/proofs.json holds."""

    cases: dict[str, Difference] = {}  # by golden case
    references: dict[str, Difference] = {}  # by record whose network was compared with another implementation
    views: dict[str, GoldenViews] = {}  # by protocol


def read() -> Proofs:
    """Return what was measured so far."""
    return msgspec.json.decode(FILE.read_bytes(), type=Proofs) if FILE.exists() else Proofs()


def main() -> None:
    """Measure what is missing, or what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--anew", metavar="PATTERN", help="of cases and records: measure these again")
    parser.add_argument("--giants", action="store_true", help="also networks of more than 600 million parameters")
    parser.add_argument("--views", action="store_true", help="only which golden views protocols have")
    chosen = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from tests.models.golden_networks import CASES

    proofs = read()
    proofs.views = views()
    for case in CASES if not chosen.views else ():
        if _wanted(case, chosen.anew, proofs.cases):
            proofs.cases[case] = _difference(golden_difference(case))
            _write(proofs, case, proofs.cases[case])
    for records, reference in references(giants=chosen.giants) if not chosen.views else ():
        if any(_wanted(record, chosen.anew, proofs.references) for record in records):
            result = _difference(reference_difference(reference))
            proofs.references.update(dict.fromkeys(records, result))
            _write(proofs, ", ".join(records), result)
    _write(proofs, "golden views", len(proofs.views))


@torch.inference_mode()
def golden_difference(name: str) -> float:
    """Return how far our logits are from the original's, as a share of the largest."""
    from tests.models.golden_networks import CASES, LOGITS_CLOSE
    from tests.models.test_golden import IN_FLOAT64

    case, classified = CASES[name], []
    dtype = torch.float64 if name in IN_FLOAT64 else torch.float32
    network = case.network().to(dtype)
    network.get_submodule(case.architecture.classifier).register_forward_hook(
        lambda module, given, made: classified.append(made)
    )
    network(case.clip().to(dtype), *case.boxes())
    return case.logits_difference(classified[0]) * LOGITS_CLOSE


@torch.inference_mode()
def reference_difference(reference) -> float:
    """Return how far our logits are from another implementation's, as a share of the largest."""
    from tests.golden import synth

    clip = torch.from_numpy(synth.synth_clip("references", (1, 3, *reference.clip)))
    with tempfile.TemporaryDirectory() as folder:
        result, expected = reference.compare(reference.architecture, clip, Path(folder))
    return float((result - expected).abs().max() / expected.abs().max())


def references(*, giants: bool) -> Iterator[tuple[list[str], object]]:
    """Yield each other implementation, after the records whose proof it is."""
    from tests.models.test_proofs import GIANTS, RECORDS, REFERENCES

    proved = {name: record for name, record in RECORDS.items() if record.proof and record.proof.reference}
    for reference in REFERENCES:
        ours = [name for name, record in proved.items()
               if reference.name == record.proof.reference and reference.computed(record)]  # fmt: skip
        if ours and (giants or reference.architecture.size not in GIANTS):
            yield ours, reference
        proved = {name: record for name, record in proved.items() if name not in ours}


def views() -> dict[str, GoldenViews]:
    """Return which files of tests/golden hold views that an original made by the steps of each protocol."""
    from tests.data.golden_views import cases, golden_case, how
    from tests.data.test_views_wider import CASES, stated
    from videohub import registry

    made = {f"views/{name}": how(golden_case(name)[0])[0] for name in cases("kinetics", "ssv2", "charades", "ava")}
    made |= {f"views_wider/{name}": stated(facts)[0] for name, facts in CASES.items()}
    result = {}
    for name, protocol in registry.load(registry.files()[0]).protocols.items():
        alike = [file for file, other in made.items()
                 if (other.frames, other.pixels) == (protocol.frames, protocol.pixels)]  # fmt: skip
        whole = [file for file in alike if made[file].views == protocol.views]
        if alike:
            result[name] = GoldenViews(whole, [file for file in alike if file not in whole])
    return result


def _wanted(name: str, anew: str | None, known: dict[str, Difference]) -> bool:
    return fnmatchcase(name, anew) if anew else name not in known


def _difference(logits: float) -> Difference:
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    return Difference(float(f"{logits:.2g}"), today, torch.__version__.partition("+")[0])


def _write(proofs: Proofs, name: str, found: object) -> None:
    """Keep what is known so far, in order, and say what is new."""
    ordered = {field: dict(sorted(value.items())) for field, value in msgspec.to_builtins(proofs).items()}
    FILE.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
    print(name, found, flush=True)


if __name__ == "__main__":
    main()

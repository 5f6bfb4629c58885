"""Run the tests on several Pythons, with the newest versions of all libraries and with the oldest that are stated.

    python tools/test_matrix.py python3.10 python3.13
    python tools/test_matrix.py ~/.pyenv/versions/3.1?.*/bin/python -- tests/data -x

Each interpreter gets a virtual environment of its own below `.matrix`, with the newest versions; the one that is the
oldest Python stated gets a second one, with exactly the floors of what users install (`.[export,remote]`) and, of what
developers install, only what the tests cannot do without: transformers wants a newer huggingface_hub, moto a newer
botocore, and tests that need either are skipped there. What follows `--` goes to pytest.
Prints the rows of the table in CONTRIBUTING.md.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import subprocess
import sys
from itertools import chain
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # mypy brings it

ROOT = Path(__file__).resolve().parent.parent
SHOWN = ("torch", "av", "numpy")
EXTRAS = ("export", "remote")  # that users install, not developers
NEEDED_BY_TESTS = ("build", "hatchling", "jsonschema", "markdown-it-py", "pytest", "pytest-xdist", "safetensors")


def main() -> int:
    """Install, test, and tell; return 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pythons", nargs="+", help="interpreters, by name or path")
    parser.add_argument("--only", choices=("newest", "oldest"), help="leave out the others")
    ours, for_pytest = _split(sys.argv[1:])
    arguments = parser.parse_args(ours)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    rows, failed = [], False
    for python in arguments.pythons:
        for which in ("newest", "oldest"):
            if arguments.only in (None, which) and (which == "newest" or version_of(python) == oldest_python(project)):
                row, passed = tried(python, which, project, for_pytest)
                rows.append(row)
                failed |= not passed
    print("\n| date | system | Python | versions | " + " | ".join(SHOWN) + " | outcome |")
    print("\n".join(rows))
    return int(failed)


def tried(python: str, which: str, project: dict[str, Any], for_pytest: list[str]) -> tuple[str, bool]:
    """Install one set of versions and run the tests with it; return its row of the table, and whether all passed."""
    folder = ROOT / ".matrix" / f"{version_of(python)}-{which}"
    ours = folder / ("Scripts" if platform.system() == "Windows" else "bin") / "python"
    run(python, "-m", "venv", folder)
    install: list[str | Path] = [ours, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if which == "newest":
        run(*install, "--upgrade", "--upgrade-strategy", "eager", "--editable", f"{ROOT}[dev]")
    else:
        constraints = folder / "floors.txt"
        constraints.write_text("\n".join(floors(project)) + "\n", encoding="utf-8")
        extras = ",".join(EXTRAS)
        run(*install, "--constraint", constraints, "--editable", f"{ROOT}[{extras}]", *NEEDED_BY_TESTS)
    done = subprocess.run([ours, "-m", "pytest", *for_pytest], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    print(done.stdout)
    ask = f"import importlib.metadata as m; print(*map(m.version, {SHOWN!r}))"
    versions = subprocess.run([ours, "-c", ask], check=True, capture_output=True, text=True).stdout.split()
    outcome = (done.stdout.strip().splitlines() or ["no answer"])[-1].strip("= ")
    system = f"{platform.system()} {platform.machine()}"
    cells = [datetime.date.today().isoformat(), system, version_of(python), which, *versions, outcome]
    return f"| {' | '.join(cells)} |", done.returncode == 0


def floors(project: dict[str, Any]) -> list[str]:
    """Return `name==floor` for each requirement of the package and of its users' extras."""
    extras = project["optional-dependencies"]
    stated = [*project["dependencies"], *chain.from_iterable(extras[extra] for extra in EXTRAS)]
    return [each.replace(">=", "==") for each in stated]


def oldest_python(project: dict[str, Any]) -> str:
    """Return the oldest Python that is stated, such as 3.10."""
    return str(project["requires-python"]).removeprefix(">=")


def version_of(python: str) -> str:
    """Return an interpreter's version, such as 3.13."""
    ask = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    return subprocess.run(ask, check=True, capture_output=True, text=True).stdout.strip()


def run(*command: str | Path) -> None:
    """Run a command whose failure ends everything."""
    print("$", *command, flush=True)
    subprocess.run(command, check=True)


def _split(given: list[str]) -> tuple[list[str], list[str]]:
    at = given.index("--") if "--" in given else len(given)
    return given[:at], given[at + 1 :]


if __name__ == "__main__":
    sys.exit(main())

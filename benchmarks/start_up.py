"""How long the command line takes to start, beside the libraries it is made with: `python benchmarks/start_up.py`.

Every command runs as a process of its own, in turns and in another order each turn; medians of wall time. All modules
have their bytecode, as pip makes it of what it installs: in a checkout, an environment may keep Python from writing
it, and each start would compile our files and no library's. The results go to benchmarks/results/start_up.json. What
`videohub.load` takes is in hub.py.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import measurement

RESULTS = measurement.RESULTS / "start_up.json"
LIBRARIES = "import yaml, click, rich"
RECORDS = 400  # that the zoo is to grow to
MANY, FIRST = f"videohub list, {RECORDS} records", f"videohub list, {RECORDS} records, for the first time"


def main() -> None:
    """Run everything and write the results."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--turns", type=int, default=15)
    options.add_argument("--out", type=Path, default=RESULTS)
    arguments = options.parse_args()
    measurement.publish(arguments.out, {**measurement.header("pyyaml", "click", "rich"), **start_up(arguments.turns)})


def start_up(turns: int) -> dict[str, object]:
    """Start every command once a turn; return seconds, and the share of what the libraries take."""
    console, how = console_command()
    commands = {
        "videohub list": [*console, "list"],
        "videohub show slowfast_r50_8x8": [*console, "show", "slowfast_r50_8x8"],
        "import videohub": [sys.executable, "-c", "import videohub"],
        LIBRARIES: [sys.executable, "-c", LIBRARIES],
        "nothing": [sys.executable, "-c", ""],
    }
    with tempfile.TemporaryDirectory(prefix="videohub-") as folder:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(Path(folder) / "bytecode")}  # the first turn writes it
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        run = partial(subprocess.run, check=True, stdout=subprocess.DEVNULL)
        runs = {name: partial(run, command, env=environment) for name, command in commands.items()}
        for name in (MANY, FIRST):
            theirs = environment | many_records(Path(folder) / name, RECORDS)
            runs[name] = partial(run, commands["videohub list"], env=theirs)
        runs[MANY]()  # compiles
        listing = runs[FIRST]

        def first() -> None:
            shutil.rmtree(Path(folder) / FIRST / "home", ignore_errors=True)
            listing()

        seconds = measurement.in_turns({**runs, FIRST: first}, turns)
    listed = measurement.summary(seconds["videohub list"])
    beside = measurement.summary(measurement.ratios(seconds["videohub list"], seconds[LIBRARIES]))
    many_beside = measurement.summary(measurement.ratios(seconds[MANY], seconds[LIBRARIES]))
    return {
        "turns": turns,
        "console command": how,
        "seconds": {name: measurement.summary(each) for name, each in seconds.items()},
        "videohub list": {"seconds": listed, "goal": "<= 0.25"},
        f"videohub list / {LIBRARIES}": {"ratio": beside, "goal": "<= 1.5"},
        MANY: {"seconds": measurement.summary(seconds[MANY]), "goal": "<= 0.25"},
        f"{MANY} / {LIBRARIES}": {"ratio": many_beside, "goal": "<= 1.5"},
        FIRST: {"seconds": measurement.summary(seconds[FIRST]), "goal": "<= 1"},
    }


def many_records(folder: Path, records: int) -> dict[str, str]:
    """Write a registry that makes the whole one of so many records, and return the variables that name it."""
    import msgspec

    from videohub import registry
    from videohub.registry import writer

    ours = registry.default().records
    like = [record for record in ours.values() if record.checkpoint.url and "://" in record.checkpoint.url
            and not record.checkpoint.url.startswith("file:")]  # fmt: skip
    made = [
        msgspec.structs.replace(
            like[n % len(like)], name=f"made_{n}", upstream_name=f"MADE_{n}", aliases=(), pretrain=None
        )
        for n in range(records - len(ours))
    ]
    folder.mkdir()
    file = folder / "made.yaml"
    file.write_text(writer.text(made, known={record.protocol.name for record in made}), encoding="utf-8")
    os.utime(file, ns=(1, 1))  # what was written a moment ago is not compiled
    return {"VIDEOHUB_HOME": str(folder / "home"), registry.VARIABLE: str(file)}


def console_command() -> tuple[list[str], str]:
    """Return how `videohub` is started here, and how that is to be called."""
    script = Path(sys.executable).parent / "videohub"
    if script.is_file():
        return [str(script)], "as installed"
    # what an installed script does, to the letter
    return [sys.executable, "-c", "import sys; from videohub.cli import main; sys.exit(main())"], (
        "not installed: its main() in a python -c"
    )


if __name__ == "__main__":
    main()

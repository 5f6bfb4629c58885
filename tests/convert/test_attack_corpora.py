"""Known attacks on model files, each by a sample made by hand: refused by an error of ours, with nothing run.

What the samples are and where they were described stands in `attacks/`. They are read in the process that the fuzz
test uses, which holds memory and time within limits and sees whatever else happens.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.convert.attacks import archives, bombs, gadgets, machine, models
from tests.convert.attacks.sample import Attack
from tests.fuzz.reading import MEMORY, SECONDS

SAMPLES = [attack for part in (gadgets, machine, models, archives, bombs) for attack in part.attacks()]
BITING = [attack for attack in SAMPLES if attack.bites]

# Reads each file in a process of its own with the plain reader that it is for, and tells for which a file was made.
NAIVE = """
import json, os, pickle, sys, time
import numpy, torch, torch.utils.collect_env, torch.jit.unsupported_tensor_ops

readers = {
    "pickle": lambda path: pickle.load(open(path, "rb")),
    "numpy": lambda path: [*numpy.load(path, allow_pickle=True).values()],
    "torch": lambda path: torch.load(path, weights_only=False),
}
for path, canary, reader in json.load(sys.stdin):
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        try:
            readers[reader](path)
        except BaseException as error:
            print(path, repr(error)[:200], file=sys.stderr, flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    end = time.monotonic() + 2
    while not os.path.exists(canary) and time.monotonic() < end:
        time.sleep(0.01)
    print(int(os.path.exists(canary)), flush=True)
"""


def named(attack: Attack) -> str:
    return attack.technique.replace("\\\\", "backslash ").replace(" ", "-")


@pytest.mark.parametrize("attack", SAMPLES, ids=named)
def test_a_known_attack_is_refused_or_is_read_as_harmless_data(reader, tmp_path, attack):
    canary = tmp_path / "canary"
    answer = reader.ask(attack.make(str(canary)), SECONDS)
    assert answer["wrong"] == [], attack.described
    assert not canary.exists()
    assert answer["memory"] < MEMORY
    if attack.words:
        assert answer["outcome"] in ("FormatError", "UnsafeFileError")
        assert re.search(attack.words, answer["message"]), answer["message"]
    else:
        assert answer["outcome"] == "read"


def test_the_samples_have_names_of_their_own_and_say_where_they_come_from():
    assert len({named(attack) for attack in SAMPLES}) == len(SAMPLES)
    assert all(attack.described for attack in SAMPLES)


@pytest.mark.slow
def test_the_samples_bite_a_plain_reader(tmp_path):
    asked = []
    for place, attack in enumerate(BITING):
        canary = tmp_path / f"canary{place}"
        path = tmp_path / f"sample{place}"
        path.write_bytes(attack.make(str(canary)))
        asked.append((str(path), str(canary), attack.bites))
    run = subprocess.run([sys.executable, "-c", NAIVE], input=json.dumps(asked), capture_output=True, text=True)
    bitten = [attack.technique for attack, result in zip(BITING, run.stdout.split(), strict=True) if result == "1"]
    assert bitten == [attack.technique for attack in BITING], run.stderr[-2000:]


def test_a_sample_makes_its_file_only_when_it_is_run(tmp_path):
    for attack in BITING:
        attack.make(str(tmp_path / "canary"))
    assert list(Path(tmp_path).iterdir()) == []

"""Kill `videohub verify` at random moments until so many kills are done, then let it end.

`python -m tests.verification.killing --kills 50` does so on generated videos and the demo's network, and says whether
the scores are those of a run that nobody killed.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from videohub import runs

ROOT = Path(__file__).resolve().parents[2]


def final_scores(folder: Path) -> dict[str, bytes | None]:
    """The bytes of every video's scores; a video stands there once."""
    joined = runs.join([folder])
    assert joined.pending == [], f"{len(joined.pending)} videos were forgotten"
    return {entry.name: None if (scores := entry.scores) is None else scores.tobytes()
            for entry in joined.entries.values()}  # fmt: skip


def started(name: str, listing: Path, out: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "videohub", "verify", name, "--data", str(listing), "--out", str(out)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def kept_bytes(out: Path) -> int:
    return sum(file.stat().st_size for file in out.glob("scores/*.scores"))


def killed_until_done(name: str, listing: Path, out: Path, *, kills: int, seed: int) -> int:
    """Start a run, kill it and start it again; return how often it was killed before it ended well.

    Most kills come soon after a first score of this start is kept, so that each start gets a little further and all
    kills fit into one run; every third comes at any moment before such a score, also while the libraries are loading.
    """
    chance, done, to_a_score = random.Random(seed), 0, 0.0
    while done < kills:
        run, before, start = started(name, listing, out), kept_bytes(out), time.monotonic()
        if done % 3 == 2:
            time.sleep(chance.uniform(0, to_a_score))
        else:
            while run.poll() is None and kept_bytes(out) <= before + 1000:  # its header alone is shorter
                time.sleep(0.005)
            to_a_score = time.monotonic() - start
            time.sleep(chance.uniform(0, 0.1))
        if run.poll() is not None:
            break  # it was faster
        run.send_signal(signal.SIGKILL)
        run.wait()
        done += 1
    last = started(name, listing, out)
    _, text = last.communicate()
    if last.returncode not in (0, 1, 3):
        raise RuntimeError(f"the last run ended with {last.returncode}: {text.decode()}")
    return done


def one_of_three_killed(name: str, data: object, out: Path, *, before: int) -> str:
    """Run three processes under torchrun, of which one is killed and restarted; return what was printed.

    The kill comes once three videos are done, and before so many are. Looks processes up in /proc.
    """
    launched = subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=3", "--max-restarts=2", "-m",
         "videohub", "verify", name, "--data", str(data), "--out", str(out)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    victim, until = None, time.monotonic() + 120
    while victim is None and time.monotonic() < until and launched.poll() is None:
        if list(out.glob("scores/*.scores")) and 3 <= len(runs.read_run(out).done()) < before:
            victim = random.choice([pid for pid, command in children(launched.pid) if "-m videohub verify" in command])
            os.kill(victim, signal.SIGKILL)
        time.sleep(0.02)
    stdout, stderr = launched.communicate(timeout=300)
    assert launched.returncode == 0, stderr
    assert victim is not None, "the run was over before anything could be killed"
    return stdout


def children(pid: int) -> Iterator[tuple[int, str]]:
    """The processes that a process has started, with what they were started as."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid:
                yield int(status.parent.name), (status.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (OSError, IndexError):  # it has ended meanwhile
            continue


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--videos", type=int, default=320)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    from videohub.data.synthetic import motions

    with tempfile.TemporaryDirectory() as folder:
        listing = motions.generate(Path(folder) / "videos", clips=options.videos)
        plain = started("slowfast_motions", listing, Path(folder) / "plain")
        plain.communicate()
        kills = killed_until_done("slowfast_motions", listing, Path(folder) / "run", kills=options.kills,
                                  seed=options.seed)  # fmt: skip
        files = len(list((Path(folder) / "run" / "scores").iterdir()))
        torn = runs.join([Path(folder) / "run"]).torn
        same = final_scores(Path(folder) / "run") == final_scores(Path(folder) / "plain")
    print(f"{kills} kills, {files} score files, {torn} of them end in a torn entry; identical scores: {same}")
    sys.exit(0 if same and kills == options.kills else 1)


if __name__ == "__main__":
    main()

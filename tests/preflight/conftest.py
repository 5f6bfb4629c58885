"""Small data sets, made on the spot, and a short way to check them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data.small_videos import small_video
from videohub import preflight, registry
from videohub.data.samples import DataSet, Sample, VideoFile
from videohub.preflight import Check

RECORD = "slowfast_r50_8x8"  # Kinetics-400, 32 frames at a distance of 2: a clip covers 64 frames at 30 a second


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A video as the protocol wants it: 72 frames, 30 a second, 288 x 256 pixels."""
    return small_video(tmp_path_factory.mktemp("good") / "good.mp4", count=72, width=288, height=256).read_bytes()


@pytest.fixture
def copy(good: bytes, tmp_path: Path) -> Callable[[str], Path]:
    """Write the good video under a name; each copy ends in an atom of its own, so that no two are the same."""

    def copy(name: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(good + (8 + len(name)).to_bytes(4, "big") + b"free" + name.encode())
        return path

    return copy


def check(paths: dict[Path, int], record: str = RECORD, **arguments: object) -> Check:
    """Check some videos and their labels."""
    samples = [Sample(path.name, VideoFile(path), (label,)) for path, label in paths.items()]
    return preflight.check_samples(
        registry.record(record),
        DataSet(samples),
        data="list",
        workers=1,
        **arguments,  # type: ignore[arg-type]
    )


def findings(check: Check) -> dict[str, tuple[int, str]]:
    """Return count and text of each finding but the comparison with the reference's size, which small sets all have."""
    return {one.kind: (one.count, one.text) for one in check.findings if one.kind != "reference count"}

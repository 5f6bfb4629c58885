"""What the tests of this room share: a few videos whose frames carry their number, and names that misbehave."""

import os

import pytest

from tests.data.sample_videos import write_video
from videohub.data.samples import VideoFile


@pytest.fixture(scope="session")
def videos(tmp_path_factory):
    """Twelve videos of 20 to 31 frames, by name."""
    folder = tmp_path_factory.mktemp("videos")
    paths = [write_video(folder / f"video{number:02}.mov", 20 + number) for number in range(12)]
    return {path.stem: VideoFile(path) for path in paths}


@pytest.fixture
def awkward(tmp_path):
    """Return the source by whose name the awkward decoder misbehaves."""

    def source(behaviour):
        os.mkfifo(tmp_path / f"{behaviour}.fifo")
        return VideoFile(tmp_path / f"{behaviour}.mov")

    return source

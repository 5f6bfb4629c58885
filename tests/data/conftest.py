"""Files that several of these tests read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import pytest
import torch

from tests.data.sample_videos import write_video


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Keep torch from splitting small frames over threads, which takes ten times as long on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def thirty_frames(tmp_path: Path) -> Path:
    """A second of video whose container states frames and duration."""
    return write_video(tmp_path / "thirty.mov", 30)


@pytest.fixture
def damaged_at_frame_twenty(tmp_path: Path) -> Path:
    """Thirty frames, of which number 20 cannot be decoded."""
    path = write_video(tmp_path / "damaged.mov", 30)
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][20]
        assert packet.pos is not None
        begins, size = packet.pos, packet.size
    data = bytearray(path.read_bytes())
    data[begins : begins + size] = bytes(size)
    path.write_bytes(data)
    return path

"""How much memory a video may take: what the system says is free, and what of a video counts."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.data.sample_videos import FOUR_FRAMES, numbered, protocol, write_video
from videohub.data import clips as clips_file
from videohub.data import memory, views
from videohub.data.decoded import decode, decode_content
from videohub.data.samples import FrameList, ImageFile, KeyFrame, VideoFile
from videohub.data.spec import TestSpec
from videohub.data.views import views_of
from videohub.errors import VideoError
from videohub.evaluation.decoding import Failure, decode_all
from videohub.registry.schema import Clip

GIB = 1 << 30


# --- what is free ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("free", "share", "most"),
    [
        (64 * GIB, 1, 16 * GIB),  # no video takes more, on the largest machine
        (24 * GIB, 2, 8 * GIB),  # and 8 for all else
        (24 * GIB, 64, 1 * GIB),  # what every video is given
        (GIB // 2, 4, GIB // 2),  # where the machine has it
        (None, 4, 16 * GIB),  # it does not say
    ],
)
def test_a_video_may_take_its_share_of_what_is_free(monkeypatch, free, share, most):
    monkeypatch.setattr(memory, "available", lambda: free)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    assert memory.for_one_video(share) == most


def test_runs_that_were_launched_together_share_the_machine(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 24 * GIB)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert memory.for_one_video(2) == 24 * GIB // 9


def test_what_a_video_may_take_is_measured_without_a_lock(monkeypatch):
    """A process that is forked while another thread measures would wait for ever."""
    measuring, done = threading.Event(), threading.Event()

    def measured(share: int) -> int:
        if share == 2:
            measuring.set()
            done.wait(30)
        return share

    monkeypatch.setattr(memory, "for_one_video", measured)
    slow, quick = (threading.Thread(target=lambda share=share: memory.Budget(share).most) for share in (2, 1))
    slow.start()
    measuring.wait(30)
    quick.start()
    quick.join(10)
    waits = quick.is_alive()
    done.set()
    slow.join()
    assert not waits


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Return what writes the files in which a system says what is free: 8 GiB, and no limits."""
    monkeypatch.setattr(memory, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path / "cgroup")

    def say(**files: str) -> None:
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("DOT", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    say(proc__meminfo="MemTotal: 16777216 kB\nMemFree: 1048576 kB\nMemAvailable:    8388608 kB\n")
    return say


def test_memory_that_the_machine_has_available_is_free(system):
    assert memory.available() == 8 * GIB


def test_a_group_of_version_2_leaves_what_it_does_not_use_and_what_can_be_dropped(system):
    system(proc__self__cgroup="0::/job/step\n", cgroup__job__step__memoryDOTmax="max\n",
           cgroup__job__step__memoryDOTcurrent="5\n", cgroup__job__memoryDOTmax=f"{4 * GIB}\n",
           cgroup__job__memoryDOTcurrent=f"{3 * GIB}\n",
           cgroup__job__memoryDOTstat=f"anon 1\ninactive_file {GIB // 2}\nactive_file 7\n")  # fmt: skip
    assert memory.available() == GIB + GIB // 2


def test_a_container_sees_its_own_group_at_the_root(system):
    system(proc__self__cgroup="0::/\n", cgroup__memoryDOTmax=f"{2 * GIB}\n", cgroup__memoryDOTcurrent=f"{GIB}\n")
    assert memory.available() == GIB


def test_a_group_of_version_1_may_lie_where_the_host_has_it(system):
    system(proc__self__cgroup="5:cpu:/\n4:memory:/docker/0123\n0::/\n",
           cgroup__memory__memoryDOTlimit_in_bytes=f"{2 * GIB}\n", cgroup__memory__memoryDOTusage_in_bytes=f"{GIB}\n",
           cgroup__memory__memoryDOTstat=f"inactive_file 1\ntotal_inactive_file {GIB // 4}\n")  # fmt: skip
    assert memory.available() == GIB + GIB // 4


def test_a_group_of_version_1_without_a_limit_leaves_the_machines(system):
    system(proc__self__cgroup="4:memory:/\n", cgroup__memory__memoryDOTlimit_in_bytes="9223372036854771712\n",
           cgroup__memory__memoryDOTusage_in_bytes=f"{GIB}\n")  # fmt: skip
    assert memory.available() == 8 * GIB


def test_ulimit_v_leaves_what_is_not_mapped(system, monkeypatch):
    monkeypatch.setattr(memory.os, "sysconf", lambda name: 4096)
    limits = f"Max cpu time  unlimited  unlimited  seconds\nMax address space  {3 * GIB}  unlimited  bytes\n"
    system(proc__self__limits=limits,
           proc__self__statm=f"{GIB // 4096} 5 5 1 0 5 0\n")  # fmt: skip
    assert memory.available() == 2 * GIB


# --- what counts -----------------------------------------------------------------------------------------------------


@pytest.fixture
def allowed(monkeypatch):
    """Return what states how many bytes a video may take."""
    return lambda most: monkeypatch.setattr(memory, "for_one_video", lambda share: most)


def strip(path, width=640, count=30):
    return write_video(path, count, picture=lambda index: numbered(index % 200, width, 2))


@pytest.mark.parametrize("suffix", ["mov", "mkv"])
@pytest.mark.parametrize("read", [decode, decode_content])
def test_frames_count_as_they_are_once_resized(tmp_path, allowed, suffix, read):
    """640 x 2 at a short side of 24 is 7680 x 24: 2,211,840 bytes of floats, and 3840 as decoded."""
    codec = {"codec": "png", "pix_fmt": "rgb24"} if suffix == "mov" else {"codec": "ffv1", "pix_fmt": "bgr0"}
    path = write_video(tmp_path / f"strip.{suffix}", 30, picture=lambda index: numbered(index, 640, 2), **codec)
    rule, each = protocol(clips=2, short_side=24, crop=16), 2_211_840 + 3840
    allowed(8 * each)
    assert len(read(VideoFile(path), rule, FOUR_FRAMES).frames) == 8
    allowed(8 * each - 1)
    says = rf"strip\.{suffix}: 8 frames of 640x2, 7680x24 once resized, would take 0\.0 GiB of memory, more than"
    with pytest.raises(VideoError, match=says):
        read(VideoFile(path), rule, FOUR_FRAMES)


def test_a_strip_that_no_machine_can_prepare_is_one_failed_video(tmp_path):
    """2048 x 2 at a short side of 256 is 262144 x 256, 0.75 GiB a frame; no video may take more than 16 GiB."""
    good = VideoFile(write_video(tmp_path / "good.mov", 30))
    bad = VideoFile(strip(tmp_path / "strip.mov", width=2048, count=70))
    spec = TestSpec(protocol(clips=8, short_side=256, crop=224), FOUR_FRAMES)
    for workers in (0, 1):
        outcomes = dict(decode_all([("a", good), ("bad", bad), ("b", good)], [spec], workers=workers))
        (failure,) = outcomes["bad"]
        assert isinstance(failure, Failure)
        assert "frames of 2048x2, 262144x256 once resized, would take" in failure.reason
        assert not any(isinstance(each, Failure) for name in "ab" for each in outcomes[name])


def test_a_single_picture_too_large_to_be_prepared_is_refused(tmp_path, allowed, thirty_frames):
    allowed(64 * 48 * 20 - 1)
    with pytest.raises(VideoError, match=r"thirty\.mov: a single picture of 64x48 would take"):
        decode(VideoFile(thirty_frames), protocol(), Clip(frames=1, sampling_rate=1))


@pytest.mark.parametrize("held_bytes", [0, 512 << 20])
def test_pictures_that_wait_for_their_clip_count(tmp_path, allowed, monkeypatch, held_bytes):
    """Matroska: all is decoded first; then a clip of 16 pictures of 12,288 bytes and more waits for its last one."""
    monkeypatch.setattr(clips_file, "HELD_BYTES", held_bytes)
    path = write_video(tmp_path / "video.mkv", 30, codec="ffv1", pix_fmt="bgr0")
    allowed(15 * 12_288)
    with pytest.raises(VideoError, match=r"video\.mkv: a clip holds 1\d frames and more of 64x48 while it is decoded"):
        decode(VideoFile(path), protocol(clips=1), Clip(frames=16, sampling_rate=1))


def test_a_long_image_and_long_frames_around_a_key_frame_count(tmp_path, allowed):
    from PIL import Image

    Image.fromarray(np.zeros((2, 4000, 3), np.uint8)).save(tmp_path / "0.png")
    allowed(64 << 20)
    one = protocol(clips=1, short_side=256, crop=224, sampling="image")
    with pytest.raises(VideoError, match=r"0\.png: 1 frames? of 4000x2, 512000x256 once resized"):
        decode(ImageFile(tmp_path / "0.png"), one, Clip(frames=1, sampling_rate=1))
    key = protocol(clips=1, short_side=256, crop=None, sampling="keyframe")
    source = KeyFrame(FrameList(tmp_path, "\n".join(["0.png"] * 5)), 2, ((0.0, 0.0, 1.0, 1.0),))
    with pytest.raises(VideoError, match="bringing a picture of 4000x2 to 512000x256 would take"):
        decode(source, key, Clip(frames=4, sampling_rate=1))


def no_memory(*args, **settings):
    raise MemoryError("Unable to allocate 52.5 GiB")


def test_what_the_system_does_not_give_is_a_failed_video(thirty_frames, monkeypatch):
    decoded = decode(VideoFile(thirty_frames), protocol(clips=2), FOUR_FRAMES)
    with monkeypatch.context() as patch:
        patch.setattr(views.np, "empty", no_memory)
        with pytest.raises(VideoError, match=r"its 8 frames, .* take 0\.0 GiB; there is not enough memory for them"):
            views_of(decoded, protocol(clips=2))
        for read in (decode, decode_content):
            with pytest.raises(VideoError, match=r"thirty\.mov: there is n"):
                read(VideoFile(thirty_frames), protocol(clips=2), FOUR_FRAMES)


@pytest.mark.parametrize(("short_side", "takes"), [(96, 1_179_648), (12, 18_432)])  # kept as decoded; as prepared
def test_frames_that_would_fill_a_gpu_are_a_failed_video(thirty_frames, monkeypatch, short_side, takes):
    """Eight frames of 3 x 96 x 128 floats take 1,179,648 bytes, of 3 x 12 x 16 18,432; half of a GPU is theirs."""
    rule = protocol(clips=2, short_side=short_side)
    decoded = decode(VideoFile(thirty_frames), rule, FOUR_FRAMES)
    assert decoded.frames.dtype == (np.float32 if short_side == 12 else np.uint8)
    for whole, fits in ((2 * takes, True), (2 * takes - 2, False)):
        device = SimpleNamespace(total_memory=whole)
        monkeypatch.setattr(views.torch.cuda, "get_device_properties", lambda _, device=device: device)
        if fits:
            views._check_fits(decoded, rule, torch.device("cuda"))
        else:
            with pytest.raises(VideoError, match=r"its 8 frames, .* once resized, take .*; cuda has"):
                views._check_fits(decoded, rule, torch.device("cuda"))

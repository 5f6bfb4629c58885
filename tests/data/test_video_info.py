"""Videos whose header and content disagree: two readings of each, the kind by its name, what stamps say."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

import videohub
from tests.data.barcode import HEIGHT, WIDTH, number, picture, write
from tests.data.contradicted_videos import KEPT, UNCOUNTED, VIDEOS, turned
from tests.data.sample_videos import protocol
from videohub.data.video import open_video
from videohub.data.video_info import StampReader, VideoInfo, contradictions, true_info
from videohub.data.views import Views, read_content_views, read_views
from videohub.errors import VideoError
from videohub.registry.schema import Clip

TEN_CLIPS, CLIP = protocol(clips=10), Clip(frames=32, sampling_rate=2)


def clip_of(views: Views, clip: int) -> list[int]:
    """Return the numbers in the pictures of a clip."""
    return [number(views.frames[row].permute(1, 2, 0).numpy()) for row in views.positions[clip].tolist()]


def ends(views: Views) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the first and the last frame of the first and the last clip."""
    first, last = clip_of(views, 0), clip_of(views, 9)
    return (first[0], first[-1]), (last[0], last[-1])


def as_the_original(path: Path, clip: int) -> list[int]:
    """Return the frames of a clip as the reference decoder is described: seek, keep a window, sort it, sample it."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        span = 64 / 30 * float(stream.average_rate)
        first, last = 0.0, float("inf")
        if stream.duration is not None:
            start = max(stream.frames - span, 0) * clip / 10
            tick = stream.duration / stream.frames
            first, last = int(start * tick), int((start + span - 1) * tick)
        container.seek(max(int(first) - 1024, 0), stream=stream)
        kept = {}
        for frame in container.decode(stream):
            if frame.pts >= first:
                kept[frame.pts] = frame
            if frame.pts > last:
                break
    frames = [kept[pts] for pts in sorted(kept)]
    begin = max(len(frames) - span, 0) * clip / 10 if last == float("inf") else 0
    points = torch.linspace(begin, begin + span - 1, 32).clamp(0, len(frames) - 1).long().tolist()
    return [number(frames[point].to_ndarray(format="rgb24")) for point in points]


@pytest.mark.parametrize("name", VIDEOS)
def test_the_content_of_a_video_is_what_decodes_at_the_times_its_stamps_tell(tmp_path, name):
    video = VIDEOS[name]
    assert ends(read_content_views(video.write(tmp_path), TEN_CLIPS, CLIP)) == video.content


@pytest.mark.parametrize("name", VIDEOS)
def test_the_original_believes_the_header_or_refuses_it(tmp_path, name):
    video = VIDEOS[name]
    path = video.write(tmp_path)
    if isinstance(video.original, str):
        with pytest.raises(VideoError, match=video.original):
            read_views(path, TEN_CLIPS, CLIP)
    elif video.original is not None:
        assert ends(read_views(path, TEN_CLIPS, CLIP)) == video.original


@pytest.mark.parametrize("name", [name for name, video in VIDEOS.items() if not isinstance(video.original, str)])
def test_one_pass_chooses_the_frames_that_the_original_seeks(tmp_path, name):
    path = VIDEOS[name].write(tmp_path)
    views = read_views(path, TEN_CLIPS, CLIP)
    assert [clip_of(views, clip) for clip in (0, 4, 9)] == [as_the_original(path, clip) for clip in (0, 4, 9)]


def test_an_avi_whose_frames_are_stored_out_of_order_is_read_in_the_decoders_order(tmp_path):
    path = write(tmp_path / "b_frames.avi", b_frames=2)
    content, original = read_content_views(path, TEN_CLIPS, CLIP), read_views(path, TEN_CLIPS, CLIP)
    assert clip_of(content, 0) == [*range(0, 62, 2), 63]
    assert clip_of(original, 0) == as_the_original(path, 0) != sorted(clip_of(original, 0))
    assert "frames out of order" in {one.kind for one in original.contradictions}


def test_a_list_of_frames_is_in_the_order_of_stamps_in_the_original_and_of_decoding_in_the_content(tmp_path):
    path = VIDEOS["two streams"].write(tmp_path)
    # segments of 119 / 4 frames: borders 0, 30, 60, 89, 119, so frames 15, 45, 74 and 104 of the list. By their stamps
    # it is 0, 60, 1, 61, …
    rule, four = protocol(clips=1, sampling="segments"), Clip(4, 1)
    assert clip_of(read_content_views(path, rule, four), 0) == [15, 45, 74, 104]
    assert clip_of(read_views(path, rule, four), 0) == [67, 82, 37, 52]


@pytest.mark.parametrize("name", VIDEOS)
def test_each_kind_is_named(tmp_path, name):
    video = VIDEOS[name]
    views = read_content_views(video.write(tmp_path), TEN_CLIPS, CLIP)
    assert {one.kind for one in views.contradictions} == video.kinds


@pytest.mark.parametrize("name", ["first fragment", "duration of 0", "late", "clock rate", "cover first",
                                  "cover in Matroska", "no average rate", "stale tag", "fragments alone"])  # fmt: skip
def test_the_header_alone_tells_these_kinds(tmp_path, name):
    with open_video(VIDEOS[name].write(tmp_path)) as video:
        assert {one.kind for one in contradictions(video.info)} == VIDEOS[name].kinds


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("b_frames", [0, 2])
def test_a_video_without_contradictions_has_one_reading(tmp_path, suffix, b_frames):
    path = write(tmp_path / f"plain.{suffix}", b_frames=b_frames)
    original, content = read_views(path, TEN_CLIPS, CLIP), read_content_views(path, TEN_CLIPS, CLIP)
    assert (original.contradictions, content.contradictions) == ((), ())
    assert torch.equal(original.decode_positions, content.decode_positions)


def test_real_videos_have_no_contradictions(media):
    for name in ("demo.mp4", "nasa_13013.mp4"):
        with open_video(media / name) as video:
            assert contradictions(video.info, video.stamps()) == ()


@pytest.mark.parametrize(
    ("matrix", "words", "made"),
    [
        ((0, 1, -1, 0), "90 degrees", lambda pixels: np.rot90(pixels, -1)),
        ((-1, 0, 0, -1), "180 degrees", lambda pixels: np.rot90(pixels, 2)),
        ((0, -1, 1, 0), "270 degrees", lambda pixels: np.rot90(pixels)),
        ((-1, 0, 0, 1), "mirrored, left and right", np.fliplr),
        ((1, 0, 0, -1), "mirrored, top and bottom", np.flipud),
        ((0, 1, 1, 0), "mirrored and 90 degrees", lambda pixels: pixels.transpose(1, 0, 2)),
    ],
)
def test_pictures_are_turned_upright_in_the_content_and_not_in_the_original(tmp_path, matrix, words, made):
    path, whole = turned(tmp_path, matrix), protocol(clips=2, crop=None, short_side=64)
    content, original = (read(path, whole, CLIP) for read in (read_content_views, read_views))
    assert [str(one) for one in content.contradictions] == [f"turned picture: {words}"] == [
        str(one) for one in original.contradictions
    ]  # fmt: skip
    as_stored = original.frames[0].permute(1, 2, 0).numpy()
    assert np.abs(as_stored - picture(0) / 255).max() < 0.15  # within what the codec loses
    assert np.array_equal(content.frames[0].permute(1, 2, 0).numpy(), made(as_stored))


@pytest.mark.parametrize("tag", [1, 3, 6, 8])
def test_pictures_of_cameras_with_what_they_note_beside_them_are_read_and_turned(tmp_path, tag):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = tag, "a camera"
    path, whole = tmp_path / "camera.jpg", protocol(clips=1, crop=None, short_side=64)
    Image.fromarray(picture(7)).save(path, exif=exif, quality=95)
    views = read_content_views(path, whole, CLIP)
    seen = np.asarray(ImageOps.exif_transpose(Image.open(path))) / 255
    assert np.abs(views.frames[0].permute(1, 2, 0).numpy() - seen).mean() < 0.05
    assert [one.kind for one in views.contradictions] == ["turned picture"] * (tag > 1)
    assert read_views(path, whole, CLIP).frames.shape == (1, 3, 64, 96)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_slides_are_seen_at_their_times_also_where_a_clip_is_shorter_than_one(tmp_path, suffix):
    # a slide lasts 4 s, a clip 64/30 s or 0.53 slides: clips begin at (3 - 0.53) i / 10, on slides 0 … 0, 1 …, 2
    path = write(tmp_path / f"slides.{suffix}", 3, rate=Fraction(1, 4))
    views = read_content_views(path, TEN_CLIPS, CLIP)
    assert [set(clip_of(views, clip)) for clip in range(10)] == [{int((3 - 8 / 15) * clip / 10)} for clip in range(10)]


def test_a_rate_that_is_but_the_clock_s_is_none(tmp_path):
    path = _with_much_sound_first(tmp_path / "v.ts")
    with open_video(path) as video:
        assert (video.info.average_rate, video.info.guessed_rate) == (None, None)
    assert ends(read_content_views(path, TEN_CLIPS, CLIP)) == UNCOUNTED


def _with_much_sound_first(path: Path) -> Path:
    """Write 20 s of sound and behind it the video, which FFmpeg does not come to when it looks for rates."""
    with av.open(str(path), "w") as file:
        sound, video = file.add_stream("aac", rate=48000), file.add_stream("libx264", rate=30, options={"bf": "0"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for second in range(20):
            heard = av.AudioFrame.from_ndarray(np.zeros((1, 48000), np.float32), format="fltp", layout="mono")
            heard.sample_rate, heard.pts, heard.time_base = 48000, 48000 * second, Fraction(1, 48000)
            file.mux(sound.encode(heard))
        file.mux(sound.encode(None))
        for place in range(150):
            frame = av.VideoFrame.from_ndarray(picture(place), format="rgb24")
            frame.pts, frame.time_base = place, Fraction(1, 30)
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
    return path


def test_an_edit_list_that_leaves_nothing_is_told_as_one(tmp_path):
    path = write(tmp_path / "v.mp4", 30)
    content = bytearray(path.read_bytes())
    struct.pack_into(">I", content, content.index(b"elst") + 12, 0)
    path.write_bytes(content)
    with pytest.raises(VideoError, match=r"holds no pictures: its edit list cuts all of them away"):
        read_content_views(path, TEN_CLIPS, CLIP)


def test_a_format_that_this_ffmpeg_lacks_is_not_called_damaged():
    if "webp_anim" in av.formats_available:  # FFmpeg 9, which reads all of its 40 frames
        assert read_content_views(KEPT / "animated.webp", TEN_CLIPS, CLIP).decode_positions.max() == 39
        return
    with pytest.raises(VideoError, match=r"animated\.webp: this FFmpeg cannot read animated WebP; convert it$"):
        read_content_views(KEPT / "animated.webp", TEN_CLIPS, CLIP)


def test_a_codec_that_nobody_knows_is_not_called_damaged(tmp_path):
    path = write(tmp_path / "v.mp4", 10)
    content = path.read_bytes()
    place = content.index(b"avc1", content.index(b"stsd"))  # the description of the samples, not the file's brands
    path.write_bytes(content[:place] + b"zzzz" + content[place + 4 :])
    with pytest.raises(VideoError, match=r"v\.mp4: this FFmpeg has no decoder for its pictures; convert it$"):
        read_views(path, TEN_CLIPS, CLIP)


def test_a_whole_file_is_not_called_cut_whatever_its_headers_state(tmp_path):
    path = write(tmp_path / "v.mkv")
    content = bytearray(path.read_bytes().replace(b"00:00:05.000000000", b"00:00:12.500000000"))
    place = content.index(b"\x44\x89\x88") + 3  # the segment's own length, in milliseconds
    assert struct.unpack_from(">d", content, place) == (5000,)
    struct.pack_into(">d", content, place, 12500)
    path.write_bytes(content)
    assert ends(read_content_views(path, TEN_CLIPS, CLIP)) == UNCOUNTED
    path.write_bytes(content[: len(content) * 4 // 5])
    with pytest.raises(VideoError, match=r"v\.mkv: (cut short|damaged)"):
        read_content_views(path, TEN_CLIPS, CLIP)


def test_views_are_the_originals_and_say_so_where_the_content_has_others(tmp_path, caplog):
    path = VIDEOS["late"].write(tmp_path)
    views = videohub.views(path, "slow_r50_4x16")
    assert (views == views[:, :, :1]).all()  # one frame throughout
    assert "first time stamp: the first frame is shown at 5.00 s" in caplog.text


@dataclass
class Packet:
    """A packet of one tick's length."""

    pts: int | None
    dts: int | None
    duration: int | None = 1
    size: int = 1
    is_discard: bool = False


NO_COUNT = VideoInfo(0, Fraction(25), None, Fraction(1, 50), 96, 64, guessed_rate=Fraction(25))


def test_two_fields_in_packets_of_their_own_are_one_picture():
    reader = StampReader()
    for field in range(100):  # 50 a second; the second field of each picture has no stamp to be shown at
        reader.take(Packet(None if field % 2 else field, field))
        if field % 2:
            reader.show(field - 1)
    reader.close()
    stamps = reader.stamps()
    assert (stamps.count, stamps.step, stamps.unstamped) == (50, 2, 0)
    assert contradictions(NO_COUNT, stamps) == ()
    assert true_info(NO_COUNT, stamps) == NO_COUNT


def test_pictures_that_are_never_shown_do_not_count():
    reader = StampReader()
    for tick in range(100):
        reader.take(Packet(2 * tick, 2 * tick))
        reader.show(2 * tick)
        if tick % 10 == 0:
            reader.take(Packet(2 * tick + 1, 2 * tick + 1))  # what later ones are predicted from
    assert reader.stamps().count == 110  # as far as packets tell
    reader.close()
    assert (reader.stamps().count, contradictions(NO_COUNT, reader.stamps())) == (100, ())


def test_a_stream_without_a_packet_says_nothing():
    stamps = StampReader().stamps()
    assert (stamps.count, stamps.first, stamps.step, stamps.ordered) == (0, None, None, True)
    assert contradictions(NO_COUNT, stamps) == ()

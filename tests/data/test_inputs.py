"""Whatever people call a video is read as its file is, and nothing is left of what was made for that."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.data import barcode
from tests.data.sample_videos import FOUR_FRAMES, protocol
from tests.hub.publisher import LOG_IN, Publisher, cut, first, refusing, running
from videohub.data.inputs import input_name, named_videos, video_source
from videohub.data.samples import ImageFile
from videohub.data.views import read_content_views
from videohub.data.windows import open_frames
from videohub.errors import DataError, DeviceError, DownloadError, OfflineError, UsageError, VideoError
from videohub.hub import http_request
from videohub.protocols import Resampled
from videohub.registry.schema import Clip

PLAIN = protocol()  # 30 frames a second, two clips, the centre of 48 pixels; a clip spans 8 frames
IMAGES = protocol(sampling="image", clips=1)


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path, monkeypatch):
    """Temporary files have a folder of their own, and it is empty after each test; so is the cache."""
    temporary, cache = tmp_path / "temporary", tmp_path / "cache"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    for name in ("VIDEOHUB_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "VIDEOHUB_MIRRORS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VIDEOHUB_HOME", str(cache))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield
    assert list(temporary.iterdir()) == []
    assert [path for path in cache.rglob("*") if path.is_file()] == []


@pytest.fixture
def publisher(monkeypatch):
    for name, value in {"PAUSE_S": 0, "ATTEMPTS": 3}.items():
        monkeypatch.setattr(http_request, name, value)
    with running() as publisher:
        yield publisher


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    return barcode.write(tmp_path_factory.mktemp("videos") / "twenty.mp4", 20)


def noise(count: int = 20, height: int = 48, width: int = 71) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), np.uint8)


def views(given, protocol=PLAIN, clip=FOUR_FRAMES, **settings) -> torch.Tensor:
    with video_source(given, protocol, **settings) as source:
        return read_content_views(source.path, protocol, clip).stack()


# --- frames in memory ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fps", "chosen"),
    [
        (None, [[0, 2, 4, 7], [6, 8, 10, 13]]),  # the protocol's 30: 8 frames, (20 - 8) / 2 further on
        (30, [[0, 2, 4, 7], [6, 8, 10, 13]]),
        (15, [[0, 1, 2, 3], [8, 9, 10, 11]]),  # 4 frames last as long, (20 - 4) / 2
        (60, [[0, 5, 10, 15], [2, 7, 12, 17]]),  # 16 frames, (20 - 16) / 2
    ],
)
def test_frames_are_seen_as_they_are_at_the_rate_that_is_said(fps, chosen):
    frames = noise()
    seen = views(frames, fps=fps)
    left = 12  # of the centre: 23 pixels are left over, and PySlowFast rounds the half up
    for view, numbers in zip(seen, chosen, strict=True):
        expected = torch.from_numpy(frames[numbers, :, left : left + 48]).permute(3, 0, 1, 2) / 255
        assert torch.equal(view, expected)


@pytest.mark.parametrize(
    "as_given",
    [
        lambda frames: torch.from_numpy(frames),
        lambda frames: torch.from_numpy(frames).permute(0, 3, 1, 2),
        lambda frames: frames.transpose(0, 3, 1, 2),
        lambda frames: np.asfortranarray(frames),
        lambda frames: list(frames),
        lambda frames: [Image.fromarray(frame) for frame in frames],
        lambda frames: tuple(Image.fromarray(frame).convert("RGBA") for frame in frames),
    ],
)
def test_frames_may_come_in_any_wrapping(as_given):
    frames = noise()
    assert torch.equal(views(as_given(frames)), views(frames))


def test_grey_pictures_are_seen_in_grey():
    grey = noise()[..., :1].repeat(3, axis=3)
    assert torch.equal(views([Image.fromarray(frame[..., 0]) for frame in grey]), views(grey))


@pytest.mark.parametrize("given", [noise(1), list(noise(1)), Image.fromarray(noise(1)[0])])
def test_one_frame_is_an_image_where_images_are_wanted(given):
    with video_source(given, IMAGES) as source:
        assert isinstance(source, ImageFile)
        seen = read_content_views(source.path, IMAGES, Clip(frames=1, sampling_rate=1)).stack()
    assert torch.allclose(seen[0, :, 0], torch.from_numpy(noise(1)[0, :, 12:60]).permute(2, 0, 1) / 255)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (noise().astype(np.float32), r"frames \(20, 48, 71, 3\): found float32, expected uint8"),
        (noise().astype(np.int64), "found int64, expected uint8"),
        (torch.zeros(20, 3, 48, 71), "found float32, expected uint8"),
        (noise()[0], r"frames \(48, 71, 3\): expected \(T, H, W, 3\).*a single frame is frames\[None\]"),
        (noise()[None], r"frames \(1, 20, 48, 71, 3\): expected .*; of several videos each is one"),
        (noise()[..., :2], r"expected \(T, H, W, 3\) or \(T, 3, H, W\)"),
        (noise(0), "with at least one frame"),
        ([], "0 frames: found no pixels"),
        ([*noise(2), noise(1)[0, :, :70]], "frame 2 of 3: found 70x48 pixels, expected 71x48 as frame 0"),
        (["a.mp4", "b.mp4"], "frame 0 of 2: found a str, expected a PIL image.*several videos are what predict_many"),
        ([noise(1)[0].astype(float)], r"frame 0 of 1: found a ndarray of float64 \(48, 71, 3\)"),
        ([noise(2)], r"frame 0 of 1: found a ndarray of uint8 \(2, 48, 71, 3\)"),
        (3, "found a int, expected a path, a URL"),
        (None, "found a NoneType, expected a path"),
        (io.StringIO("text"), 'found a file that gives text, expected one opened with "rb"'),
    ],
)
def test_what_is_no_video_is_refused_and_says_what_was_found(given, said):
    with pytest.raises(UsageError, match=said):
        views(given)


def opened(pictures: list[Image.Image], kind: str) -> Image.Image:
    """Return pictures as Pillow opens them from a file."""
    file = io.BytesIO()
    pictures[0].save(file, kind, save_all=len(pictures) > 1, append_images=pictures[1:])
    return Image.open(io.BytesIO(file.getvalue()))


def test_a_file_of_pictures_that_pillow_opened_is_not_taken_for_its_first():
    animated = opened([Image.fromarray(picture) for picture in noise(3)], "GIF")
    with pytest.raises(UsageError, match="an image: found a file of 3 pictures, expected a still one; give the file's"):
        views(animated)


def test_levels_beyond_eight_bits_are_brought_to_eight_or_refused_as_in_files():
    grey = noise()[..., 0]
    deep = [opened([Image.fromarray(picture.astype(np.uint16) * 256 + 255)], "PNG") for picture in grey]
    assert torch.equal(views(deep), views(np.repeat(grey[..., None], 3, axis=3)))
    for odd in (grey.astype(np.uint16), grey.astype(np.float32), grey.astype(np.int32)):
        with pytest.raises(VideoError, match=r"frame 0 of 20: its pixels \(in memory, mode .* which value is white"):
            views([Image.fromarray(picture) for picture in odd])


def test_a_picture_that_is_cut_short_is_no_fault_of_the_disk():
    file = io.BytesIO()
    Image.fromarray(noise()[0]).save(file, "PNG")
    with pytest.raises(VideoError, match="frame 0 of 1: not an image that can be read"):
        views([Image.open(io.BytesIO(file.getvalue()[:2000]))])


def test_several_frames_are_no_image():
    with pytest.raises(UsageError, match="2 frames: expected one, for a network that looks at images"):
        views(noise(2), IMAGES)


@pytest.mark.parametrize("given", ["clip.mp4", "https://example.org/clip.MOV"])
def test_a_video_is_no_image(given):
    with pytest.raises(UsageError, match=r"clip\.\w+: found a video, expected an image: this network looks at single"):
        views(given, IMAGES)


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(fps):
    with pytest.raises(UsageError, match=r"fps: found .*, expected frames a second"):
        views(noise(), fps=fps)


@pytest.mark.parametrize("fps", [0.001, 0.0015, 0.9, np.float32(30)])
def test_a_slow_rate_is_kept(fps):
    with video_source(noise(3), PLAIN, fps=fps) as source, open_frames(source.path) as frames:
        assert frames.rate == pytest.approx(float(fps), rel=1e-3)


def test_a_file_that_was_closed_is_refused(video):
    with video.open("rb") as file:
        pass
    with pytest.raises(UsageError, match=r"twenty\.mp4: found a file that is closed, expected an open one"):
        views(file)


def test_a_rate_beside_a_file_is_refused(video):
    with pytest.raises(UsageError, match=r"fps: found 25 beside .*twenty\.mp4, expected none: a video states its own"):
        views(video, fps=25)


def test_a_disk_that_refuses_a_temporary_file_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(DeviceError, match=r"^frames .*: no temporary file could be made of it in .*\n.*TMP"):
        views(noise())


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "as_given",
    [str, Path, Path.read_bytes, *(lambda path, kind=kind: kind(path.read_bytes())
                                   for kind in (bytearray, memoryview, io.BytesIO))],
)  # fmt: skip
def test_a_file_its_bytes_and_an_open_file_are_the_same_video(video, as_given):
    assert torch.equal(views(as_given(video)), read_content_views(video, PLAIN, FOUR_FRAMES).stack())


def test_a_video_that_was_opened_as_text_is_refused_before_it_is_decoded(video):
    with video.open(encoding="utf-8") as file, pytest.raises(UsageError, match='opened with "rb"'):
        views(file)


def test_an_open_file_is_read_from_its_beginning_and_stands_where_it_stood(video):
    with video.open("rb") as file:
        file.seek(100)
        assert torch.equal(views(file), views(video))
        assert (file.tell(), file.closed) == (100, False)


def test_what_cannot_go_back_is_read_from_where_it_stands(video):
    class Stream(io.RawIOBase):
        rest = io.BytesIO(video.read_bytes())

        def read(self, size=-1):
            return self.rest.read(size)

        def seekable(self):
            return False

    assert torch.equal(views(Stream()), views(video))


def test_a_path_that_was_a_url_says_how_to_pass_it():
    with pytest.raises(UsageError, match=r"https:/host/clip\.mp4: found a path that was a URL, expected its text"):
        views(Path("https://host/clip.mp4"))


def test_the_refusal_of_a_rule_for_frames_names_the_video_too(video):
    """Rules count frames, and know no files: of torchvision's, clips of 4 frames at 1 a second need 4 seconds."""
    seconds = protocol(frames=Resampled(fps=1.0, past_end="refuse"), join="mean")
    for given in (video, video.read_bytes()):
        with (
            pytest.raises(VideoError, match="fewer than a clip takes") as raised,
            video_source(given, seconds) as source,
        ):
            read_content_views(source.path, seconds, FOUR_FRAMES)
        assert str(raised.value).startswith(f"{input_name(given)}: its ")


def test_errors_name_what_was_given_and_not_the_temporary_file(video, publisher):
    half = video.read_bytes()[: video.stat().st_size // 2]
    with pytest.raises(VideoError, match=f"^{len(half)} bytes: "):
        views(half)
    url = publisher.publish("/half.mp4", half)
    with pytest.raises(VideoError, match=f"^{url}: "):
        views(url)
    with pytest.raises(VideoError, match=r"^0 bytes: the file is empty"):
        views(b"")
    with pytest.raises(UsageError, match=r"^nowhere\.mp4: no such video file"):
        views("nowhere.mp4")


@pytest.mark.parametrize(
    ("given", "name"),
    [("a.mp4", "a.mp4"), (Path("b/a.mp4"), "b/a.mp4"), ("https://host/a.mp4", "https://host/a.mp4"),
     ("https://alice:pw@host/a.mp4?X-Amz-Signature=1", "https://host/a.mp4"), (b"ab", "2 bytes"),
     (noise(2), "frames (2, 48, 71, 3)"), (list(noise(2)), "2 frames"), (Image.new("RGB", (2, 2)), "an image"),
     (io.BytesIO(), "a BytesIO")],
)  # fmt: skip
def test_a_video_is_called_by_its_path_or_by_what_it_is_made_of(given, name):
    assert input_name(given) == name


# --- URLs ------------------------------------------------------------------------------------------------------------


def test_a_password_with_a_slash_in_it_is_not_told_and_how_to_write_it_is():
    with pytest.raises(UsageError, match="%2F") as refused:
        views("https://alice:hun/ter2@host.invalid/a.mp4")
    assert "hun" not in str(refused.value)


def test_what_a_url_leads_to_is_read_and_not_kept(video, publisher):
    url = publisher.publish("/a clip?token=1".replace(" ", "%20"), video.read_bytes(), first(1, refusing(503)))
    assert torch.equal(views(url), views(video))
    assert len(publisher.requests) == 2
    assert torch.equal(views(video.resolve().as_uri()), views(video))


def test_no_error_shows_what_may_be_a_credential(publisher):
    gone = f"{publisher.url('/gone.mp4')}?token=hunter2#hunter2".replace("//", "//alice:hunter2@")
    cut_short = publisher.publish("/cut.mp4?token=hunter2", b"no video").replace("//", "//alice:hunter2@")
    for url, kind, text in ((gone, DownloadError, "/gone.mp4"), (cut_short, VideoError, "/cut.mp4: ")):
        with pytest.raises(kind) as error:
            views(url)
        assert text in str(error.value)
        assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "behaviours", "said"),
    [
        (LOG_IN, (), "gave a web page and no video"),
        (bytes(range(256)) * 1000, (cut([1000] * 9),), "could not be downloaded.*\n.*Nothing was kept"),
        (b"x", (refusing(404),), "404.*\n.*bring the file here by hand and give its path|Bring the file here by hand"),
    ],
)
def test_a_url_that_gives_no_video_is_told(publisher: Publisher, content, behaviours, said):
    url = publisher.publish("/clip.mp4", content, *behaviours)
    with pytest.raises(DownloadError, match=said) as refused:
        views(url)
    assert "--checkpoint" not in str(refused.value)


@pytest.mark.parametrize("url", ["s3://bucket/clip.mp4", "ftp://host/clip.mp4", "hf://org/repo/clip.mp4"])
def test_urls_of_other_kinds_are_refused(url):
    with pytest.raises(DownloadError, match=r"expected (http, https or file, or )?hf://org/repo/file@revision"):
        views(url)


def test_without_a_connection_a_url_is_refused_before_it_is_tried(publisher, monkeypatch):
    monkeypatch.setenv("VIDEOHUB_OFFLINE", "1")
    with pytest.raises(OfflineError, match=r"video: http.*clip\.mp4 is to be fetched, and VIDEOHUB_OFFLINE forbids"):
        views(publisher.publish("/clip.mp4", b"x"))
    assert publisher.requests == []


# --- several ---------------------------------------------------------------------------------------------------------


def made(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_a_folder_stands_for_the_videos_in_it(tmp_path, caplog):
    folder = made(tmp_path / "videos", "b.MP4", "a/c.webm", "a/notes.txt", ".hidden/d.mp4", "._b.mp4", "picture.jpg")
    assert named_videos([folder], PLAIN) == [f"{folder}/a/c.webm", f"{folder}/b.MP4"]
    assert caplog.messages == [f"{folder}: left out: files of other endings, 2 in all: a/notes.txt, picture.jpg"]
    assert named_videos([folder], IMAGES) == [f"{folder}/picture.jpg"]
    assert named_videos(["x.mp4", str(folder), "https://host/y"], PLAIN) == [
        "x.mp4", f"{folder}/a/c.webm", f"{folder}/b.MP4", "https://host/y"
    ]  # fmt: skip
    with pytest.raises(UsageError, match=r"a/notes: this folder holds no files that end in \.mp4, "):
        named_videos([made(tmp_path / "a", "notes/x.jpg") / "notes"], PLAIN)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a.mp4\n\n  b c.mp4 \r\n", ["{}/a.mp4", "{}/b c.mp4"]),
        ("a.mp4 3\nb c.mp4, 12\n", ["{}/a.mp4", "{}/b c.mp4"]),  # as `verify` has them
        ("video 1\nvideo two\n", ["{}/video 1", "{}/video two"]),  # no label on each line: none at all
        ('"a 1.mp4" 3\n', ["{}/a 1.mp4"]),
        ("https://host/a.mp4\n/abs/b.mp4\n", ["https://host/a.mp4", "/abs/b.mp4"]),
    ],
)
def test_a_list_stands_for_the_videos_on_its_lines(tmp_path, content, expected):
    (tmp_path / "list.txt").write_text(content, newline="")
    assert named_videos([tmp_path / "list.txt"], PLAIN) == [each.format(tmp_path) for each in expected]


def test_a_list_that_names_nothing_or_is_no_text_is_refused(tmp_path):
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(DataError, match="the list holds no videos"):
        named_videos([tmp_path / "empty.txt"], PLAIN)
    (tmp_path / "zeros.txt").write_bytes(b"a\0")
    with pytest.raises(DataError, match="not a text file in UTF-8"):
        named_videos([tmp_path / "zeros.txt"], PLAIN)

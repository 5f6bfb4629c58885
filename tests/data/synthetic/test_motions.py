"""The generated data set: the same everywhere, well formed, and told apart by motion alone."""

import dataclasses
import hashlib
import json
import math
import subprocess
import sys

import av
import numpy as np
import pytest

from videohub.data import labels
from videohub.data.synthetic import motions, scenes
from videohub.errors import UsageError

CHANCE = 1 / len(motions.CLASSES)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("motions")
    return motions.generate(folder, clips=20)


def digest(split, index):
    """A sha256 of the frames of a video before encoding."""
    scene = motions.clip_scene(split, index)
    frames = (scenes.picture(scene, frame).tobytes() for frame in range(scene.frames))
    return hashlib.sha256(b"".join(frames)).hexdigest()


def luck(tries):
    """The fewest right answers that guessing reaches less than once in ten thousand times."""
    chances = [math.comb(tries, k) * CHANCE**k * (1 - CHANCE) ** (tries - k) for k in range(tries + 1)]
    return next(k for k in range(tries + 1) if sum(chances[k:]) < 1e-4)


def right_answers(features, train, test):
    """How many of `test` lie nearest to the mean of their own class in `train`, each feature scaled to its spread."""
    x = np.stack([features(scene) for scene in train + test])
    x = (x - x[: len(train)].mean(0)) / (x[: len(train)].std(0) + 1e-9)
    labels = np.array([scene.label for scene in train])
    means = np.stack([x[: len(train)][labels == label].mean(0) for label in range(len(motions.CLASSES))])
    nearest = ((x[len(train) :, None] - means) ** 2).sum(2).argmin(1)
    return int((nearest == [scene.label for scene in test]).sum())


def grey(scene, frame, side=48):
    picture = scenes.picture(scene, frame).mean(2)
    rows, columns = (np.linspace(0, length - 1, side).round().astype(int) for length in picture.shape)
    return picture[np.ix_(rows, columns)]


def single_frame(scene):
    return grey(scene, scene.frames // 2, side=16).ravel()


def two_frames(scene):
    """How the picture moves across, moves down, grows and turns, by the gradient method about where it changes."""
    before, after = grey(scene, 0), grey(scene, 1)
    change = after - before - (after - before).mean()
    down, across = np.gradient((before + after) / 2)
    y, x = np.indices(change.shape)
    y, x = (axis - (axis * change**2).sum() / (change**2).sum() for axis in (y, x))
    patterns = (across, down, across * x + down * y, down * x - across * y)
    return np.array([-(p * change).sum() / np.sqrt((p**2).sum() * (change**2).sum()) for p in patterns])


def test_a_clip_has_the_same_frames_each_time_and_in_another_process():
    again = "from tests.data.synthetic.test_motions import digest; print(digest('train', 3))"
    other = subprocess.run([sys.executable, "-c", again], capture_output=True, text=True, check=True).stdout.strip()
    assert digest("train", 3) == digest("train", 3) == other


def test_the_pixels_of_the_videos_are_the_same_on_every_machine_with_every_version(made):
    """Seen with PyAV 14, 18 and 19, numpy 1.26, 2.4 and 2.5, and with x264's assembly left out (`no-asm=1`)."""
    videos = json.loads((made.parent / "test.json").read_text())["videos"]
    pixels = "".join(video["pixels"] for video in videos.values())
    assert hashlib.sha256(pixels.encode()).hexdigest() == (
        "9fe70bc92bfd31f26fe75ce1d70f9266e023825f12244867c2c21d19a6bc1e76"
    )


@pytest.mark.parametrize(
    ("colour", "expected"),  # BT.601 with luma 16..235 and chroma 16..240: black, white, grey, the primaries
    [
        ((0, 0, 0), (16, 128, 128)),
        ((255, 255, 255), (235, 128, 128)),
        ((128, 128, 128), (126, 128, 128)),
        ((255, 0, 0), (81.5, 90.2, 240)),
        ((0, 255, 0), (144.6, 53.8, 34.2)),
        ((0, 0, 255), (41, 240, 109.8)),
    ],
)
def test_colours_become_those_of_the_standard(colour, expected):
    planes = motions.to_yuv420(np.full((4, 6, 3), colour, np.uint8))
    assert planes.shape == (6, 6)
    luma, u, v = planes.ravel()[:24], planes.ravel()[24:30], planes.ravel()[30:]
    for plane, value in zip((luma, u, v), expected, strict=True):
        assert np.ptp(plane) == 0
        assert abs(int(plane[0]) - value) <= 1


def test_each_chroma_sample_is_the_mean_of_its_four_pixels_and_luma_each_pixel_s_own():
    picture = np.zeros((2, 4, 3), np.uint8)
    picture[:, 2:] = 255  # the right half white: no colour anywhere, and a step in luma only
    picture[1, 0] = (255, 0, 0)
    planes = motions.to_yuv420(picture).ravel()
    assert planes[:8].tolist() == [16, 16, 235, 235, 82, 16, 235, 235]
    assert planes[8:].tolist() == [119, 128, 156, 128]  # 128 - 37.8 / 4 and 128 + 112 / 4


def test_two_sets_have_the_same_bytes_whatever_the_number_of_workers(tmp_path):
    for folder, workers in (("one", 1), ("two", 2)):
        motions.generate(tmp_path / folder, clips=4, workers=workers)
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / f).rglob("*") if p.is_file()} for f in ("one", "two"))
    assert one == two
    assert len(one) == 4 + 2


def test_list_names_each_video_once_with_every_class_equally_often(made):
    lines = [line.split(" ") for line in made.read_text().splitlines()]
    assert made.name == "test.csv"
    assert [path for path, _ in lines] == [f"videos/test_{index:05d}.mp4" for index in range(20)]
    assert sorted(int(label) for _, label in lines) == sorted(list(range(10)) * 2)
    assert {p.name for p in (made.parent / "videos").iterdir()} == {path.split("/")[1] for path, _ in lines}


def test_every_video_decodes_to_the_frames_that_were_drawn(made):
    for index in range(20):
        scene = motions.clip_scene("test", index)
        path = made.parent / f"videos/test_{index:05d}.mp4"
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.name == "h264"
            assert stream.average_rate == scene.fps
            assert stream.frames == scene.frames
            decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert len(decoded) == scene.frames
        assert decoded[0].shape == (scene.height, scene.width, 3)
        middle = scene.frames // 2
        error = np.abs(decoded[middle].astype(float) - scenes.picture(scene, middle)).mean()
        assert error < 8, f"{path.name}: a frame is {error} grey levels off, so it is another frame or badly coded"
        assert path.stat().st_size < 64_000


def test_sizes_rates_lengths_and_b_frames_vary():
    drawn = [motions.clip_scene("test", index) for index in range(200)]
    assert {(s.width, s.height) for s in drawn} == set(scenes.SIZES)
    assert all(s.width % 2 == s.height % 2 == 0 for s in drawn)
    assert {s.fps for s in drawn} == set(scenes.RATES)
    assert {s.b_frames for s in drawn} == {0, 2}
    assert all(scenes.SECONDS[0] - 0.05 < s.frames / s.fps < scenes.SECONDS[1] + 0.05 for s in drawn)


def test_some_videos_are_coded_out_of_display_order(made):
    def out_of_order(path):
        with av.open(str(path)) as container:
            shown = [packet.pts for packet in container.demux(video=0) if packet.pts is not None]
        return shown != sorted(shown)

    reordered = [out_of_order(made.parent / f"videos/test_{index:05d}.mp4") for index in range(20)]
    assert reordered == [motions.clip_scene("test", index).b_frames > 0 for index in range(20)]


@pytest.mark.parametrize(
    ("name", "phase", "sign"),
    [
        ("moving left", 0, -1),
        ("moving right", 0, 1),
        ("moving up", 1, -1),
        ("moving down", 1, 1),
        ("turning clockwise", 2, 1),
        ("turning counterclockwise", 2, -1),
        ("growing", 3, 1),
        ("shrinking", 3, -1),
    ],
)
def test_a_steady_class_changes_one_phase_in_one_direction(name, phase, sign):
    motion = scenes.scene_of("a", motions.CLASSES.index(name)).target.motion
    once, twice = motion.at(0.5), motion.at(1.0)
    assert [math.copysign(1, d) if d else 0 for d in once] == [sign if p == phase else 0 for p in range(4)]
    assert twice == pytest.approx([2 * d for d in once])


def test_swaying_comes_back_after_a_swing():
    for name in ("swaying slowly", "swaying fast"):
        motion = scenes.scene_of("a", motions.CLASSES.index(name)).target.motion
        assert motion.at(0.3 + 1 / motion.swings) == pytest.approx(motion.at(0.3))
        assert motion.at(0.3 + 0.5 / motion.swings) == pytest.approx([-d for d in motion.at(0.3)])


def test_the_class_decides_nothing_but_how_the_target_moves():
    still = scenes.Motion()
    for name in ("a", "b", "c"):
        drawn = [scenes.scene_of(name, label) for label in range(len(motions.CLASSES))]
        alike = [
            dataclasses.replace(s, label=0, clouds=0, target=dataclasses.replace(s.target, motion=still)) for s in drawn
        ]
        assert all(scene == alike[0] for scene in alike)
        assert all(np.array_equal(scene.clouds, drawn[0].clouds) for scene in drawn)


def test_at_any_instant_every_class_has_the_same_uniform_poses():
    for label in range(len(motions.CLASSES)):
        targets = [scenes.scene_of(f"poses/{label}/{n}", label).target for n in range(100)]
        phases = np.array([target.phases(1.3) for target in targets])
        for values in phases.T:
            counts = np.histogram(values, bins=10, range=(0, 1))[0]
            chi_square = ((counts - 10) ** 2 / 10).sum()
            assert chi_square < 40  # 9 degrees of freedom: once in 130 000 times by chance


def test_one_frame_does_not_tell_the_class_but_two_do():
    train = [motions.clip_scene("train", index) for index in range(200)]
    test = [motions.clip_scene("test", index) for index in range(200)]
    assert right_answers(single_frame, train, test) < luck(200)
    assert right_answers(two_frames, train, test) >= luck(200)


def test_splits_share_no_picture():
    digests = [digest(split, index) for split in motions.SPLITS for index in range(3)]
    assert len(set(digests)) == 9


def test_a_whole_set_is_kept_and_a_damaged_one_made_again(tmp_path):
    listing = motions.generate(tmp_path, clips=3)
    video = tmp_path / "videos/test_00001.mp4"
    good, stamp = video.read_bytes(), video.stat().st_mtime_ns
    assert motions.generate(tmp_path, clips=3) == listing
    assert video.stat().st_mtime_ns == stamp
    video.write_bytes(good[:-100])
    motions.generate(tmp_path, clips=3)
    assert video.read_bytes() == good


def test_a_set_that_another_version_of_ffmpeg_wrote_is_kept(tmp_path):
    """It has the same pixels; here, an atom at its end that says nothing makes other bytes."""
    motions.generate(tmp_path, clips=3)
    video, manifest = tmp_path / "videos/test_00001.mp4", tmp_path / "test.json"
    before = hashlib.sha256(video.read_bytes()).hexdigest()
    video.write_bytes(video.read_bytes() + b"\0\0\0\x10freeFFmpeg 9")
    after = hashlib.sha256(video.read_bytes()).hexdigest()
    manifest.write_text(manifest.read_text().replace(before, after))
    motions.generate(tmp_path, clips=3)
    assert hashlib.sha256(video.read_bytes()).hexdigest() == after


def test_a_set_of_other_pictures_is_made_again(tmp_path, monkeypatch):
    motions.generate(tmp_path, clips=2)
    before = (tmp_path / "videos/test_00000.mp4").read_bytes()
    monkeypatch.setattr(scenes, "CONTRAST", (0.2, 0.3))
    motions.generate(tmp_path, clips=2)
    assert (tmp_path / "videos/test_00000.mp4").read_bytes() != before


def test_a_failed_video_leaves_no_file(tmp_path):
    def pictures():
        yield np.zeros((16, 16, 3), np.uint8)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        motions.write_mp4(tmp_path / "a.mp4", pictures(), width=16, height=16, fps=10)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("wrong", [{"split": "testing"}, {"clips": 0}, {"workers": 0}])
def test_arguments_that_make_no_sense_are_refused(tmp_path, wrong):
    with pytest.raises(UsageError, match="motions"):
        motions.generate(tmp_path, **wrong)


def test_the_label_set_names_the_classes_in_order():
    assert labels.class_names("motions") == motions.CLASSES

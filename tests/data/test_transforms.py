"""What a transform makes of a clip's frames, against the test's own views and against squares worked out by hand."""

from __future__ import annotations

import pickle

import av
import msgspec
import numpy as np
import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

import videohub
from tests.data.sample_videos import FOUR_FRAMES, protocol, write_video
from tests.own_registry import like
from videohub import protocols as steps
from videohub import registry
from videohub.data.transforms import training_pixels
from videohub.data.views import read_views
from videohub.errors import UsageError
from videohub.protocols import Protocol
from videohub.registry.schema import Clip, Record, TrainingPixels

HEIGHT, WIDTH, CROP = 48, 64, 32
UNIT, NORMAL = steps.Divide(by=255.0), steps.Normalise(mean=(0.4, 0.5, 0.3), std=(0.2, 0.25, 0.3))
LEVELS = steps.Normalise(mean=(123.0, 116.0, 103.0), std=(58.0, 57.0, 56.0))
PLAIN = protocol(short_side=40, crop=CROP)  # value / 255


def with_steps(*pixels: steps.Pixels, **changes: object) -> Protocol:
    return protocol(pixels=pixels, **changes)


def short(pixels: int, long_side: str, arithmetic: str) -> steps.ResizeShortSide:
    return steps.ResizeShortSide(pixels=pixels, long_side=long_side, arithmetic=arithmetic)


KINDS = {
    "pyslowfast": with_steps(
        UNIT, NORMAL, short(40, "floor", "torch_float"), steps.Crop(size=CROP, arithmetic="pyslowfast")
    ),
    "pyslowfast, size kept": with_steps(
        UNIT, NORMAL, short(48, "floor", "torch_float"), steps.Crop(size=CROP, arithmetic="pyslowfast")
    ),
    "torchvision": with_steps(
        short(41, "truncate", "torch_uint8"), steps.Crop(size=CROP, arithmetic="torchvision"), UNIT, NORMAL
    ),
    "torchvision, fixed size": with_steps(
        steps.Resize(height=37, width=50, arithmetic="torch_uint8"),
        steps.Crop(size=CROP, arithmetic="torchvision"),
        UNIT,
        NORMAL,
    ),
    "mmaction2, BGR": with_steps(
        short(39, "half_up", "opencv_uint8"),
        steps.Crop(size=CROP, arithmetic="mmaction2"),
        steps.ReverseChannels(),
        LEVELS,
    ),
    "mirrored": with_steps(
        short(39, "half_up", "pillow_bilinear"), steps.Mirror(), steps.Crop(size=CROP, arithmetic="mmaction2"), LEVELS
    ),
    "whole frames": with_steps(
        UNIT,
        short(40, "floor", "torch_float"),
        NORMAL,
        views=steps.ViewGrid(clips=1, crops=("whole",), order="clip_major"),
    ),
}


def record_of(rule: Protocol, clip: Clip = FOUR_FRAMES, **changes: object) -> Record:
    return like("slowfast_r50_8x8", protocol=rule, clip=clip, **changes)


def noise(count: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), np.uint8)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    pictures = noise(12)
    return write_video(tmp_path_factory.mktemp("video") / "noise.mov", 12, picture=lambda number: pictures[number])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_centre_view_is_the_protocol_s_own(kind, channels, video):
    rule = KINDS[kind]
    views = read_views(video, rule, FOUR_FRAMES)
    with av.open(str(video)) as container:
        decoded = torch.from_numpy(np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]))
    frames = decoded[views.decode_positions[0]]
    if channels == 1:
        frames = frames.permute(0, 3, 1, 2)
    assert torch.equal(videohub.transforms(record_of(rule))(frames), views[0])


def test_an_image_s_view_is_the_protocol_s_own(tmp_path):
    from PIL import Image

    Image.fromarray(noise(1, 50, 70)[0]).save(tmp_path / "a.png")
    rule, clip = protocol(sampling="image", short_side=40, crop=CROP, clips=1), Clip(frames=1, sampling_rate=1)
    frames = torch.from_numpy(noise(1, 50, 70))
    assert torch.equal(
        videohub.transforms(record_of(rule, clip))(frames), read_views(tmp_path / "a.png", rule, clip)[0]
    )


def test_the_demo_s_own_record_gives_clips_of_its_size():
    clip = videohub.transforms("slowfast_motions")(torch.from_numpy(noise(16)))
    assert clip.shape == (3, 16, CROP, CROP)
    assert clip.dtype == torch.float32
    assert clip.is_contiguous()


# --- and back --------------------------------------------------------------------------------------------------------


CUT = steps.Crop(size=CROP, arithmetic="pyslowfast")
ONES = steps.Normalise(mean=(1.0, 1.0, 1.0), std=(1.0, 1.0, 1.0))


@pytest.mark.parametrize(
    ("rule", "level_of_zero", "level_of_one"),
    [
        (with_steps(UNIT, NORMAL, CUT), (102, 128, 76), (153, 191, 153)),  # 255 (mean + deviation); 127.5 to even
        (with_steps(LEVELS, CUT), (123, 116, 103), (181, 173, 159)),
        (with_steps(steps.ReverseChannels(), LEVELS, CUT), (103, 116, 123), (159, 173, 181)),
        (with_steps(steps.Divide(by=127.5), ONES, CUT), (128, 128, 128), (255, 255, 255)),
    ],
)
def test_zero_is_the_mean_and_one_a_deviation_above_it(rule, level_of_zero, level_of_one):
    zero = torch.zeros(2, 3, 4, 5, 6)
    pixels = videohub.to_pixels(zero, record_of(rule))
    assert (pixels.shape, pixels.dtype) == ((2, 4, 5, 6, 3), np.uint8)
    assert np.unique(pixels.reshape(-1, 3), axis=0).tolist() == [list(level_of_zero)]
    assert videohub.to_pixels(zero[0] + 1, record_of(rule))[0, 0, 0].tolist() == list(level_of_one)
    assert videohub.to_pixels(zero + 99, record_of(rule)).min() == 255
    assert not zero.any()


@pytest.mark.parametrize("pixels", [(UNIT, NORMAL), (LEVELS,), (steps.ReverseChannels(), LEVELS)])
def test_frames_that_are_not_resized_come_back_as_they_were(pixels):
    """The centre of 48 x 64 pixels, 32 wide: from row 8 and column 16 on."""
    record, frames = record_of(with_steps(*pixels, CUT)), noise(4)
    clip = videohub.transforms(record)(torch.from_numpy(frames))
    assert np.array_equal(videohub.to_pixels(clip, record), frames[:, 8:40, 16:48])


def test_what_are_no_clips_is_told():
    for given in (torch.zeros(4, 3, 5, 6), torch.zeros(3, 5, 6), torch.zeros(3, 4, 5, 6, dtype=torch.uint8)):
        with pytest.raises(UsageError, match=r"clips: found .* numbers, \(3, T, H, W\) or several of them"):
            videohub.to_pixels(given, "slowfast_motions")


# --- training --------------------------------------------------------------------------------------------------------


def ramps(frames: int = 4, height: int = HEIGHT, width: int = WIDTH) -> torch.Tensor:
    """Red is the column, green the row, blue the frame: resizing keeps ramps, so a square shows where it lay."""
    rows, columns = np.mgrid[:height, :width]
    pictures = [np.stack([columns, rows, np.full_like(rows, 10 * number)], axis=-1) for number in range(frames)]
    return torch.from_numpy(np.stack(pictures).astype(np.uint8))


def square(clip: torch.Tensor) -> tuple[int, int, int, int, bool]:
    """Return left, top, width and height of the square that a clip of ramps shows, and whether it is mirrored.

    Pixel i of n shows the frame at `left + (i + 0.5) * width / n - 0.5`, except at the edge.
    """
    levels = clip.double() * 255
    n = clip.shape[-1]
    along, down = levels[0, 0, n // 2, 2:-2], levels[1, 0, 2:-2, n // 2]
    assert (levels[2] - 10 * torch.arange(len(levels[2])).view(-1, 1, 1)).abs().max() < 1e-3  # frames in their order
    assert (levels[:2] - levels[:2, :1]).abs().max() < 1e-3  # one square for all of them
    mirrored = bool(along[0] > along[-1])
    along = along.flip(0) if mirrored else along
    width, height = ((line[-1] - line[0]) / (len(line) - 1) * n for line in (along, down))
    left, top = (line[0] + 0.5 - 2.5 * size / n for line, size in ((along, width), (down, height)))
    for value in (left, top, width, height):
        assert abs(value - round(float(value))) < 0.01  # whole pixels
    return round(float(left)), round(float(top)), round(float(width)), round(float(height)), mirrored


def squares(transform: v2.Transform, count: int, **size: int) -> list[tuple[int, int, int, int, bool]]:
    torch.manual_seed(0)
    return [square(transform(ramps(**size))) for _ in range(count)]


def test_the_random_square_is_as_large_as_the_short_side_has_it_and_lies_anywhere():
    """At short sides of 36 to 45, a crop of 32 is 32 x 48 / side pixels of 48: 42.7, 41.5, 40.4 … 34.9, 34.1."""
    record = record_of(PLAIN, training_pixels=TrainingPixels(short_side=(36, 45), crop=CROP))
    result = squares(videohub.transforms(record, train=True), 400)
    assert {height for _, _, _, height, _ in result} == {43, 42, 40, 39, 38, 37, 36, 35, 34}
    assert all(abs(width - height) <= 1 for _, _, width, height, _ in result)  # the long side is rounded down
    largest = record_of(PLAIN, training_pixels=TrainingPixels(short_side=(36, 36), crop=CROP))
    result = squares(videohub.transforms(largest, train=True), 300)
    assert {left for left, *_ in result} == set(range(WIDTH - 43 + 1))
    assert {top for _, top, *_ in result} == set(range(HEIGHT - 43 + 1))
    assert 0.4 < np.mean([mirrored for *_, mirrored in result]) < 0.6


def test_a_fixed_shape_is_scaled_as_a_whole():
    """64 x 48 become 171 x 128 to 214 x 160: a crop of 112 is 42 to 33.5 columns and 42 to 33.6 rows of them."""
    record = like("tv_r3d_18", clip=FOUR_FRAMES)
    assert training_pixels(record) == TrainingPixels(short_side=(128, 160), crop=112)
    plain = msgspec.structs.replace(record.protocol, pixels=(*record.protocol.pixels[:2], UNIT))
    transform = videohub.transforms(msgspec.structs.replace(record, protocol=plain), train=True)
    torch.manual_seed(0)
    for _ in range(20):
        levels = transform(ramps()).double() * 255
        across, down = (float(line[-3] - line[2]) / 107 * 112 for line in (levels[0, 0, 56], levels[1, 0, :, 56]))
        assert 32 <= min(abs(across), down) <= max(abs(across), down) <= 43  # levels are rounded by then


def test_a_frame_that_is_not_resized_is_cropped_as_it_is():
    record = record_of(with_steps(UNIT, steps.Crop(size=CROP, arithmetic="pyslowfast")),
                       training_pixels=TrainingPixels(short_side=(40, 50), crop=CROP))  # fmt: skip
    transform = videohub.transforms(record, train=True)
    assert {result[2:4] for result in squares(transform, 20)} == {(CROP, CROP)}
    with pytest.raises(UsageError, match="a crop of 32 pixels does not fit into a frame of 30x48"):
        transform(ramps(width=30))


def test_a_small_frame_is_enlarged():
    """A crop of 32 at a short side of 36 to 45 is 7 to 9 pixels of a frame 10 high."""
    record = record_of(PLAIN, training_pixels=TrainingPixels(short_side=(36, 45), crop=CROP))
    assert {result[3] for result in squares(videohub.transforms(record, train=True), 40, height=10, width=20)} == {
        7,
        8,
        9,
    }


@pytest.mark.parametrize("train", [False, True])
def test_channels_are_in_the_record_s_order_and_normalised_in_it(train):
    frames = torch.tensor([10, 20, 30], dtype=torch.uint8).expand(4, HEIGHT, WIDTH, 3)
    clip = videohub.transforms(record_of(KINDS["mmaction2, BGR"]), train=train)(frames)
    for channel, (level, mean, std) in enumerate([(30, 123, 58), (20, 116, 57), (10, 103, 56)]):
        assert torch.allclose(clip[channel], torch.tensor((level - mean) / std), rtol=0, atol=1e-6)


def mirrors(transform: v2.Transform) -> set[bool]:
    torch.manual_seed(0)
    return {
        bool(clip[0, 0, 8, 3] > clip[0, 0, 8, -3]) for clip in (transform(ramps(transform.frames)) for _ in range(30))
    }


@pytest.mark.parametrize("name", ["slowfast_motions", "slowfast_r50_16x8_ssv2"])
def test_what_has_directions_is_never_mirrored_unless_told_so(name):
    record = like("slowfast_motions", dataset=registry.record(name).dataset)
    assert mirrors(videohub.transforms(record, train=True)) == {False}
    assert mirrors(videohub.transforms(record, train=True, flip=True)) == {False, True}


def test_other_clips_are_mirrored_unless_told_not_to():
    record = like("slowfast_motions", dataset=registry.record("slowfast_r50_8x8").dataset)
    assert mirrors(videohub.transforms(record, train=True)) == {False, True}
    assert mirrors(videohub.transforms(record, train=True, flip=False)) == {False}


@pytest.mark.parametrize(
    ("name", "short_side", "crop"),
    [
        ("slowfast_r50_8x8", (256, 320), 224),  # tested at 256
        ("slowfast_r50_8x8_stepwise_multigrid", (256, 320), 224),
        ("x3d_s_13x6", (182, 228), 160),  # stated
        ("x3d_m_16x5", (256, 320), 224),
        ("mvitv2_l_40x3", (356, 446), 312),  # stated
        ("tv_r3d_18", (128, 160), 112),  # 256 x 112 / 224
        ("slowfast_motions", (36, 45), 32),  # 256 x 32 / 224 = 36.6
    ],
)
def test_sizes_are_those_of_the_published_training(name, short_side, crop):
    assert training_pixels(registry.record(name)) == TrainingPixels(short_side=short_side, crop=crop)


def test_every_record_has_transforms_and_those_with_boxes_no_random_one():
    for name, record in registry.load(registry.files()[0]).records.items():
        assert name in repr(videohub.transforms(name))
        if record.task == "detection":
            with pytest.raises(UsageError, match="people in boxes"):
                videohub.transforms(name, train=True)
        else:
            transform = videohub.transforms(name, train=True)
            assert transform.crop <= transform.short_side[0] <= transform.short_side[1]


# --- randomness, and what is refused ---------------------------------------------------------------------------------


def test_torch_s_generator_alone_decides_and_a_test_asks_it_nothing():
    frames, random = torch.from_numpy(noise(16)), videohub.transforms("slowfast_motions", train=True)
    torch.manual_seed(5)
    first = random(frames)
    np.random.default_rng(1)
    torch.manual_seed(5)
    assert torch.equal(random(frames), first)
    assert not torch.equal(random(frames), first)
    before = torch.get_rng_state()
    videohub.transforms("slowfast_motions")(frames)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("train", [False, True])
def test_a_transform_is_torchvision_s_pickles_and_takes_its_videos(train):
    transform = videohub.transforms("slowfast_motions", train=train)
    assert isinstance(transform, v2.Transform)
    again = pickle.loads(pickle.dumps(transform))
    frames = torch.from_numpy(noise(16))
    clips = []
    for each in (transform, again, v2.Compose([transform])):
        torch.manual_seed(3)
        clips.append(each(tv_tensors.Video(frames.permute(0, 3, 1, 2))))
    assert all(torch.equal(clip, clips[0]) and type(clip) is torch.Tensor for clip in clips)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (noise(16), "found ndarray, expected a tensor"),
        (torch.zeros(16, 48, 64, 3), r"found torch.float32, expected uint8 of shape \(16, H, W, 3\)"),
        (torch.zeros(15, 48, 64, 3, dtype=torch.uint8), "found 15 frames, expected 16; .* samples no time"),
        (torch.zeros(15, 3, 48, 64, dtype=torch.uint8), "found 15 frames, expected 16"),
        (torch.zeros(3, 16, 48, 64, dtype=torch.uint8), r"found shape \(3, 16, 48, 64\), .*transpose\(0, 1\)"),
        (torch.zeros(16, 3, 48, 3, dtype=torch.uint8), r"found shape .*channels may stand second or last"),
        (torch.zeros(2, 16, 48, 64, 3, dtype=torch.uint8), "found a batch of shape"),
        (torch.zeros(16, 48, 64, dtype=torch.uint8), r"found shape \(16, 48, 64\)"),
        (torch.zeros(16, 0, 64, 3, dtype=torch.uint8), r"found shape \(16, 0, 64, 3\)"),
    ],
)
@pytest.mark.parametrize("train", [False, True])
def test_what_is_no_clip_is_refused_with_what_was_expected(frames, message, train):
    with pytest.raises(UsageError, match=f"slowfast_motions: frames: {message}"):
        videohub.transforms("slowfast_motions", train=train)(frames)


def test_a_test_has_nothing_to_flip():
    with pytest.raises(UsageError, match="flip: found it without train=True"):
        videohub.transforms("slowfast_motions", flip=False)


@pytest.mark.parametrize(("short_side", "crop"), [((200, 320), 224), ((320, 256), 224)])
def test_training_pixels_that_contradict_themselves_are_flaws(short_side, crop):
    ((place, what, _),) = TrainingPixels(short_side=short_side, crop=crop).flaws()
    assert place == ("training_pixels", "short_side")
    assert str(list(short_side)) in what

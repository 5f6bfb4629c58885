"""Lists of frames: Something-Something's and AVA's, in their own formats, with what tends to be wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.preflight.conftest import findings
from videohub import preflight
from videohub.preflight import Check
from videohub.preflight.findings import Keyframes

HEADER = "original_vido_id video_id frame_id path labels\n"


def write_images(folder: Path, count: int, size: tuple[int, int] = (48, 32)) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{folder.name}_{number + 1:06}.jpg" for number in range(count)]
    for path in paths:
        Image.new("RGB", size).save(path)
    return paths


def frame_list(videos: dict[str, int]) -> str:
    """A list of so many frames of each video."""
    row = '{name} {video} {frame} {name}/{name}_{number:06}.jpg ""\n'
    return HEADER + "".join(
        row.format(name=name, video=video, frame=frame, number=frame + 1)
        for video, (name, count) in enumerate(videos.items())
        for frame in range(count)
    )


@pytest.fixture
def something(tmp_path: Path) -> Path:
    """Four videos of Something-Something, 64 frames each; its network is given 64."""
    (tmp_path / "something-something-v2-labels.json").write_text(
        json.dumps({"Moving something": "0", "Opening something": "1"})
    )
    videos = [{"id": str(n), "template": "Moving [something]"} for n in range(4)]
    (tmp_path / "something-something-v2-validation.json").write_text(json.dumps(videos))
    (tmp_path / "frame_lists").mkdir()
    (tmp_path / "frame_lists" / "val.csv").write_text(frame_list({str(n): 64 for n in range(4)}))
    for number in range(4):
        write_images(tmp_path / "frames" / str(number), 64)
    return tmp_path


def check_something(folder: Path, *, deep: bool = False) -> Check:
    return preflight.check("slowfast_r50_16x8_ssv2", folder, workers=1, deep=deep, index=folder / "index.json")


def test_whole_lists_of_frames_leave_nothing_to_remark(something):
    answer = check_something(something)
    assert findings(answer) == {}
    assert (answer.listed, answer.usable, answer.looked_at) == (4, 4, 4)
    assert answer.expected.samples == 24_777
    assert (answer.short_sides.median, answer.seconds, answer.frame_rates) == (32, None, {})


def test_images_that_are_missing_empty_or_of_another_size_are_found(something):
    frames = something / "frames"
    for number in (5, 6, 7):
        (frames / "0" / f"0_00000{number}.jpg").unlink()
    for image in (frames / "1").iterdir():
        image.unlink()
    (frames / "2" / "2_000064.jpg").write_bytes(b"")
    Image.new("RGB", (64, 48)).save(frames / "3" / "3_000033.jpg")
    answer = check_something(something)
    assert findings(answer) == {
        "unreadable": (
            1,
            "1 of 4 videos cannot be read: none of its 64 images is there; the first would be "
            f"{frames / '1' / '1_000001.jpg'}",
        ),
        "damaged": (1, "1 of 4 videos are damaged further on: 2/2_000064.jpg: the file is empty (0 bytes)"),
        "frames missing": (1, "1 of 4 videos lack images that their list names: 3 of 64 images"),
        "frames of other sizes": (1, "1 of 4 videos hold images that have another size than their first one"),
    }
    assert (answer.missing, answer.unreadable, answer.usable) == (0, 2, 2)


def test_clips_that_lie_between_one_another_differ_also_of_short_videos(something):
    """Of 5 frames in 16 parts of 0.3125, int(part * x) is 0 0 0 0 1 … and int(part / 2 + part * x) is 0 0 0 1 1 …."""
    for file in sorted((something / "frames" / "0").iterdir())[5:]:
        file.unlink()
    (something / "frame_lists" / "val.csv").write_text(frame_list({"0": 5, "1": 64, "2": 64, "3": 64}))
    answer = preflight.check("videomae_vit_s_16_ssv2", something, workers=1)
    text = "1 of 4 videos are shorter than one clip: some of their frames are taken twice"
    assert findings(answer)["too short"] == (1, text)


def test_a_folder_of_frames_that_is_not_there_is_a_missing_video(something):
    (something / "frames" / "2").rename(something / "frames" / "two")
    answer = check_something(something)
    assert findings(answer)["missing"] == (1, "1 of 4 videos are not here: the folder of its 64 images is not there")
    [finding] = [one for one in answer.findings if one.kind == "missing"]
    [detail] = finding.samples.values()
    assert detail.startswith(f"{something / 'frames' / '2'}: the folder")


def test_only_a_deep_check_opens_every_image(something):
    (something / "frames" / "2" / "2_000009.jpg").write_bytes(b"\xff\xd8 not much of a picture")
    assert findings(check_something(something)) == {}
    assert list(findings(check_something(something, deep=True))) == ["damaged"]


def test_a_folder_that_changed_is_looked_into_again(something):
    assert [check_something(something).looked_at for _ in range(2)] == [4, 0]
    (something / "frames" / "0" / "0_000010.jpg").unlink()
    answer = check_something(something)
    assert (answer.looked_at, list(findings(answer))) == (1, ["frames missing"])


# --- AVA -------------------------------------------------------------------------------------------------------------

FILES = {
    "ava_action_list_v2.2_for_activitynet_2019.pbtxt": (
        'item {\n  name: "bend"\n  id: 1\n}\nitem {\n  name: "dance"\n  id: 4\n}\n'
    ),
    "ava_val_excluded_timestamps_v2.2.csv": "film,0904\n",
    "person_box_67091280_iou90/ava_detection_val_boxes_and_labels.csv": (
        "film,0902,0.1,0.1,0.5,0.9,,0.95\n"
        "film,0902,0.5,0.1,0.9,0.9,,0.85\n"
        "film,0903,0.1,0.1,0.5,0.9,,0.9\n"
        "film,0904,0.1,0.1,0.5,0.9,,0.9\n"
        "film,0905,0.1,0.1,0.5,0.9,,0.9\n"
        "film,0906,0.1,0.1,0.5,0.9,,0.5\n"
    ),
    "ava_val_v2.2.csv": "film,0902,0.1,0.1,0.5,0.9,1,7\nfilm,0902,0.1,0.1,0.5,0.9,4,7\nfilm,0906,0.1,0.1,0.5,0.9,4,7\n",
}
AVA = "slowfast_r101_8x8_ava22"


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """One film of 100 frames, which ends before second 904, and key frames at 902, 903, 905; 904 is excluded."""
    for name, content in FILES.items():
        (tmp_path / "annotations" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "annotations" / name).write_text(content)
    (tmp_path / "frame_lists").mkdir()
    (tmp_path / "frame_lists" / "val.csv").write_text(frame_list({"film": 100}))
    return tmp_path


def test_avas_key_frames_are_compared_with_ground_truth_and_frames(film):
    write_images(film / "frames" / "film", 100, size=(480, 360))
    answer = preflight.check(AVA, film, workers=1)
    assert (answer.listed, answer.usable, answer.looked_at) == (3, 3, 1)
    assert answer.keyframes == Keyframes(
        videos=1, key_frames=3, boxes=4, truth_rows=3, truth_moments=2, without_truth=2, without_boxes=1, beyond_end=1
    )
    assert findings(answer) == {
        "beyond the end": (
            1,
            "1 of 3 key frames lie beyond the end of their list of frames, whose last one is shown instead: "
            "frames were not extracted at 30 a second from the beginning on (of AVA's films, second 900)",
        ),
    }
    assert answer.findings[1].samples == {"film,0905": "frame 150 of 100"}
    assert answer.findings[0].text.startswith("1 video here, 64 in the reference")


def test_frames_of_ava_that_were_made_smaller_are_remarked_on(film):
    write_images(film / "frames" / "film", 100, size=(340, 256))
    answer = preflight.check(AVA, film, workers=1)
    count, text = findings(answer)["made smaller"]
    assert count == 3
    assert text.startswith("3 of 3 key frames have frames no larger than the network's")


def test_boxes_of_other_films_than_the_ground_truth_are_not_usable(film):
    write_images(film / "frames" / "film", 100, size=(480, 360))
    (film / "annotations" / "ava_val_v2.2.csv").write_text("other,0902,0.1,0.1,0.5,0.9,1,7\n")
    answer = preflight.check(AVA, film, workers=1)
    assert answer.verdict == "not usable"
    assert (
        answer.reasons[0] == "no key frame has a row of the ground truth: boxes and annotations are of different videos"
    )


# --- images ----------------------------------------------------------------------------------------------------------


def test_images_are_looked_at_as_images(tmp_path):
    good, cut, copy = (tmp_path / f"{name}.jpeg" for name in ("good", "cut", "copy"))
    Image.effect_noise((500, 375), 60).save(good)
    cut.write_bytes(good.read_bytes()[:5000])
    copy.write_bytes(good.read_bytes())
    (tmp_path / "words.jpeg").write_text("words")
    (tmp_path / "val.csv").write_text("good.jpeg 0\ncut.jpeg 1\ncopy.jpeg 2\nwords.jpeg 3\nabsent.jpeg 4\n")
    short, deep = (
        preflight.check("resnet_r50_in1k", tmp_path / "val.csv", workers=1, deep=deep) for deep in (False, True)
    )
    assert findings(short)["unreadable"] == (
        1,
        "1 of 5 images cannot be read: not an image that can be read, or a damaged one: it is none of JPEG, PNG, BMP, "
        "WEBP, GIF, TIFF, or in a form of them that Pillow does not know; convert it",
    )
    assert (short.missing, short.unreadable, deep.unreadable) == (1, 1, 2)
    assert short.short_sides.median == 375
    assert findings(short)["duplicates"] == (
        1,
        "1 of 5 images hold the same bytes as another one; in 1 case their classes differ",
    )

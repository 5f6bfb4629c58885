"""Each kind of broken video does to a decoder what it says, and a check of the data finds it before any model runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data import broken_videos
from tests.data.broken_videos import make
from tests.data.contradicted_videos import VIDEOS, turned
from tests.data.sample_videos import FOUR_FRAMES, protocol
from tests.preflight.conftest import check
from videohub.data.decoded import decode
from videohub.data.samples import VideoFile
from videohub.data.video_info import KINDS
from videohub.errors import VideohubError
from videohub.preflight import Check


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make(tmp_path_factory.mktemp("broken"))


def test_there_are_at_least_twenty_kinds_and_each_says_what_it_is():
    assert len(broken_videos.KINDS) >= 20
    assert all(kind.write.__doc__ for kind in broken_videos.KINDS.values())


@pytest.mark.parametrize("name", [name for name, kind in broken_videos.KINDS.items() if kind.expected == "fails"])
def test_a_broken_video_is_refused_in_the_words_that_it_states(videos, name):
    with pytest.raises(VideohubError) as refusal:
        decode(VideoFile(videos[name]), protocol(), FOUR_FRAMES)
    assert str(refusal.value).startswith(f"{videos[name]}: ")
    assert broken_videos.KINDS[name].says in str(refusal.value)


@pytest.mark.parametrize("name", [name for name, kind in broken_videos.KINDS.items() if kind.expected != "fails"])
def test_an_odd_video_decodes(videos, name):
    decoded = decode(VideoFile(videos[name]), protocol(), FOUR_FRAMES)
    assert decoded.positions.shape == (2, 4)


def kinds(answer: Check, *names: str) -> set[str]:
    """The kinds of videos that some findings name in full."""
    files = {sample for one in answer.findings if one.kind in names for sample in one.samples}
    return {Path(file).name for file in files}


@pytest.fixture(scope="module")
def checks(videos) -> dict[bool, Check]:
    return {deep: check(dict.fromkeys(videos.values(), 5), deep=deep) for deep in (False, True)}


@pytest.mark.parametrize("deep", [False, True])
def test_a_check_names_the_broken_ones_and_no_others(videos, checks, deep):
    broken = {
        videos[name].name
        for name, kind in broken_videos.KINDS.items()
        if kind.expected == "fails" and (deep or not kind.deep)
    }
    answer = checks[deep]
    assert kinds(answer, "missing", "unreadable", "damaged") == broken
    assert answer.missing == 2
    assert (answer.missing + answer.unreadable, answer.usable) == (len(broken), len(broken_videos.KINDS) - len(broken))


def test_only_a_deep_check_finds_damage_between_the_first_picture_and_the_end(videos):
    assert {name for name, kind in broken_videos.KINDS.items() if kind.deep} == {
        "lost_frame",
        "flipped_bytes",
        "changing_size",
    }


@pytest.mark.parametrize("name", [name for name, kind in broken_videos.KINDS.items() if kind.expected == "odd"])
def test_an_odd_video_is_remarked_on(videos, name):
    answer = check({videos[name]: 5}, deep=broken_videos.KINDS[name].deep)
    remarks = [one.text for one in answer.findings if videos[name].name in one.samples]
    assert any(broken_videos.KINDS[name].says in remark for remark in remarks)


def test_a_rotation_tag_is_read_as_players_read_it(videos):
    (finding,) = [one for one in check({videos["rotated"]: 5}).findings if one.kind == "rotated"]
    assert finding.samples == {"rotated.mp4": "90 degrees"}


@pytest.fixture(scope="module")
def contradicted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {name: tmp_path_factory.mktemp("contradicted") for name in VIDEOS}
    return {name: VIDEOS[name].write(folder).rename(folder / name) for name, folder in folders.items()}


@pytest.mark.parametrize("deep", [False, True])
def test_a_check_names_each_video_whose_header_contradicts_its_content(contradicted, deep):
    answer = check(dict.fromkeys(contradicted.values(), 5), deep=deep)
    result = {name: {one.kind for one in answer.findings if name in one.samples} for name in contradicted}
    refused = {name for name, video in VIDEOS.items() if isinstance(video.original, str)}
    assert {name for name in result if "unreadable" in result[name]} == refused
    for name in contradicted.keys() - refused:
        kinds = VIDEOS[name].kinds - {"uneven time stamps"} | ({"uneven frame rate"} if name == "uneven" else set())
        if deep:
            assert kinds <= result[name]
        elif name != "uneven":  # whose stamps alone tell
            assert set(KINDS) & result[name]
    assert answer.usable == len(VIDEOS) - len(refused)
    assert result["clock rate"] & {"uneven frame rate", "unusual frame rate"} == set()  # that is said once


def test_a_mirrored_picture_is_told_as_that(tmp_path):
    path = turned(tmp_path, (-1, 0, 0, 1))
    (finding,) = [one for one in check({path: 5}).findings if one.kind == "rotated"]
    assert finding.samples == {"turned.mp4": "mirrored, left and right"}

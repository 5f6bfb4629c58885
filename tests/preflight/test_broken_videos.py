"""Each kind of broken video does to a decoder what it says, and a check of the data finds it before any model runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.broken_videos import KINDS, make
from tests.data.sample_videos import FOUR_FRAMES, KINETICS
from tests.preflight.conftest import check
from videohub.data.decoded import decode
from videohub.data.samples import VideoFile
from videohub.errors import VideohubError
from videohub.preflight import Check


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make(tmp_path_factory.mktemp("broken"))


def test_there_are_at_least_twenty_kinds_and_each_says_what_it_is():
    assert len(KINDS) >= 20
    assert all(kind.write.__doc__ for kind in KINDS.values())


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.expected == "fails"])
def test_a_broken_video_is_refused_in_the_words_that_it_states(videos, name):
    with pytest.raises(VideohubError) as refusal:
        decode(VideoFile(videos[name]), KINETICS, FOUR_FRAMES)
    assert str(refusal.value).startswith(f"{videos[name]}: ")
    assert KINDS[name].says in str(refusal.value)


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.expected != "fails"])
def test_an_odd_video_decodes(videos, name):
    decoded = decode(VideoFile(videos[name]), KINETICS, FOUR_FRAMES)
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
    broken = {videos[name].name for name, kind in KINDS.items() if kind.expected == "fails" and (deep or not kind.deep)}
    answer = checks[deep]
    assert kinds(answer, "missing", "unreadable", "damaged") == broken
    assert answer.missing == 2
    assert (answer.missing + answer.unreadable, answer.usable) == (len(broken), len(KINDS) - len(broken))


def test_only_a_deep_check_finds_damage_between_the_first_picture_and_the_end(videos):
    assert {name for name, kind in KINDS.items() if kind.deep} == {"lost_frame", "flipped_bytes", "changing_size"}


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.expected == "odd"])
def test_an_odd_video_is_remarked_on(videos, name):
    answer = check({videos[name]: 5}, deep=KINDS[name].deep)
    remarks = [one.text for one in answer.findings if videos[name].name in one.samples]
    assert any(KINDS[name].says in remark for remark in remarks)


def test_a_rotation_tag_is_read_as_players_read_it(videos):
    (finding,) = [one for one in check({videos["rotated"]: 5}).findings if one.kind == "rotated"]
    assert finding.samples == {"rotated.mp4": "90 degrees"}

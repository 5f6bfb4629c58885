"""The lists of `path label` that mmaction2's tools write: Kinetics' of every size, and Something-Something's."""

from __future__ import annotations

import json

import msgspec
import pytest

from videohub import registry
from videohub.data import sets
from videohub.data.samples import Sample, VideoFile
from videohub.errors import DataError, UsageError

SSV2 = "slowfast_r50_16x8_ssv2"


def measured_on(name):
    """A record of Kinetics-400's that is tested on another data set."""
    ours = registry.record("slowfast_r50_8x8")
    protocol = msgspec.structs.replace(ours.protocol, dataset=name)
    return msgspec.structs.replace(ours, dataset=registry.default().datasets[name], protocol=protocol)


@pytest.mark.parametrize("name", ["kinetics400", "kinetics600", "kinetics700", "kinetics710"])
@pytest.mark.parametrize("place", ["videos_val/", "videos/", ""])
def test_a_list_of_kinetics_is_found_and_its_paths_start_where_mmaction2_has_them(put, name, place):
    folder = put({f"{name}_val_list_videos.txt": "abseiling/a.mp4 0\nzumba/b c.mp4 39\n", f"{place}zumba/b c.mp4": ""})
    for data in (folder, folder / f"{name}_val_list_videos.txt"):
        assert sets.read(data, root=None, record=measured_on(name)).samples == [
            Sample("abseiling/a.mp4", VideoFile(folder / place / "abseiling" / "a.mp4"), (0,)),
            Sample("zumba/b c.mp4", VideoFile(folder / place / "zumba" / "b c.mp4"), (39,)),
        ]
    (folder / "elsewhere").mkdir()
    named = sets.read(folder, root=folder / "elsewhere", record=measured_on(name)).samples
    assert named[0].source.path == folder / "elsewhere" / "abseiling" / "a.mp4"


def test_the_list_goes_by_the_data_set_s_other_names_too(put):
    folder = put({"annotations/k700_val_list_videos.txt": "a.mp4 3\n"})
    assert [sample.truth for sample in sets.read(folder, root=None, record=measured_on("kinetics700")).samples] == [
        (3,)
    ]


def test_lists_of_other_data_sets_are_not_taken_for_it(put):
    """mmaction2 tests Kinetics-710 on three lists, whose videos lie in three folders."""
    folder = put([f"k{size}_val_list_videos.txt" for size in (400, 600, 700)])
    with pytest.raises(UsageError) as error:
        sets.read(folder, root=None, record=measured_on("kinetics710"))
    assert str(error.value) == (
        f"{folder}: found k400_val_list_videos.txt, k600_val_list_videos.txt, k700_val_list_videos.txt, expected the "
        "list of kinetics710; give one of them, or join them into kinetics710_val_list_videos.txt, with paths that "
        "start from one folder"
    )


@pytest.mark.parametrize("record", ["slowfast_r50_8x8", SSV2])
def test_a_list_of_folders_of_frames_is_refused_as_such(put, read, record):
    file = put({"x_val_list_rawframes.txt": "abseiling/a 300 0\n"}) / "x_val_list_rawframes.txt"
    with pytest.raises(
        UsageError, match=r"a list of folders of frames .*, which mmaction2 calls x_val_list_videos\.tx"
    ):
        read(record, file)


@pytest.mark.parametrize("name", ["sthv2_val_list_videos.txt", "ssv2_val_list_videos.txt"])
def test_a_list_of_something_something_is_read_where_no_annotations_are(put, read, name):
    folder = put({name: "9.mp4 5\n74225.mp4 140\n", "videos/74225.mp4": ""})
    expected = [
        Sample("9.mp4", VideoFile(folder / "videos" / "9.mp4"), (5,)),
        Sample("74225.mp4", VideoFile(folder / "videos" / "74225.mp4"), (140,)),
    ]
    assert read(SSV2).samples == expected
    assert read(SSV2, folder / name).samples == expected
    annotation = {"id": "9", "template": "Pushing [something]"}
    put({"labels.json": json.dumps({"Pushing something": "3"}), "validation.json": json.dumps([annotation])})
    assert [sample.truth for sample in read(SSV2).samples] == [(3,)]
    assert read(SSV2, folder / name).samples == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("9.mp4 174\n", "line 1: label 174 is out of range; 174 classes have labels 0 to 173"),
        ("9.mp4 5\n9.mp4 5\n", "line 2: '9.mp4' already stands on line 1"),
        ("9.mp4 five\n", "line 1: the label 'five' is not an integer"),
    ],
)
def test_a_list_of_something_something_is_read_strictly(put, read, text, message):
    put({"sthv2_val_list_videos.txt": text})
    with pytest.raises(DataError, match=message):
        read(SSV2)


def test_without_any_list_the_annotations_are_asked_for(put, read):
    put([])
    with pytest.raises(UsageError, match="list of classes"):
        read(SSV2)

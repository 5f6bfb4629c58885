"""Kinetics: lists of paths and numbers, the official annotations, folders of classes; and whatever is read like it."""

from __future__ import annotations

import msgspec
import pytest

from tests.data.sample_videos import RULES
from videohub import registry
from videohub.data import sets
from videohub.data.samples import ImageFile, Sample, VideoFile
from videohub.errors import DataError, UsageError

RECORD = "slowfast_r50_8x8"
K600 = "mvit_b_32x3_k600"  # its names need no torchvision
HEADER = "label,youtube_id,time_start,time_end,split\n"
OFFICIAL = (
    HEADER + "playing laser tag,--07WQ2iBlw,1,11,validate\n"
    '"fencing (sport)",-0WZKTu0xYk,10,20,validate\n'
    "abseiling,0347ZoDXyP0,95.0,105.0,validate\n"
)
ABSEILING, FENCING, LASER_TAG = 0, 177, 352  # positions in the list of names in the facts


def test_a_list_has_a_path_and_a_number_a_line(put, read):
    folder = put({"some list.txt": "playing harp/my video.mp4 3\r\n/data/b.mp4,399\r\n"})
    assert read(RECORD, folder / "some list.txt").samples == [
        Sample("playing harp/my video.mp4", VideoFile(folder / "playing harp" / "my video.mp4"), (3,)),
        Sample("/data/b.mp4", VideoFile(folder.__class__("/data/b.mp4")), (399,)),
    ]


@pytest.mark.parametrize("name", ["val.csv", "test.csv", "validate.csv", "annotations/val.csv"])
def test_a_folder_has_its_list_under_one_of_a_few_names(put, read, name):
    folder = put({name: "a.mp4 3\n"})
    result = read(RECORD)
    assert result.samples == [Sample("a.mp4", VideoFile(folder / "a.mp4"), (3,))]
    messages = (f"no list or folder of the split val is there; {folder / 'test.csv'} was read",)
    assert result.notes == (messages if name == "test.csv" else ())
    (folder / "videos").mkdir()
    assert read(RECORD, root=folder / "videos").samples[0].source == VideoFile(folder / "videos" / "a.mp4")


def test_of_two_lists_that_of_the_split_is_read_and_the_other_is_told(put, read):
    folder = put({"test.csv": "a.mp4 3\n", "val.csv": "b.mp4 3\n"})
    result = read(RECORD)
    assert [sample.name for sample in result.samples] == ["b.mp4"]
    assert result.notes == (f"{folder / 'test.csv'} is there too; {folder / 'val.csv'} was read",)
    assert [sample.name for sample in read("slowfast_motions").samples] == ["a.mp4"]  # tested on its split `test`


@pytest.mark.parametrize(
    "name",
    ["by_youtube_id/a1.mp4", "youtube_id.mp4", "label,youtube_id_x/a.mp4", "time_start/label.mp4", "youtube_id"],
)
def test_words_of_the_official_header_in_a_path_make_no_official_list(put, read, name):
    put({"val.csv": f"{name} 3\n"})
    assert [(sample.name, sample.truth) for sample in read(RECORD).samples] == [(name, (3,))]


def test_a_list_is_refused_as_ever(put, read):
    put({"val.csv": "a.mp4 3\na.mp4 3\n"})
    with pytest.raises(DataError, match=r"val\.csv, line 2: 'a\.mp4' already stands on line 1"):
        read(RECORD)


# --- the official annotations ----------------------------------------------------------------------------------------


def test_official_annotations_name_classes_and_videos(put, read):
    folder = put({"validate.csv": OFFICIAL})
    assert read(K600).samples == [
        Sample("--07WQ2iBlw_000001_000011.mp4", VideoFile(folder / "--07WQ2iBlw_000001_000011.mp4"), (LASER_TAG,)),
        Sample("-0WZKTu0xYk_000010_000020.mp4", VideoFile(folder / "-0WZKTu0xYk_000010_000020.mp4"), (FENCING,)),
        Sample("0347ZoDXyP0_000095_000105.mp4", VideoFile(folder / "0347ZoDXyP0_000095_000105.mp4"), (ABSEILING,)),
    ]


def test_kinetics_400_has_its_own_numbers(put, read):
    put({"val.csv": b"\xef\xbb\xbflabel,youtube_id,time_start,time_end\nzumba,x,1,11\nair_drumming,y,1,11\n"})
    assert [sample.truth for sample in read(RECORD).samples] == [(399,), (1,)]  # the last and the second name


def test_videos_may_lie_beside_the_annotations_in_a_folder_of_their_split(put, read):
    folder = put({"annotations/val.csv": OFFICIAL, "val/0347ZoDXyP0_000095_000105.mkv": ""})
    for data in (folder, folder / "annotations" / "val.csv"):
        assert read(K600, data).samples[0].source == VideoFile(folder / "val" / "--07WQ2iBlw_000001_000011.mkv")


def test_videos_may_lie_in_folders_of_their_classes(put, read):
    folder = put({"val.csv": OFFICIAL})
    put(["films/playing_laser_tag/x.mp4", "films/abseiling/x.mp4", "films/x/y"])
    assert [sample.source.path.parent for sample in read(K600, root=folder / "films").samples] == [
        folder / "films" / "playing_laser_tag",
        folder / "films" / "fencing (sport)",  # is not there, and for the evaluation to count
        folder / "films" / "abseiling",
    ]


def test_rows_of_another_split_are_left_out_and_told(put, read):
    folder = put({"all.csv": OFFICIAL.replace("11,validate", "11,train")})
    result = read(K600, folder / "all.csv")
    assert [sample.truth for sample in result.samples] == [(FENCING,), (ABSEILING,)]
    [note] = result.notes
    assert note.endswith("that are not of the split val, 1 in all: --07WQ2iBlw_000001_000011.mp4")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("youtube_id,time_start,time_end,split\nx,1,11,test\n", r"line 1: no column label; the header is 'youtube_id,"),
        (HEADER + "eating soup,x,1,11,val\n", r"line 2: no class is called 'eating soup'; the first of 600 is"),
        (HEADER + "abseiling,x,one,11,val\n", r"line 2: the times are not seconds: one, 11"),
        (HEADER + "abseiling,x,nan,11,val\n", r"line 2: the times are not seconds: nan, 11"),
        (HEADER + "abseiling,x,1,inf,val\n", r"line 2: the times are not seconds: 1, inf"),
        (HEADER + "abseiling,x,1,11\n", r"line 2: 4 fields; the header has 5"),
        (HEADER + "abseiling,x,1,11,val\nabseiling,x,1,11,val\n", r"line 3: x_000001_000011\.mp4 already stands"),
        (HEADER + "abseiling,x,1,11,train\n", r"no row is of the split val"),
    ],
)
def test_bad_annotations_are_refused_with_their_line(put, read, text, message):
    put({"val.csv": text})
    with pytest.raises(DataError, match=message):
        read(K600)


# --- a folder for each class -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["", "val/", "validate/"])
def test_a_folder_of_classes_is_read_in_the_order_of_its_names(put, read, place):
    names = ["abseiling/z.mp4", "abseiling/.hidden", "abseiling/notes.txt", "fencing_(sport)/b.mp4"]
    names += ["fencing_(sport)/a.MKV", "others/a.mp4"]
    folder = put([f"{place}{name}" for name in names])
    result = read(K600)
    assert [(sample.name, sample.truth) for sample in result.samples] == [
        ("abseiling/z.mp4", (ABSEILING,)),
        ("fencing_(sport)/a.MKV", (FENCING,)),
        ("fencing_(sport)/b.mp4", (FENCING,)),
    ]
    assert result.samples[0].source == VideoFile(folder / f"{place}abseiling" / "z.mp4")
    assert result.notes == (
        f"left out: folders in {folder / place} that are no class, 1 in all: others",
        "left out: files in folders of classes that are no videos, 1 in all: abseiling/notes.txt",
    )


def test_a_folder_may_have_lost_the_signs_of_its_class(put, read):
    put(["fencing_sport/a.mp4"])
    assert [sample.truth for sample in read(K600).samples] == [(FENCING,)]


def test_two_folders_of_one_class_or_none_with_videos_are_refused(put, read):
    put(["playing laser tag/a.txt"])
    with pytest.raises(DataError, match=r"its folders of classes, playing laser tag the first, hold no files"):
        read(K600)
    put(["playing_laser_tag/a.mp4"])
    with pytest.raises(DataError, match=r"playing.laser.tag: another folder in .* is named for the same class"):
        read(K600)


def test_a_folder_with_neither_is_refused(put, read):
    folder = put(["clips/a.mp4"])
    with pytest.raises(UsageError, match=r"neither a list \(val\.csv, .* nor a folder for each class of kinetics600"):
        read(K600)
    with pytest.raises(UsageError, match=r"neither a list"):
        read(RECORD, folder / "clips")


# --- data sets that nobody claims ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rule", "kind"), [("proportional", VideoFile), ("image", ImageFile)])
def test_a_data_set_of_one_s_own_is_a_list_of_videos_or_images(put, rule, kind):
    folder = put({"val.csv": "a/1 3\n"})
    record = registry.record(RECORD)
    protocol = msgspec.structs.replace(record.protocol, dataset="our_shop_floor", frames=RULES[rule])
    ours = msgspec.structs.replace(record, protocol=protocol, labels="our_labels")
    result = sets.read(folder, root=None, record=ours)
    assert result.samples == [Sample("a/1", kind(folder / "a" / "1"), (3,))]


def test_numbers_are_told_to_be_a_network_s_own_where_it_counts_the_classes_otherwise(put, read):
    folder = put({"val.csv": "a.mp4 0\n", "official.csv": HEADER + "abseiling,0347ZoDXyP0,95.0,105.0,validate\n"})
    messages = read("uniformer_s_16x4").notes
    assert messages == (
        f"the numbers in {folder / 'val.csv'} are taken for those of kinetics400_uniformer, in which 0 is "
        "'riding a bike', as this network counts; annotations and folders that name classes are safe",
    )
    named = read("uniformer_s_16x4", folder / "official.csv")
    assert (named.samples[0].truth, named.notes) == ((341,), ())  # its place among the authors' names

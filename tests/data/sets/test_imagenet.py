"""ImageNet: a thousand folders in sorted order are the classes, or a list says which."""

from __future__ import annotations

import pytest

from videohub.data.samples import ImageFile, Sample
from videohub.errors import DataError, UsageError

RECORD = "resnet_r50_in1k"
IDS = [f"n{10_000_000 + 37 * number}" for number in range(1000)]


@pytest.mark.parametrize("place", ["", "val/"])
def test_a_class_is_the_position_of_its_folder(put, read, place):
    images = [f"{IDS[999]}/b.JPEG", f"{IDS[999]}/a.JPEG", f"{IDS[1]}/c.png", f"{IDS[1]}/readme.txt"]
    folder = put([f"{place}{name}" for name in images])
    for name in (*IDS, "archive"):
        (folder / place / name).mkdir(exist_ok=True)
    result = read(RECORD)
    assert result.samples == [
        Sample(f"{IDS[1]}/c.png", ImageFile(folder / place / IDS[1] / "c.png"), (1,)),
        Sample(f"{IDS[999]}/a.JPEG", ImageFile(folder / place / IDS[999] / "a.JPEG"), (999,)),
        Sample(f"{IDS[999]}/b.JPEG", ImageFile(folder / place / IDS[999] / "b.JPEG"), (999,)),
    ]
    assert result.notes == (
        f"left out: folders in {folder / place} that are no WordNet ids, 1 in all: archive",
        f"left out: files in folders of classes that are no images, 1 in all: {IDS[1]}/readme.txt",
    )


def test_some_of_the_classes_cannot_be_numbered(put, read):
    put([f"val/{name}/a.JPEG" for name in IDS[:10]])
    with pytest.raises(DataError, match=r"val: 10 folders are named for WordNet ids; .* among all 1000.* `path label`"):
        read(RECORD)


@pytest.mark.parametrize("name", ["val.txt", "val.csv"])
def test_a_list_has_a_path_and_a_number_a_line(put, read, name):
    folder = put({name: "ILSVRC2012_val_00000001.JPEG 65\n"})
    for data, root in [(folder, None), (folder / name, None), (folder / name, folder)]:
        assert read(RECORD, data, root).samples == [
            Sample("ILSVRC2012_val_00000001.JPEG", ImageFile(folder / "ILSVRC2012_val_00000001.JPEG"), (65,))
        ]


def test_the_challenge_s_own_numbers_are_refused_at_their_last(put, read):
    folder = put({"val.txt": "a.JPEG 1\nb.JPEG 1000\n"})
    with pytest.raises(DataError, match=r"line 2: label 1000 is out of range; 1000 classes have labels 0 to 999"):
        read(RECORD, folder / "val.txt")


def test_images_in_one_folder_are_not_enough(put, read):
    folder = put(["val/ILSVRC2012_val_00000001.JPEG"])
    with pytest.raises(UsageError) as error:
        read(RECORD)
    for place in (folder, folder / "val"):
        assert f"\n  {place / 'n01440764'}\n" in str(error.value)
    assert "must be sorted into such folders" in str(error.value)

"""What errors and results say of a file is safe to print: short, on lines of their own, and endless in no case."""

from __future__ import annotations

import pickle

import pytest

from tests.convert.files import BIAS, caffe2_bytes, tar_bytes, torch_bytes, torch_state, zip_bytes
from videohub.convert import read
from videohub.errors import FormatError

CLEAR = "\x1b[2J"  # a terminal would clear its screen

NAMES = {
    "a global": f"cos\n{CLEAR}\n.".encode(),
    "a member of a tar": tar_bytes({f"{CLEAR}.pkl": pickle.dumps(3)}),
    "a member of a zip": zip_bytes({f"{CLEAR}.pkl": pickle.dumps(3)}),
    "several members": tar_bytes({f"{CLEAR}.pkl": caffe2_bytes(), "\n  Do trust it.\n": caffe2_bytes()}),
    "no member": zip_bytes({f"{CLEAR}.txt": b"text"}),
    "half a character": tar_bytes({"\udcff.pkl": pickle.dumps(3)}),
    "a blob": pickle.dumps({CLEAR: "text"}, 2),
    "a key of a state dict": torch_bytes({"model_state": {CLEAR: 3}}),
    "a key of a torch file": torch_bytes({CLEAR: 3}),
    "an encoding": f"c_codecs\nencode\n(S'a'\nS'{CLEAR}'\ntR.".encode(),
}


@pytest.mark.parametrize("kind", NAMES)
def test_nothing_in_a_file_is_told_to_the_terminal(write, kind):
    path = write(NAMES[kind])
    with pytest.raises(FormatError) as caught:
        read(path)
    lines = str(caught.value).split("\n")
    assert all(line.isprintable() for line in lines)
    assert str(caught.value).startswith(str(path))
    assert "Do trust it." not in "".join(line.lstrip() for line in lines if line.startswith("  Do"))
    str(caught.value).encode()


def test_the_source_of_a_checkpoint_can_be_printed(write):
    source = read(write(tar_bytes({f"\udcff{CLEAR}\n.pkl": caffe2_bytes()}))).source
    assert source.endswith(r"::\udcff\x1b[2J\n.pkl")


@pytest.mark.parametrize("pack", [tar_bytes, zip_bytes])
def test_a_name_that_no_file_can_have_is_refused(write, refused, pack):
    refused(write(pack({"a" * 1025: caffe2_bytes()})), "a name of 1025 characters")


def test_other_keys_are_strings_whatever_they_were(write):
    caffe2 = pickle.dumps({"blobs": {"pred_b": BIAS}, 3: 1, "step": 2, 2**70: 4}, 2)
    assert read(write(caffe2)).meta["other_keys"] == ["3", "step", "a huge number"]
    content = {"model_state": torch_state(), 3: 1, "step": 2, 2**70: 4}
    assert read(write(torch_bytes(content))).meta["other_keys"] == ["3", "step", "a huge number"]

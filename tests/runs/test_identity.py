"""What a run is, and in which words two runs differ."""

from __future__ import annotations

import msgspec

from tests.runs.made import IDENTITY, identity, protocol_of, truth
from videohub.runs import Truth
from videohub.runs.identity import canonical, difference, digest_of, truth_difference


def test_equal_identities_have_no_difference():
    assert difference(IDENTITY, identity()) == []


def test_a_tuple_and_the_list_that_json_makes_of_it_are_the_same():
    read = msgspec.json.decode(msgspec.json.encode(IDENTITY), type=type(IDENTITY))
    assert difference(IDENTITY, read) == []
    assert canonical(IDENTITY) == canonical(read)


def test_what_a_run_of_the_version_before_is_called_stays_the_same():
    """0.1.0 gave these very bytes this digest, which stands at the head of each of its score files."""
    protocol = {"clips": 2, "crops": 1, "ensemble": "sum", "metric": "topk", "mean": (0.45,) * 3, "detection": None}
    plain = {**msgspec.to_builtins(IDENTITY), "protocol": protocol}
    called = digest_of(canonical([plain, "0" * 64]))
    assert called == "b1333a52f63b7207f7804353a77aa77b8dcee764e9600af7c836c40e2ca34d1c"


def test_a_difference_names_the_field_and_both_values():
    other = identity(weights_sha256="91" * 32, sample=200, precision="bf16")
    assert difference(IDENTITY, other) == [
        "weights_sha256: 3f3f3f3f3f3f… asked for, 919191919191… in it",
        "sample: null asked for, 200 in it",
        'precision: "fp32" asked for, "bf16" in it',
    ]


def test_a_difference_within_the_protocol_is_told_by_its_own_name():
    other = identity(protocol={**protocol_of(10, 1), "detection": {"version": "2.1"}})
    assert difference(IDENTITY, other, where=("in a", "in b")) == [
        "protocol.views.clips: 2 in a, 10 in b",
        'protocol.views.crops: ["centre"] in a, ["start"] in b',
        "protocol.detection: null in a, nothing in b",
        'protocol.detection.version: nothing in a, "2.1" in b',
    ]


def test_a_truth_differs_by_its_length_or_by_its_first_other_sample():
    assert truth_difference(truth(3), truth(2)) == ["samples: 3 asked for, 2 in it"]
    other = Truth(names=["0.mp4", "x.mp4", "y.mp4"], classes=[[0], [1], [2]])
    assert truth_difference(truth(3), other) == [
        "sample 1: '1.mp4' of classes [1] asked for, 'x.mp4' of classes [1] in it"
    ]


def test_a_truth_may_differ_in_its_boxes_alone():
    a, b = (Truth(names=["v,0902"], classes=[[]], ava={"labels": [label]}) for label in (1, 2))
    assert truth_difference(a, b) == ["ava: the samples are the same, the boxes that are right are not"]
    a, b = (Truth(names=["v,0902"], classes=[[]], boxes=[[(0, 0, 1, end)]]) for end in (0.5, 1.0))
    assert truth_difference(a, b) == ["boxes: the samples are the same, the boxes to score are not"]
    assert "another version of videohub" in truth_difference(a, a)[0]  # only their digests differed


def test_numbers_as_keys_are_the_same_after_a_trip_through_json():
    ava = Truth(
        names=[], classes=[], ava={"names": {1: "bend", 12: "stand", 3: "crouch"}, "boxes": [(0.1, 0.2, 0.3, 1.0)]}
    )
    assert canonical(msgspec.json.decode(canonical(ava), type=Truth)) == canonical(ava)

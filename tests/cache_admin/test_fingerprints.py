"""Whoever first has a file states its fingerprint in the registry, and the digests of known answers' clips."""

from __future__ import annotations

import io
import subprocess

import msgspec
import numpy as np
import pytest
import torch

import videohub
from tests.cache_admin.cache_files import PUBLISHED, SHA256, caffe2
from tests.own_registry import write_registry
from videohub import registry
from videohub.protocols import Divide
from videohub.registry import patch
from videohub.registry.known_answers import ArrayClip, KnownAnswer, Values


def apply(folder, text):
    subprocess.run(["git", "apply"], cwd=folder, input=text.encode(), check=True)


def tri(number):
    return number % 256 if number % 256 < 128 else 255 - number % 256


def logits_of_the_synthetic_clip(record):
    """What the network makes of the clip, which is written out here as the guide has it."""
    frames, size = record.clip.frames, record.protocol.crop_size
    pixels = [[[[tri(7 * x + 3 * y + 11 * t + 64 * c) + tri(x * y // 32 + 5 * t * (c + 1)) for c in range(3)]
                for x in range(size)] for y in range(size)] for t in range(frames)]  # fmt: skip
    mean, std = (torch.tensor(values) for values in (record.protocol.normalise.mean, record.protocol.normalise.std))
    clip = (torch.tensor(pixels) / 255 - mean) / std
    with torch.no_grad():
        return videohub.load(record)(clip.permute(3, 0, 1, 2)[None])[0]


def test_a_fingerprint_is_written_as_a_patch_and_holds_afterwards(run, zoo, tmp_path):
    assert run("check", "first")[0] == 3
    code, text, _ = run("check", "first", "--pin")
    assert code == 0
    apply(tmp_path, text)
    record = registry.record("first")
    (answer,) = record.known_answers
    assert (answer.is_fingerprint, answer.layouts, SHA256 in answer.source) == (True, ("caffe2",), True)
    logits = logits_of_the_synthetic_clip(record)
    assert answer.values.first == pytest.approx(logits[:8].tolist(), abs=answer.tolerance)
    assert answer.values.mean == pytest.approx(logits.mean().item(), abs=answer.tolerance)
    assert answer.values.rms == pytest.approx(logits.square().mean().sqrt().item(), abs=answer.tolerance)
    assert 2e-5 < answer.tolerance / logits.abs().max() < 1e-4
    assert run("check", "first", "--json")[1]["status"] == "holds"
    assert registry.record("second").known_answers == ()
    code, _, err = run("check", "first", "--pin")
    assert code == 2
    assert "has a fingerprint" in err


def test_another_file_does_not_have_the_fingerprint(run, zoo, tmp_path, contents):
    apply(tmp_path, run("check", "first", "--pin")[1])
    (tmp_path / "other.pkl").write_bytes(contents[1])  # whose biases in the classifier are all 1 larger
    code, result, _ = run("check", "first", "--checkpoint", tmp_path / "other.pkl", "--json")
    assert (code, result["cause"]["kind"]) == (1, "weights")
    assert result["answers"][0]["difference"] == pytest.approx(1, abs=0.1)


def test_a_file_that_nobody_vouches_for_gets_no_fingerprint(run, zoo, tmp_path, contents):
    (tmp_path / "own.pkl").write_bytes(contents[1])
    code, out, err = run("check", "first", "--pin", "--checkpoint", tmp_path / "own.pkl")
    assert (code, out) == (2, "")
    assert "nobody vouches that this is the published file" in err
    run("fetch", "first")
    assert run("check", "first", "--pin", "--checkpoint", tmp_path / "own.pkl")[0] == 2
    code, text, _ = run("check", "first", "--pin", "--checkpoint", PUBLISHED)  # the very bytes
    assert (code, 'kind: "synthetic"' in text) == (0, True)


@pytest.mark.parametrize(("weight", "message"), [(0, "outputs that are all 0"), (3e38, "inf among its outputs")])
def test_outputs_that_tell_nothing_are_no_fingerprint(run, zoo, publisher, weight, message):
    content = caffe2(
        pred_w=lambda blobs: np.full_like(blobs["pred_w"], weight), pred_b=lambda blobs: np.zeros_like(blobs["pred_b"])
    )
    publisher.publish("/first/MODEL.pkl", content)
    code, out, err = run("check", "first", "--pin")
    assert (code, out) == (1, "")
    assert f"first: MODEL.pkl gives {message} for the synthetic clip" in " ".join(err.split())


@pytest.fixture
def with_answers(zoo, tmp_path, publisher):
    """Both records know something of one clip, which lies at the publisher's; nobody has stated its digest."""
    clip = io.BytesIO()
    np.save(clip, np.zeros((32, 16, 16, 3), np.uint8))
    url = publisher.publish("/clip.npy", clip.getvalue())

    def write(first, second=0.0):
        records = []
        for name, value in (("first", first), ("second", second)):
            answer = KnownAnswer(
                layouts=("caffe2",), input=ArrayClip(url=url, sha256=None, frames=32), pixels=(Divide(by=255),),
                values=Values(first=(value,)), tolerance=1e3, source="by hand",
            )  # fmt: skip
            records.append(msgspec.structs.replace(registry.record(name), known_answers=(answer,)))
        write_registry(zoo, *records)

    return write


def test_a_second_known_answer_stands_before_the_first(run, with_answers, tmp_path):
    with_answers(0.0)
    apply(tmp_path, run("check", "first", "--pin")[1])
    fingerprint, known = registry.record("first").known_answers
    assert (fingerprint.is_fingerprint, known.source) == (True, "by hand")


def test_what_does_not_give_what_is_known_gets_no_fingerprint(run, with_answers):
    with_answers(1e6)
    code, out, _ = run("check", "first", "--pin")
    assert (code, "first fails" in out) == (1, True)


def test_the_digest_of_a_clip_is_written_wherever_it_is_null(run, with_answers, zoo, tmp_path):
    with_answers(0.0)
    assert run("check", "first")[0] == 0
    text = run("cache", "pins", "--patch")[1]
    apply(tmp_path, text)
    digests = {registry.record(name).known_answers[0].input.sha256 for name in ("first", "second")}
    assert len(digests) == 1
    assert None not in digests


def test_a_clip_belongs_in_the_cache_to_the_records_that_know_of_it(run, with_answers):
    with_answers(0.0)
    run("check", "first")
    (cache_dir,) = run("cache", "list", "--json")[1]["cache_dirs"]
    of_clip = [item for item in cache_dir["entries"] if (item["url"] or "").endswith("/clip.npy")]
    assert sorted(item["kind"] for item in of_clip) == ["pin", "raw"]
    assert {(item["status"], *item["records"]) for item in of_clip} == {("current", "first", "second")}


def test_a_clip_that_records_share_by_an_alias_is_filled_once(zoo):
    text = zoo.read_text()
    clip = '{kind: array, url: "https://x.org/clip.npy", sha256: null, frames: 32}'
    answer = "      - {layouts: [caffe2], input: %s, pixels: [], values: {first: [0]}, tolerance: 1, source: me}\n"
    for name, given in (("first", f"&clip {clip}"), ("second", "*clip")):
        start = text.index(f"  {name}:\n")
        place = text.index("    published:", start)
        text = text[:place] + "    known_answers:\n" + answer % given + text[place:]
    learnt = {name: patch.Learnt(clips={"https://x.org/clip.npy": "f" * 64}) for name in ("first", "second")}
    result, left = patch.fill(text, learnt)
    assert (left, result) == ({}, text.replace('npy", sha256: null', f'npy", sha256: {"f" * 64}'))
    zoo.write_text(result)
    assert registry.record("second").known_answers[0].input.sha256 == "f" * 64


@pytest.mark.parametrize("style", ["alias", "flow"])
def test_known_answers_that_cannot_be_added_to_are_left_to_be_written_by_hand(zoo, style):
    item = "{layouts: [caffe2], input: {kind: synthetic, frames: 1, height: 1, width: 1}, pixels: [], " \
           "values: {first: [0]}, tolerance: 1, source: me}"  # fmt: skip
    text = zoo.read_text()
    place = text.index("    published:", text.index("  first:\n"))
    known = f"    known_answers: [{item}]\n" if style == "flow" else f"    known_answers: &mine\n      - {item}\n"
    text = text[:place] + known + text[place:]
    if style == "alias":
        place = text.index("    published:", text.index("  second:\n"))
        text = text[:place] + "    known_answers: *mine\n" + text[place:]
    zoo.write_text(text)
    (answer,) = registry.record("first").known_answers
    result, left = patch.fill(text, {"first": patch.Learnt(answer=answer)})
    assert result == text
    assert "Write by hand:\n      - layouts" in left["first"]

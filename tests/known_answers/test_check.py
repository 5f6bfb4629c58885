"""What is known of a file's outputs comes out, or the likelier cause is named; the library transformers computes it."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
import torch

import videohub
from tests.known_answers.conftest import CLASSES, FRAMES, clip_beside, theirs
from videohub.errors import KnownAnswerError, UsageError
from videohub.registry.known_answers import Values

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
PYSLOWFAST = {"mean": (0.45, 0.45, 0.45), "std": (0.225, 0.225, 0.225)}


def softmax(logits):
    powers = [math.exp(each - max(logits)) for each in logits]
    return [each / sum(powers) for each in powers]


def without_biases(network):
    """The library's network as its versions 5.6 to 5.17 loaded it."""
    for name, tensor in network.state_dict().items():
        if name.endswith(("query.bias", "value.bias")):
            tensor.zero_()
    return network


def test_what_the_library_computed_comes_out(run, known, registered, published, video):
    registered(known(published.logits(video[:FRAMES])[:3]))
    code, result, _ = run("check", "TINY", "--json")
    assert (code, result["status"], result["cause"], result["tried"]) == (0, "holds", None, [])
    (answer,) = result["answers"]
    assert answer["difference"] <= 1e-5
    assert answer["found"]["first"] == pytest.approx(answer["expected"]["first"], abs=1e-5)
    code, out, _ = run("check", "tiny")
    assert code == 0
    assert out.splitlines()[0] == "tiny holds"
    assert "4 frames of clip.npy" in out
    assert max(map(len, out.splitlines())) <= 80


def test_what_does_not_come_out_is_printed_with_its_cause(run, known, registered, published, video):
    registered(known(published.logits(video[:FRAMES], **IMAGENET)[:3]))
    code, out, _ = run("check", "tiny")
    assert code == 1
    assert out.splitlines()[0] == "tiny fails"
    assert "likelier cause: preprocessing\n  with mean and deviation ImageNet's the known values come out" in out
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("chosen", [{}, {"step": 2}], ids=["the first frames", "every second one"])
def test_the_frames_are_taken_that_the_answer_names(known, published, video, tmp_path, chosen):
    frames = video[:: chosen.get("step", 1)][:FRAMES]
    record = known(published.logits(frames)[:3], input=clip_beside(tmp_path, **chosen))
    assert videohub.check(record).status == "holds"


def test_the_first_class_and_its_probability_may_be_all_that_is_known(known, published, video):
    scores = softmax(published.logits(video[:FRAMES]))
    best = int(np.argmax(scores))
    record = known(values=Values(top1=best, probability=round(scores[best], 5)))
    assert videohub.check(record).status == "holds"
    record = known(values=Values(top1=(best + 1) % CLASSES, probability=round(scores[best], 5)))
    checked = videohub.check(record)
    assert (checked.status, checked.answers[0].found.top1) == ("fails", best)


def test_the_mean_and_the_root_mean_square_of_all_outputs_may_be_known(known, published, video):
    logits = np.array(published.logits(video[:FRAMES]))
    record = known(values=Values(mean=float(logits.mean()), rms=float(np.sqrt((logits**2).mean()))))
    assert videohub.check(record).status == "holds"
    record = known(values=Values(mean=float(logits.mean()) + 1e-3))
    assert videohub.check(record).status == "fails"


@pytest.mark.parametrize(
    ("slip", "kind", "what"),
    [
        ({**IMAGENET}, "preprocessing", "mean and deviation ImageNet's"),
        ({**PYSLOWFAST}, "preprocessing", "mean and deviation 0.45 and 0.225"),
        ({"mean": (0, 0, 0), "std": (1, 1, 1)}, "preprocessing", "levels from 0 to 1, without mean and deviation"),
        ({"hidden_act": "gelu_pytorch_tanh"}, "arithmetic", "GELU by its tanh"),
        ({"num_attention_heads": 16}, "arithmetic", "16 attention heads"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_a_slip_where_the_values_were_computed_is_named(known, published, video, slip, kind, what):
    checked = videohub.check(known(published.logits(video[:FRAMES], **slip)[:3], tolerance=1e-5))
    assert (checked.status, checked.cause.kind) == ("fails", kind)
    assert f"with {what} the known values come out" in checked.cause.why
    assert checked.tried[0].difference <= 1e-5 < checked.tried[1].difference


@pytest.mark.parametrize(
    ("turned", "what"),
    [
        (lambda frames: frames[..., ::-1], "the channels' order turned round"),
        (lambda frames: frames[::-1], "the frames' order turned round"),
    ],
    ids=["channels", "frames"],
)
def test_what_was_turned_round_is_named(known, published, video, turned, what):
    record = known(published.logits(turned(video[:FRAMES]))[:3])
    cause = videohub.check(record).cause
    assert (cause.kind, what in cause.why) == ("preprocessing", True)


def test_a_normalisation_that_was_done_twice_is_named(known, published, video):
    """(x / 255 - 0.5) / 0.5, and that less 0.5 and divided by 0.5: (x / 255 - 0.75) / 0.25."""
    record = known(published.logits(video[:FRAMES], mean=(0.75,) * 3, std=(0.25,) * 3)[:3])
    assert "mean and deviation 0.5 a second time" in videohub.check(record).cause.why


def test_values_of_a_network_that_lost_its_biases_are_named(known, published, video, tmp_path):
    lost = theirs(tmp_path / "lost")
    without_biases(lost.network)
    record = known(lost.logits(video[:FRAMES])[:3])
    cause = videohub.check(record).cause
    assert cause.kind == "weights"
    assert "with queries and values without their biases the known values come out" in cause.why


def test_a_file_that_lost_its_biases_is_named(known, published, video, tmp_path):
    lost = theirs(tmp_path / "lost")
    without_biases(lost.network).save_pretrained(lost.folder)
    record = known(published.logits(video[:FRAMES])[:3])
    cause = videohub.check(record, checkpoint=lost.folder / "model.safetensors").cause
    assert (cause.kind, "the biases of all queries and values are zero in this file" in cause.why) == ("weights", True)


def test_where_no_slip_explains_it_the_weights_are_the_likelier_cause(known, published, video, tmp_path):
    other = theirs(tmp_path / "other", seed=1)
    record = known(published.logits(video[:FRAMES])[:3])
    checked = videohub.check(record, checkpoint=other.folder / "model.safetensors")
    assert (checked.status, checked.cause.kind) == ("fails", "weights")
    assert "the file may hold other weights" in checked.cause.why


def test_a_slip_that_brings_the_values_nearly_there_is_named_as_the_nearest(known, published, video):
    logits = published.logits(video[:FRAMES], **IMAGENET)[:3]
    record = known([logits[0] + 3e-3, *logits[1:]])
    cause = videohub.check(record).cause
    assert cause.kind == "preprocessing"
    assert "with mean and deviation ImageNet's the difference is 0.003 instead of" in cause.why


def test_the_network_is_as_it_was_after_all_slips(known):
    record = known([9.0, 9.0, 9.0])
    from videohub.known_answers import _tried, clip_of

    model, (answer,) = videohub.load(record), record.known_answers
    clip = clip_of(answer, record)
    before, state = model(clip), {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert len(_tried(model, record, answer, lambda *told: None)) >= 10
    assert torch.equal(model(clip), before)
    assert model.state_dict().keys() == state.keys()


# --- what is not checked ---------------------------------------------------------------------------------------------


def test_where_nothing_is_known_nothing_is_fetched_and_the_exit_code_is_3(run, record, registered, tmp_path):
    registered(record)
    (tmp_path / "model.safetensors").unlink()
    code, out, _ = run("check", "tiny")
    assert code == 3
    assert "tiny nothing known" in out
    assert "--pin" in out
    assert run("check", "tiny", "--json")[1]["status"] == "nothing known"
    assert run("check", "tiny", "--checkpoint", "mine.pt", "--json")[1]["file"] == "mine.pt"


def test_of_several_checkpoints_the_first_is_taken_of_which_something_is_known(known, published, video, tmp_path):
    record = known(published.logits(video[:FRAMES])[:3])
    other = msgspec.structs.replace(record.checkpoint, layout="videomae", url=(tmp_path / "none.pth").as_uri())
    several = msgspec.structs.replace(record, checkpoint=other, other_checkpoints=(record.checkpoint,))
    assert videohub.check(several).status == "holds"


def test_a_clip_that_cannot_be_had_ends_with_exit_code_4(run, known, registered, tmp_path):
    registered(known([0.0]))
    (tmp_path / "clip.npy").unlink()
    code, _, err = run("check", "tiny")
    assert code == 4
    assert "the clip of a known answer" in err


def test_a_file_with_other_classes_is_refused(known, published, video, tmp_path):
    record = known(published.logits(video[:FRAMES])[:3])
    ours = videohub.load(record, num_classes=7)
    with pytest.raises(UsageError, match=r"7 classes in the file, and what is known .* is of 5"):
        videohub.check(record, checkpoint=videohub.save(ours, tmp_path / "own.safetensors"))


# --- load ------------------------------------------------------------------------------------------------------------


def test_load_checks_where_it_is_asked_to(known, published, video, caplog):
    logits = published.logits(video[:FRAMES])[:3]
    record = known(logits)
    assert videohub.load(record, check=True).num_features == 32
    assert not [message for message in caplog.messages if "checked" in message]  # the record's marks are told, once
    record = known([logits[0] + 1, *logits[1:]])
    with pytest.raises(KnownAnswerError, match=r"(?s)tiny: model.safetensors does not give .* The likelier cause is"):
        videohub.load(record, check=True)
    videohub.load(record)


def test_load_says_in_one_line_where_nothing_is_known(record, caplog):
    videohub.load(record, check=True)
    line, *_ = caplog.messages  # then the record's marks, once a process
    assert line == "tiny: nothing is publicly known of the outputs of model.safetensors, so that nothing was checked"

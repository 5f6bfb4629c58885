"""Networks of somebody's own classes: as many outputs as their file has, called as somebody says."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import types

import msgspec
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import videohub
from tests.data.small_videos import small_video
from videohub import convert, log, registry, resources
from videohub.convert import kept_weights
from videohub.errors import ConversionError, UsageError
from videohub.loading import chosen_model
from videohub.registry.labels import as_text, from_text, resolve
from videohub.weights import convert_file, fetch, weights_file

NAME = "slowfast_motions"  # ten classes
SIX = ("run", "jump", "fall", "sit", "wave", "rest")


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def trained():
    """A network of six classes that somebody trained; class 4 is always the most probable by far."""
    torch.manual_seed(0)
    model = videohub.build(NAME, num_classes=6)
    with torch.no_grad():
        model.head.projection.bias.copy_(torch.tensor([0, 1, 0, 0, 40, 2.0]))
        model.head.projection.weight.mul_(0.01)
    return model


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return small_video(tmp_path_factory.mktemp("videos") / "clip.mp4", count=8)


@pytest.fixture(params=["videohub", "bare", "pyslowfast", "caffe2"])
def own(request, tmp_path, trained):
    """That network's file, in each layout; the first with our header and no names."""
    file = tmp_path / "own.bin"
    if request.param in ("pyslowfast", "caffe2"):
        return convert.export(trained.state_dict(), NAME, request.param, file)
    torch.save({"model": trained.state_dict()}, file)
    if request.param == "videohub":
        convert_file(file, NAME, tmp_path / "own.safetensors")
        return tmp_path / "own.safetensors"
    return file


@pytest.fixture
def names_file(tmp_path):
    (tmp_path / "names.txt").write_text("\n".join(SIX) + "\n")
    return tmp_path / "names.txt"


def said(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "videohub"]


# --- how many --------------------------------------------------------------------------------------------------------


def test_a_file_of_six_classes_gives_six_outputs_and_one_line(own, trained, caplog):
    caplog.clear()  # making the file may have told of it, too
    model = videohub.load(NAME, checkpoint=own)
    (messages,) = [line for line in said(caplog) if "classes" in line]
    assert messages.startswith(f"{NAME}: 6 classes in {own.name} (the record: 10), without names")
    expected = {key: value for key, value in trained.state_dict().items() if not key.endswith("tracked")}
    result = model.state_dict()
    assert all(torch.equal(result[key], value) for key, value in expected.items())
    assert model(torch.zeros(1, 3, 16, 64, 64)).shape == (1, 6)
    assert (model.record.model.num_classes, model.record.labels) == (6, None)


def test_a_file_of_six_keeps_its_head_where_six_are_asked_for(own, trained):
    model = videohub.load(NAME, checkpoint=own, num_classes=6)
    assert torch.equal(model.head.projection.weight, trained.head.projection.weight)


def test_a_file_of_six_loses_its_head_where_others_are_asked_for(own, trained, caplog):
    model = videohub.load(NAME, checkpoint=own, num_classes=10)
    assert model.head.projection.weight.shape == (10, 448)
    assert not torch.equal(model.head.projection.weight[:6], trained.head.projection.weight)
    assert torch.equal(model.fast.stem.conv.weight, trained.fast.stem.conv.weight)
    assert "new, to be trained: head.projection.weight (10, 448), head.projection.bias (10,)" in said(caplog)[-1]


def test_the_published_file_with_six_asked_for_has_a_new_head(caplog):
    model = videohub.load(NAME, num_classes=6)
    assert (model.record.model.num_classes, model.record.labels) == (6, None)
    assert "new, to be trained: head.projection.weight (6, 448)" in said(caplog)[-1]
    assert model.get_classifier() is model.head.projection
    assert tuple(model.get_classifier().weight.shape) == (6, 448)


def test_a_head_that_was_replaced_says_so_where_its_width_is_asked_for():
    model = videohub.build(NAME)
    assert model.num_features == 448
    model.head.projection = torch.nn.Sequential(torch.nn.Linear(448, 6))
    with pytest.raises(
        ValueError, match=r"num_features: found a Sequential as head\.projection, expected a layer with"
    ):
        _ = model.num_features
    model.head = torch.nn.Identity()
    with pytest.raises(ValueError, match="num_features: found none"):
        _ = model.num_features


def test_a_copy_is_told_under_its_own_name(own, caplog):
    videohub.load(NAME, checkpoint=own)
    videohub.load(NAME, checkpoint=own)
    assert len(said(caplog)) == 1
    videohub.load(NAME, checkpoint=own.rename(own.with_name("best.bin")))
    assert "6 classes in best.bin" in said(caplog)[-1]


def test_a_file_is_converted_once_and_found_again(own):
    first = fetch(NAME, checkpoint=own)
    stamp = first.stat().st_mtime_ns
    assert fetch(NAME, checkpoint=own) == first
    assert first.stat().st_mtime_ns == stamp
    assert load_file(first)["head.projection.weight"].shape == (6, 448)


def test_a_record_s_own_url_must_have_its_classes(tmp_path, trained, monkeypatch):
    file = convert.export(trained.state_dict(), NAME, "caffe2", tmp_path / "own.pkl")
    record = registry.record(NAME)
    published = msgspec.structs.replace(record.checkpoint, url=file.as_uri(), sha256=None, size=None)
    record = msgspec.structs.replace(record, checkpoint=published)
    with pytest.raises(ConversionError, match=r"another shape in the file"):
        videohub.load(record)
    videohub.load(record, checkpoint=file)  # which keeps the converted weights
    with pytest.raises(ConversionError, match="the published file has 6 classes, expected 10"):
        videohub.load(record)


@pytest.mark.parametrize(("part", "shape"), [("bias", (7,)), ("weight", (6, 5)), ("weight", (6, 448, 1, 1, 1))])
def test_a_head_that_contradicts_itself_is_refused(tmp_path, trained, part, shape):
    torch.save({**trained.state_dict(), f"head.projection.{part}": torch.zeros(shape)}, tmp_path / "own.pth")
    with pytest.raises(ConversionError, match=r"of another shape in the file:\n    head\.projection"):
        videohub.load(NAME, checkpoint=tmp_path / "own.pth")


# --- what they are called --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("names.txt", "run\njump\nfall\nsit\nwave\nrest\n\n"),
        ("names.txt", "\ufeffrun\r\njump\r\nfall\r\nsit\r\nwave\r\nrest"),
        ("names.json", '["run", "jump", "fall", "sit", "wave", "rest"]'),
        ("names.json", '{"rest": 5, "run": 0, "jump": 1, "fall": 2, "sit": 3, "wave": 4}'),
        ("names.json", '{"0": "run", "1": "jump", "2": "fall", "5": "rest", "3": "sit", "4": "wave"}'),
        ("names.yaml", "[run, jump, fall, sit, wave, rest]"),
    ],
)
def test_names_are_read_from_a_file(tmp_path, name, content):
    (tmp_path / name).write_bytes(content.encode())
    assert resolve(tmp_path / name) == SIX
    assert resolve(str(tmp_path / name)) == SIX


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("names.txt", b"run\n\njump\n", "class 1 is called ''"),
        ("names.txt", b"", "class 0 is called ''"),
        ("names.txt", b"r\xffn\n", "expected names in UTF-8"),
        ("names.json", b'{"run": 0, "jump": 2}', "does not number its names from 0, without a gap"),
        ("names.json", b"[1, 2]", "class 0 is called 1, expected a name"),
        ("names.json", b"[" * 100_000, "cannot be read"),
        ("names.json", b'"run"', "found str without names"),
        ("names.json", rb'["run", "a\ud800"]', "class 1 is called .*, expected a name"),
        ("names.yaml", b"[run, no]", "YAML takes for false"),
        ("names.txt", b"a\n" * (3 << 20), "more than 4194304 bytes"),
    ],
)
def test_what_holds_no_names_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=message):
        resolve(tmp_path / name)


def test_names_have_an_order_and_are_texts(tmp_path):
    numbered = {name: number for number, name in reversed(list(enumerate(SIX)))}
    assert resolve(numbered) == SIX
    assert resolve({number: name for name, number in numbered.items()}) == SIX
    assert resolve(types.MappingProxyType({name: np.int64(number) for name, number in numbered.items()})) == SIX
    assert resolve(dict.fromkeys(SIX).keys()) == SIX  # which have an order
    for none in (set(SIX), frozenset(SIX), 5, {"run": 0, "jump": 2}, {"run": "a"}, [1, 2], b"run"):
        with pytest.raises(UsageError, match=r"^labels: "):
            resolve(none)
    model = videohub.build(NAME, num_classes=6, labels=np.array(SIX))
    assert videohub.load(NAME, checkpoint=videohub.save(model, tmp_path / "a.safetensors")).record.labels == SIX


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_keeps_nobody_waiting(tmp_path):
    os.mkfifo(tmp_path / "names.txt")
    with pytest.raises(UsageError, match="a pipe or a device, expected a file"):
        resolve(tmp_path / "names.txt")


def test_a_file_that_is_there_is_not_called_missing(tmp_path):
    (tmp_path / "names.txt").write_text("run\n\nwalk\n")
    with pytest.raises(UsageError) as refused:
        resolve(tmp_path / "names.txt")
    assert str(refused.value) == f"{tmp_path / 'names.txt'}: class 1 is called '', expected a name"


@pytest.mark.parametrize("given", ["nowhere.txt", "kinetics4000", ".", "a\0b", "a" * 5000])
def test_neither_a_set_nor_a_file_lists_the_sets(given):
    with pytest.raises(UsageError, match=r"neither a label set nor a file.*known sets: ava, ava_background, charades"):
        videohub.load(NAME, labels=given)


@pytest.mark.parametrize("labels", ["kinetics400", None, SIX, ("[a",), ("null",), ('"', "ü\n")])
def test_a_header_gives_labels_back(labels):
    assert from_text(as_text(labels)) == labels


def test_predictions_have_the_names_that_were_given(video, own, names_file, trained):
    result = videohub.predict(video, NAME, checkpoint=own, labels=names_file)
    assert (result[0].label, result[0].index) == ("wave", 4)
    result = videohub.predict(video, videohub.load(NAME, checkpoint=own, labels=SIX))
    assert (result[0].label, result[0].index) == ("wave", 4)
    assert videohub.predict(video, trained, labels=list(SIX))[0].label == "wave"
    assert videohub.predict(video, NAME, checkpoint=own)[0].label == "class 4"


def test_a_network_that_was_built_predicts_too(video, trained):
    assert videohub.predict(video, trained)[0].label == "class 4"
    assert videohub.predict(video, videohub.optimize(trained))[0].label == "class 4"
    ten = videohub.predict(video, videohub.build(NAME), topk=10)
    assert {each.label for each in ten} == set(resolve_names("motions"))
    assert len(videohub.predict(video, videohub.load(NAME, num_classes=3))) == 3


def test_a_compiled_model_has_the_digest_of_the_model():
    model = videohub.load(NAME)
    compiled = torch.compile(model, backend="eager")
    assert chosen_model(compiled, verb="features").network is model


@pytest.mark.parametrize("wrapper", [torch.nn.DataParallel, torch.optim.swa_utils.AveragedModel])
def test_a_network_within_a_wrapper_predicts_too(video, trained, wrapper):
    assert videohub.predict(video, wrapper(trained).eval())[0].label == "class 4"


@pytest.mark.parametrize("count", [0, 2.5, "6", 10**12, True])
def test_a_number_of_classes_that_is_none_is_refused(count):
    with pytest.raises(UsageError, match=r"num_classes: found .*, expected a whole number from 1 to 30000"):
        videohub.build(NAME, num_classes=count)


def test_what_predict_could_not_use_is_refused(video, trained):
    with pytest.raises(UsageError, match=r"a model and the checkpoint own\.pth, expected one of them"):
        videohub.predict(video, trained, checkpoint="own.pth")
    with pytest.raises(UsageError, match="topk: found 0, expected a whole number, at least 1"):
        videohub.predict(video, trained, topk=0)


def resolve_names(name):
    from videohub.data.labels import class_names

    return class_names(name)


def test_new_heads_are_called_as_is_said(video):
    assert videohub.build(NAME, num_classes=6, labels=SIX).record.labels == SIX
    assert videohub.load(NAME, num_classes=6, labels=SIX).record.labels == SIX
    assert videohub.build(NAME).record.labels == "motions"


def test_as_many_classes_of_other_names_get_a_new_head(tmp_path, caplog):
    """Else a folder's ten classes, sorted by name, would begin as ten others."""
    published = videohub.load(NAME).head.projection.weight
    names = sorted(resolve_names("motions"))
    caplog.clear()
    model = videohub.load(NAME, num_classes=10, labels=names)
    new = f"{NAME}: new, to be trained: head.projection.weight (10, 448), head.projection.bias (10,)"
    assert said(caplog) == [new]
    assert not torch.equal(model.head.projection.weight, published)
    assert model.record.labels == tuple(names)
    again = videohub.load(
        NAME, checkpoint=videohub.save(model, tmp_path / "a.safetensors"), num_classes=10, labels=names
    )
    assert torch.equal(again.head.projection.weight, model.head.projection.weight)  # it goes on


def test_as_many_classes_that_a_file_of_one_s_own_does_not_name_are_told_and_keep_their_head(tmp_path, caplog):
    """Ten outputs of a state dict may be any ten classes; the published file's are known, also of a copy of it."""
    names, unnamed = sorted(resolve_names("motions")), "does not say what its 10 classes are; they are called as the"
    trained, copy = tmp_path / "trained.pth", tmp_path / "copy.bin"
    model = videohub.load(NAME, num_classes=10, labels=names)
    torch.save(model.state_dict(), trained)
    caplog.clear()
    assert videohub.load(NAME, checkpoint=trained).record.labels == "motions"
    assert said(caplog) == [
        f"{NAME}: trained.pth {unnamed} record's, motions (10 names). "
        "Where it was trained on others, --labels FILE or labels= names them"
    ]
    again = videohub.load(NAME, checkpoint=trained, num_classes=10, labels=names)
    assert torch.equal(again.head.projection.weight, model.head.projection.weight)
    assert again.record.labels == tuple(names)
    convert_file(trained, NAME, tmp_path / "unnamed.safetensors")
    videohub.load(NAME, checkpoint=tmp_path / "unnamed.safetensors")
    assert f"unnamed.safetensors {unnamed}" in said(caplog)[-1]

    shutil.copy(resources.path("demo/SLOWFAST_MOTIONS.pkl"), copy)
    caplog.clear()
    assert videohub.load(NAME, checkpoint=copy).record.labels == "motions"
    convert_file(copy, NAME, tmp_path / "named.safetensors")
    videohub.load(NAME, checkpoint=tmp_path / "named.safetensors")
    assert said(caplog) == []
    new = videohub.load(NAME, checkpoint=copy, num_classes=10, labels=names)
    assert not torch.equal(new.head.projection.weight, videohub.load(NAME).head.projection.weight)


@pytest.mark.parametrize("how", [
    {"num_classes": 10},
    {"labels": "sorted"},  # who only renames
    {"num_classes": 10, "labels": "motions"},
    {"num_classes": 10, "labels": "as folders"},
])  # fmt: skip
def test_as_many_classes_of_the_same_names_keep_their_head(how):
    names = resolve_names("motions")
    lists = {"sorted": sorted(names), "as folders": [name.replace(" ", "_") for name in names]}
    how = {**how, "labels": lists.get(how.get("labels"), how.get("labels"))}
    assert torch.equal(videohub.load(NAME, **how).head.projection.weight, videohub.load(NAME).head.projection.weight)


def test_a_file_that_was_trained_claims_no_origin(tmp_path):
    file = videohub.save(videohub.build(NAME), tmp_path / "ours.safetensors")
    weights = fetch(NAME, checkpoint=file)
    about = weights_file(weights, registry.record(NAME), checkpoint=file)
    assert (about.name, about.claimed_source, about.claimed_sha256) == ("ours.safetensors", None, None)


def test_a_head_put_in_by_hand_has_numbers_for_names(video):
    model = videohub.load(NAME)
    model.head.projection = torch.nn.Linear(448, 6).eval()
    assert {each.label for each in videohub.predict(video, model, topk=6)} == {f"class {k}" for k in range(6)}
    assert {each.label for each in videohub.predict(video, model, topk=6, labels=SIX)} == set(SIX)


def test_names_and_outputs_must_be_as_many_before_anything_is_read(trained, names_file, own, tmp_path):
    ten = msgspec.structs.replace(registry.record(NAME), model=trained.record.model)  # ten names, six outputs
    with pytest.raises(UsageError, match=r"motions \(10 names\), and its network has 6 outputs"):
        videohub.predict("nowhere.mp4", ten)
    for call in (lambda: videohub.predict("nowhere.mp4", trained, labels="motions"),
                 lambda: videohub.load(NAME, labels=names_file),
                 lambda: videohub.load(NAME, num_classes=3, labels=names_file),
                 lambda: videohub.load(NAME, checkpoint=own, labels="motions"),
                 lambda: convert_file(own, NAME, tmp_path / "x.safetensors", labels="motions")):  # fmt: skip
        with pytest.raises(UsageError, match=r"labels: found .* outputs; expected a name for each"):
            call()


def test_converted_weights_carry_their_names(tmp_path, trained, video, names_file, caplog):
    torch.save(trained.state_dict(), tmp_path / "own.pth")
    convert_file(tmp_path / "own.pth", NAME, tmp_path / "a.safetensors", labels=names_file)
    convert_file(tmp_path / "a.safetensors", NAME, tmp_path / "b.safetensors")
    caplog.clear()
    model = videohub.load(NAME, checkpoint=tmp_path / "b.safetensors")
    assert model.record.labels == SIX
    assert said(caplog) == [f"{NAME}: 6 classes in b.safetensors (the record: 10), 6 names (run, jump, fall, …)"]
    assert videohub.predict(video, NAME, checkpoint=tmp_path / "b.safetensors")[0].label == "wave"
    convert_file(tmp_path / "b.safetensors", NAME, tmp_path / "b.pkl", layout="caffe2")
    assert said(caplog)[-1].startswith(f"{NAME}: files of caffe2 carry no names of classes; whoever reads b.pkl gives")
    with pytest.raises(UsageError, match="files of caffe2 carry no names"):
        convert_file(tmp_path / "own.pth", NAME, tmp_path / "c.pkl", layout="caffe2", labels=names_file)


def test_ten_names_in_a_file_go_before_the_record_s_ten(tmp_path, video):
    own = tuple("abcdefghij")
    torch.save(videohub.load(NAME).state_dict(), tmp_path / "own.pth")
    convert_file(tmp_path / "own.pth", NAME, tmp_path / "a.safetensors", labels=own)
    assert videohub.load(NAME, checkpoint=tmp_path / "a.safetensors").record.labels == own
    assert videohub.load(NAME, checkpoint=tmp_path / "own.pth").record.labels == "motions"


# --- on the command line ---------------------------------------------------------------------------------------------


def test_the_command_takes_labels_where_classes_have_names(run, own, names_file, video, tmp_path):
    code, out, err = run("predict", video, "--model", NAME, "--checkpoint", own, "--labels", names_file, "--json")
    assert (code, json.loads(out)["predictions"][0]["label"]) == (0, "wave")
    code, out, err = run("predict", video, "--model", NAME, "--labels", names_file)
    assert (code, out) == (2, "")
    assert "found 6 names (run, jump, fall, …), and slowfast_motions has 10 outputs" in err
    code, _, err = run("convert", own, "--model", NAME, "-o", tmp_path / "x.safetensors", "--labels", names_file)
    assert code == 0
    assert videohub.load(NAME, checkpoint=tmp_path / "x.safetensors").record.labels == SIX


def test_a_copy_in_double_precision_of_numpy_has_its_classes_too(tmp_path, trained):
    arrays = {f"module.{key}": tensor.double().numpy() for key, tensor in trained.state_dict().items()}
    np.savez(tmp_path / "own.npz", **arrays)
    assert videohub.load(NAME, checkpoint=tmp_path / "own.npz").head.projection.out_features == 6


# --- what makes scores of logits -------------------------------------------------------------------------------------


def flat(model, *logits):
    """A network that says the same of every clip."""
    with torch.no_grad():
        model.head.projection.weight.zero_()
        model.head.projection.bias.copy_(torch.tensor(logits))
    return model


@pytest.mark.parametrize("pixels", [160, 182])  # one position and several: the test's crop is larger than training's
def test_several_right_classes_have_their_logits_at_any_size(pixels):
    model = flat(videohub.build("x3d_xs_4x12", num_classes=3, activation="sigmoid"), 4.0, 4.0, -4.0)
    with torch.inference_mode():
        logits = model(torch.randn(1, 3, 4, pixels, pixels))
    assert torch.allclose(logits, torch.tensor([[4.0, 4.0, -4.0]]), atol=1e-5)


def test_the_activation_of_a_training_is_kept_told_and_used(tmp_path, video, caplog):
    model = flat(videohub.load(NAME, num_classes=3, labels=list("abc"), activation="sigmoid"), 4.0, 3.0, -4.0)
    videohub.save(model, tmp_path / "own.safetensors")
    again = videohub.load(NAME, checkpoint=tmp_path / "own.safetensors")
    assert again.record.protocol.scores.activation == "sigmoid"
    assert "scores are a sigmoid, as own.safetensors says (the record: softmax)" in caplog.text
    scores = {each.label: each.probability for each in videohub.predict(video, again, topk=3)}
    assert scores == pytest.approx({"a": 0.98201, "b": 0.95257, "c": 0.01799}, abs=1e-5)  # 1 / (1 + exp(-logit))
    by_name = videohub.predict(video, NAME, checkpoint=tmp_path / "own.safetensors", topk=3)
    assert {each.label: each.probability for each in by_name} == pytest.approx(scores)
    convert_file(tmp_path / "own.safetensors", NAME, tmp_path / "copy.safetensors")
    copied = videohub.load(NAME, checkpoint=tmp_path / "copy.safetensors")
    assert copied.record.protocol.scores.activation == "sigmoid"
    caplog.clear()
    log._told.clear()
    back = videohub.load(NAME, checkpoint=tmp_path / "copy.safetensors", activation="softmax")
    assert back.record.protocol == registry.record(NAME).protocol
    assert "scores are" not in caplog.text
    for other in ({"num_classes": 5}, {"num_classes": 3, "labels": list("xyz")}, {"num_classes": 1}):
        new = videohub.load(NAME, checkpoint=tmp_path / "copy.safetensors", **other)
        assert new.record.protocol.scores.activation == "sigmoid"


def test_one_class_wants_a_sigmoid(tmp_path, caplog):
    with pytest.raises(UsageError, match=r"num_classes: found 1 .* a softmax: of one class it is 1, always"):
        videohub.build(NAME, num_classes=1)
    with pytest.raises(UsageError, match="activation: found 'relu', expected one of softmax, sigmoid"):
        videohub.build(NAME, num_classes=1, activation="relu")
    state = videohub.build(NAME, num_classes=1, activation="sigmoid").state_dict()
    torch.save(state, tmp_path / "own.pth")  # which says nothing of an activation
    videohub.load(NAME, checkpoint=tmp_path / "own.pth", activation="sigmoid")
    assert "softmax" not in caplog.text
    videohub.load(NAME, checkpoint=tmp_path / "own.pth")
    assert "there is one class, whose softmax is always 1" in caplog.text


# --- a file that `save` wrote needs no other ------------------------------------------------------------------------


def test_a_saved_file_is_read_where_it_lies_and_needs_no_cache(tmp_path, video, monkeypatch):
    videohub.save(videohub.build(NAME, num_classes=3, labels=list("abc")), tmp_path / "own.safetensors")
    (tmp_path / "no folder").write_text("")
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path / "no folder" / "cache"))
    assert fetch(NAME, checkpoint=tmp_path / "own.safetensors") == tmp_path / "own.safetensors"
    assert videohub.predict(video, NAME, checkpoint=tmp_path / "own.safetensors")[0].label in "abc"
    about = weights_file(tmp_path / "own.safetensors", registry.record(NAME), checkpoint=tmp_path / "own.safetensors")
    assert about.sha256 == hashlib.sha256((tmp_path / "own.safetensors").read_bytes()).hexdigest()
    assert (about.name, about.vouched_by) == ("own.safetensors", None)


def test_a_saved_file_of_another_network_or_with_less_in_it_is_still_refused(tmp_path):
    model = videohub.build(NAME, num_classes=3)
    videohub.save(model, tmp_path / "own.safetensors")
    with pytest.raises(ConversionError, match="holds converted weights of slowfast_motions"):
        videohub.load("slowfast_r50_8x8", checkpoint=tmp_path / "own.safetensors")
    tensors = load_file(tmp_path / "own.safetensors")
    del tensors["head.projection.bias"]
    header = kept_weights.origin(tmp_path / "own.safetensors")
    del header["checksum"], header["format"]
    kept_weights.write(tmp_path / "less.safetensors", tensors, header)
    with pytest.raises(ConversionError, match=r"head\.projection\.bias"):
        videohub.load(NAME, checkpoint=tmp_path / "less.safetensors")

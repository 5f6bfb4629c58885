"""ONNX files as models: what videohub wrote gives the same answers, and a stranger's file runs nothing but a graph."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

import videohub
from tests.exports.small_models import model_of
from tests.models.test_families import BOXES, inputs
from videohub import onnx_model
from videohub.data.synthetic import motions
from videohub.errors import DeviceError, FormatError, UnsafeFileError, UsageError

NAME = "slowfast_motions"


@pytest.fixture(autouse=True, scope="module")
def cache_of_its_own(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDEOHUB_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def exported(exported_demo):
    return Path(exported_demo.out)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    motions.generate(folder, split="test", clips=2)
    return sorted(folder.rglob("*.mp4"))[0]


@pytest.fixture
def changed(exported, tmp_path):
    """Return a function that saves the exported file after a change."""

    def save(change):
        model = onnx.load(exported)
        change(model)
        path = tmp_path / "changed.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    return save


def text_of(model, key):
    return next(entry for entry in model.metadata_props if entry.key == key)


def set_text(key, value):
    return lambda model: setattr(text_of(model, f"videohub.{key}"), "value", value)


# --- the same answers ------------------------------------------------------------------------------------------------


def test_predict_with_a_file_gives_what_predict_with_the_network_gives(exported, video, run):
    for model, views in ((str(exported), "one"), (exported, "protocol"), (onnx_model.load(exported), "one")):
        expected = videohub.predict(video, NAME, topk=10, views=views)
        result = videohub.predict(video, model, topk=10, views=views)
        assert [each.label for each in result] == [each.label for each in expected]
        assert [each.probability for each in result] == pytest.approx([each.probability for each in expected], abs=1e-5)
    code, printed, _ = run("predict", video, "--model", exported, "--json")
    assert code == 0
    assert [each["label"] for each in json.loads(printed)["predictions"]] == [each.label for each in expected[:5]]


@pytest.mark.slow
def test_a_file_of_a_fixed_batch_is_given_clips_in_its_batches(tmp_path):
    videohub.export(NAME, tmp_path / "a.onnx", batch=2)
    model, clips = onnx_model.load(tmp_path / "a.onnx"), torch.randn(5, 3, 16, 32, 32)
    with torch.no_grad():
        expected = videohub.load(NAME)(clips)
    assert torch.allclose(model(clips), expected, atol=1e-4)
    assert model(clips[:1]).shape == (1, 10)


@pytest.mark.slow
def test_a_file_in_half_names_the_same_classes(tmp_path, video):
    videohub.export(NAME, tmp_path / "a.onnx", half=True)
    expected, result = (videohub.predict(video, model, topk=3) for model in (NAME, tmp_path / "a.onnx"))
    assert [each.label for each in result] == [each.label for each in expected]
    assert [each.probability for each in result] == pytest.approx([each.probability for each in expected], abs=5e-3)


@pytest.mark.slow
def test_a_network_that_detects_is_given_boxes(tmp_path):
    net, (clip, boxes) = model_of("slow detection"), inputs("slow detection")
    videohub.export(net, tmp_path / "a.onnx", size=64)
    model = onnx_model.load(tmp_path / "a.onnx")
    with torch.no_grad():
        assert torch.allclose(model(clip, boxes), net(clip, boxes), atol=1e-4)
    with pytest.raises(UsageError, match="found no boxes, and small detects"):
        model(clip)
    with pytest.raises(UsageError, match="boxes of other clips than the 1 of the batch"):
        model(clip[:1], BOXES)


def test_what_an_onnx_file_does_not_have_is_refused(exported, tmp_path, video):
    with pytest.raises(UsageError, match="an ONNX file gives logits alone; features need the network itself"):
        onnx_model.load(exported).features(torch.zeros(1, 3, 16, 32, 32))
    with pytest.raises(UsageError, match="which was exported already"):
        videohub.export(exported, tmp_path / "a.onnx")
    with pytest.raises(UsageError, match="found a model and the checkpoint"):
        videohub.predict(video, exported, checkpoint="own.pth")
    with pytest.raises(UsageError, match=r"^\S+: an ONNX file computes as it was exported; choose precision fp32"):
        videohub.predict(video, exported, precision="bf16")


def test_clips_of_another_size_are_refused(exported):
    model = onnx_model.load(exported)
    with pytest.raises(
        UsageError, match=r"found a clip \(1, 3, 16, 64, 64\) of torch.float32, expected any number x 3"
    ):
        model(torch.zeros(1, 3, 16, 64, 64))
    with pytest.raises(UsageError, match=r"torch\.float16"):
        model(torch.zeros(1, 3, 16, 32, 32).half())
    with pytest.raises(DeviceError, match="run on the CPU here, and cuda was asked for"):
        onnx_model.load(exported, device="cuda")


# --- a stranger's file -----------------------------------------------------------------------------------------------


def lies_elsewhere(model):
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


def attribute_lies_elsewhere(model):
    tensor = TensorProto(data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="/etc/passwd")
    model.graph.node.insert(0, helper.make_node("Constant", [], ["unused"], value=tensor))


def calls_others(model):
    model.opset_import.add(domain="com.evil", version=1)


def calls_one_of_others(model):
    model.graph.node[0].domain = "com.microsoft"


def holds_a_function(model):
    model.functions.add(name="f", domain="local")


def holds_a_graph(model):
    body = helper.make_graph([], "body", [], [])
    model.graph.node.insert(0, helper.make_node("Loop", ["", ""], ["unused"], body=body))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lies_elsewhere, "a tensor that lies in another file, ../../etc/passwd"),
        (attribute_lies_elsewhere, "a tensor that lies in another file, /etc/passwd"),
        (calls_others, "operators of com.evil"),
        (calls_one_of_others, "operators of com.microsoft"),
        (holds_a_function, "functions, training or sparse tensors"),
        (holds_a_graph, "a graph within its operator Loop"),
        (lambda model: model.graph.sparse_initializer.add(), "sparse tensors"),
    ],
)
def test_a_graph_that_could_do_more_than_compute_is_not_run(changed, change, message):
    with pytest.raises(UnsafeFileError, match=message):
        onnx_model.load(changed(change))


def record_with(**changes):
    def change(model):
        entry = text_of(model, "videohub.record")
        entry.value = json.dumps(json.loads(entry.value) | changes)

    return change


def huge(model):
    entry = text_of(model, "videohub.clip")
    entry.value = json.dumps(json.loads(entry.value) | {"frames": 10**6})


def another_rate(model):
    entry = text_of(model, "videohub.clip")
    entry.value = json.dumps(json.loads(entry.value) | {"fps": 5.0})


def without_clip(model):
    model.metadata_props.remove(text_of(model, "videohub.clip"))


def many_views(model):
    entry = text_of(model, "videohub.record")
    record = json.loads(entry.value)
    record["protocol"]["views"]["clips"] = 10**9
    entry.value = json.dumps(record)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda model: model.ClearField("metadata_props"), FormatError, "nothing in it says whose network it is"),
        (lambda model: model.metadata_props.add(key="videohub.more", value="1"), FormatError, "more .* is unknown"),
        (without_clip, FormatError, "clip .* is missing"),
        (set_text("record", "{"), FormatError, "videohub.record of its metadata is unreadable"),
        (set_text("record", "[" * 100_000), FormatError, "videohub.record of its metadata is unreadable"),
        (set_text("labels", '["a", "b"]'), FormatError, "videohub.labels of its metadata is not what its record says"),
        (set_text("labels", " " * (5 << 20)), UnsafeFileError, "letters"),
        (set_text("normalisation", "[]"), FormatError, "videohub.normalisation of its metadata is not what"),
        (record_with(unknown=1), FormatError, "unknown field `unknown`"),
        (record_with(labels="nobody's"), FormatError, "changed.onnx: its record is broken: no label set"),
        (another_rate, FormatError, "videohub.clip of its metadata is not what its record says"),
        (huge, UnsafeFileError, "its clips are any number x 3 x 1000000"),
        (many_views, UnsafeFileError, "it asks for 3000000000 views"),
    ],
)  # fmt: skip
def test_metadata_that_do_not_fit_are_refused(changed, change, error, message):
    with pytest.raises(error, match=message):
        onnx_model.load(changed(change))


def other_inputs(model):
    model.graph.input[0].name = "images"


def another_length(model):
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 8


def of_whole_numbers(model):
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT32


def more_outputs(model):
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 400


def in_whole_numbers(model):
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64


def broken_graph(model):
    model.graph.node[0].input[0] = "nothing"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_inputs, "its inputs are .*images.*, expected"),
        (another_length, "its graph takes clips"),
        (of_whole_numbers, "are of ONNX's type 6, expected a float"),
        (more_outputs, "its outputs are .*400.*, expected rows of 10"),
        (in_whole_numbers, "its outputs are of ONNX's type 7, expected float32 as its clips are"),
        (broken_graph, "onnxruntime refuses it"),
    ],
)
def test_a_graph_that_is_not_what_its_metadata_say_is_refused(changed, change, message):
    with pytest.raises(FormatError, match=message):
        onnx_model.load(changed(change))


def gives(*shape):
    """Return a change after which a graph gives ones of this shape, for any clips."""

    def change(model):
        graph = model.graph
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        sizes = helper.make_tensor("sizes", TensorProto.INT64, [len(shape)], shape)
        graph.initializer.extend([sizes, helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])])
        graph.node.append(helper.make_node("Expand", ["one", "sizes"], [graph.output[0].name], name="\x1b[31mred"))

    return change


@pytest.mark.parametrize("shape", [(1, 10), (7, 10), (2, 5)])
def test_a_graph_that_gives_other_rows_than_it_promised_is_refused(changed, shape):
    model = onnx_model.load(changed(gives(*shape)))
    with pytest.raises(FormatError, match=rf"its graph gave outputs \({shape[0]}, {shape[1]}\), expected \(2, 10\)"):
        model(torch.zeros(2, 3, 16, 32, 32))


def test_the_runtime_prints_no_words_of_a_stranger_s(changed, capfd):
    file = changed(gives(1 << 40, 1 << 40))
    with pytest.raises(
        FormatError, match=r"its graph cannot be run|onnxruntime refuses it"
    ):  # as it loads it, in older versions
        onnx_model.load(file)(torch.zeros(1, 3, 16, 32, 32))
    assert capfd.readouterr() == ("", "")


def test_weights_cut_short_are_refused(changed):
    def cut(model):
        model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-4]

    with pytest.raises(FormatError):
        onnx_model.load(changed(cut))


@pytest.mark.parametrize("content", [b"", b"not a graph", bytes(range(256)) * 10])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "a.onnx"
    path.write_bytes(content)
    with pytest.raises(FormatError):
        onnx_model.load(path)
    with pytest.raises(UsageError, match="no such ONNX file"):
        onnx_model.load(tmp_path / "nowhere.onnx")


def test_half_a_file_is_refused(exported, tmp_path):
    content = exported.read_bytes()
    path = tmp_path / "a.onnx"
    for share in (0.1, 0.5, 0.9, 0.999):
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(FormatError):
            onnx_model.load(path)


def test_keys_of_other_programs_are_left_aside(changed):
    model = onnx_model.load(changed(lambda model: model.metadata_props.add(key="author", value="somebody")))
    assert model.record.name == NAME
    assert np.isfinite(model(torch.zeros(1, 3, 16, 32, 32)).numpy()).all()

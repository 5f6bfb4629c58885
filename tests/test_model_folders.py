"""Networks as transformers saves them, in a folder or on the hub, by every door: what is read, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import msgspec
import pytest
import torch

import videohub
from tests.data.small_videos import small_video
from tests.hub.publisher import running
from tests.model_folders import CONFIG, NAMES, OURS, PIXELS, network, tensors, write, write_weights
from videohub import log, registry
from videohub.cache_admin import bundle_pack, trust
from videohub.convert import kept_weights
from videohub.errors import (
    ConversionError,
    DownloadError,
    FormatError,
    OfflineError,
    RegistryError,
    UnknownNameError,
    UsageError,
)
from videohub.protocols import Crop, Divide, Normalise, Resize, ResizeShortSide

HUB = "hf://somebody/fine-tune"


@pytest.fixture(autouse=True)
def home(own_cache, tmp_path, monkeypatch):
    monkeypatch.setattr(log, "_told", set())
    monkeypatch.chdir(tmp_path)
    return own_cache


def in_mirror(tmp_path, monkeypatch, revision="main"):
    """Return the folder in which a mirror keeps the repository."""
    monkeypatch.setenv("VIDEOHUB_MIRRORS", str(tmp_path / "mirror"))
    monkeypatch.setenv("VIDEOHUB_OFFLINE", "1")
    return tmp_path / "mirror" / "huggingface.co" / "somebody" / "fine-tune" / "resolve" / revision


def told(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "videohub"]


def kept(home):
    return sorted(path for folder in ("raw", "partial", "converted", "pins") for path in home.glob(f"{folder}/*"))


# --- what is made of one ---------------------------------------------------------------------------------------------


def test_a_folder_is_a_network_with_its_labels_and_its_authors_test(tmp_path):
    folder = write(tmp_path / "mine")
    model = videohub.load(str(folder))
    clip = torch.rand(2, 3, 4, 32, 32)
    with torch.inference_mode():
        assert torch.equal(model(clip), network()(clip))
    record = model.record
    assert (record.model, record.labels, record.clip.frames) == (OURS, NAMES, 4)
    protocol = record.protocol
    assert (protocol.views.clips, protocol.views.crops) == (5, ("start", "centre", "end"))  # VideoMAE's 5 x 3
    assert (protocol.scores.activation, protocol.scores.join, protocol.dataset) == ("softmax", "mean", "own")
    assert protocol.pixels == (
        ResizeShortSide(pixels=36, long_side="truncate", arithmetic="opencv_uint8"),
        Crop(size=32, arithmetic="videomae"),
        Divide(by=255),
        Normalise(mean=(0.5, 0.4, 0.3), std=(0.25, 0.5, 0.2)),
    )
    assert (record.number, record.checkpoint.layout, record.checkpoint.container) == (
        None,
        "transformers",
        "safetensors",
    )


def test_every_verb_takes_one(tmp_path, monkeypatch):
    write(tmp_path / "mine")
    video = small_video(tmp_path / "clip.mp4", count=8)
    assert {each.label for each in videohub.predict(video, "mine")} == set(NAMES)
    assert videohub.predict(video, tmp_path / "mine") == videohub.predict(video, videohub.load("mine"))
    assert videohub.features(video, "./mine", stride=1).values.shape[1] == 24
    assert videohub.views(video, "mine").shape == (15, 3, 4, 32, 32)
    assert videohub.transforms("mine")(torch.zeros(4, 40, 40, 3, dtype=torch.uint8)).shape == (3, 4, 32, 32)
    assert videohub.build("mine", num_classes=5)(torch.zeros(1, 3, 4, 32, 32)).shape == (1, 5)
    for label in NAMES:
        (tmp_path / "videos" / label).mkdir(parents=True)
        (tmp_path / "videos" / label / "clip.mp4").write_bytes(video.read_bytes())
    evaluated = videohub.evaluate("mine", tmp_path / "videos", workers=0, precision="fp32")
    assert evaluated.numbers[0].value == pytest.approx(100 / 3)  # three times the same video
    with pytest.raises(UsageError, match=r"(?s)states no number.*videohub benchmark mine --data"):
        videohub.verify("mine", tmp_path / "videos")
    again = videohub.save(videohub.load("mine"), tmp_path / "again.safetensors")
    assert videohub.load("mine", checkpoint=again).record.labels == NAMES


def test_what_was_saved_of_a_folder_loads_wherever_the_folder_lies_by_then(tmp_path):
    write(tmp_path / "mine")
    saved = videohub.save(videohub.load("./mine", num_classes=5), tmp_path / "ours.safetensors")
    for place in ("mine", "./mine/", tmp_path / "mine"):
        assert videohub.load(place, checkpoint=saved).record.model.num_classes == 5
    moved = (tmp_path / "mine").rename(tmp_path / "elsewhere")
    assert videohub.load(moved, checkpoint=saved).record.model.num_classes == 5
    other = write(tmp_path / "other", {**CONFIG, "layer_norm_eps": 1e-6})
    with pytest.raises(ConversionError, match=r"holds converted weights of \./mine"):
        videohub.load(other, checkpoint=saved)
    with pytest.raises(ConversionError, match=r"holds converted weights of \./mine"):
        videohub.load("videomae_vit_s_16x4", checkpoint=saved)
    model = videohub.load(moved)
    stated = json.loads(msgspec.json.encode(model.record)) | {"name": ["no", "text"]}
    header = {"videohub": "0.1.0", "record": json.dumps(stated)}
    kept_weights.write(tmp_path / "odd.safetensors", model.state_dict(), header)
    with pytest.raises(ConversionError, match="holds converted weights of an unknown record"):
        videohub.load(moved, checkpoint=tmp_path / "odd.safetensors")


def test_a_record_goes_before_a_folder_of_its_name_and_a_folder_s_name_leads_nowhere_else(tmp_path):
    write(tmp_path / "slowfast_motions")
    assert registry.record("slowfast_motions").family == "slowfast"
    assert registry.record("./slowfast_motions").family == "vit"
    assert registry.record("./slowfast_motions").folder_name == "slowfast_motions"
    assert registry.record(tmp_path / "slowfast_motions").folder_name.endswith("slowfast_motions")
    with pytest.raises(UnknownNameError):
        registry.record("./nothing")


@pytest.mark.parametrize(
    ("model_type", "wrote", "changes", "family", "said", "views"),
    [
        ("timesformer", "TimesformerForVideoClassification", {}, "timesformer",
         {"attention": "divided", "norm_eps": 1e-6}, (1, 3)),
        ("timesformer", "TimesformerForVideoClassification",
         {"attention_type": "joint_space_time", "layer_norm_eps": 1e-5}, "timesformer",
         {"attention": "joint", "norm_eps": 1e-5}, (1, 3)),
        ("vivit", "VivitForVideoClassification", {"tubelet_size": [2, 8, 8]}, "vit",
         {"patch": 8, "positions": "joint", "readout": "class_token", "gelu": "tanh", "key_bias": True}, (4, 3)),
        ("vivit", "VivitForVideoClassification", {"hidden_act": "gelu"}, "vit", {"gelu": "exact"}, (4, 3)),
        ("videomae", "VideoMAEForVideoClassification", {"intermediate_size": 40, "patch_size": [8, 8]}, "vit",
         {"hidden": 40, "patch": 8}, (5, 3)),
        ("videomae", "VideoMAEForPreTraining", {"use_mean_pooling": False}, "vit",
         {"num_classes": None, "readout": "mean"}, (5, 3)),
        ("videomae", "VideoMAEModel", {}, "vit", {"num_classes": None, "readout": "mean_alone"}, (5, 3)),
        ("vjepa2", "VJEPA2ForVideoClassification", {"crop_size": 32, "mlp_ratio": 2}, "vit",
         {"positions": "rotary", "segments": 2, "hidden": 48, "readout_eps": None}, (1, 3)),
        ("vjepa2", "VJEPA2Model", {"crop_size": 32}, "vit", {"num_classes": None, "segments": 1}, (1, 1)),
    ],
)  # fmt: skip
def test_what_changes_the_arithmetic_is_read(tmp_path, model_type, wrote, changes, family, said, views):
    write(tmp_path / "mine", {**CONFIG, "model_type": model_type, "architectures": [wrote], **changes})
    record = registry.record("mine")
    assert record.family == family
    assert {name: getattr(record.model, name) for name in said} == said
    assert (record.protocol.views.clips, len(record.protocol.views.crops)) == views


@pytest.mark.parametrize(
    ("pixels", "steps", "crops"),
    [
        ({"size": 40, "crop_size": 32}, [("resize_short_side", 40), (0.5, 0.25)], 3),
        ({"size": 40, "default_to_square": False}, [("resize_short_side", 40), (0.5, 0.25)], 3),
        ({"default_to_square": True}, [("resize_short_side", 36), (0.5, 0.25)], 3),
        ({"size": {"height": 32, "width": 32}}, [("resize", (32, 32)), (0.5, 0.25)], 1),
        ({"size": {"height": 40, "width": 60}}, [("resize", (40, 60)), (0.5, 0.25)], 3),
        ({"do_resize": False}, [(0.5, 0.25)], 3),
        ({"do_normalize": False, "image_mean": None}, [("resize_short_side", 36), (0, 1)], 3),
        ({"image_mean": 0.1, "image_std": 2}, [("resize_short_side", 36), (0.1, 2)], 3),
    ],
)  # fmt: skip
def test_what_is_done_to_pixels_is_read(tmp_path, pixels, steps, crops):
    write(tmp_path / "mine", pixels={**PIXELS, **pixels})
    protocol = registry.record("mine").protocol
    result = []
    for step in protocol.pixels:
        if isinstance(step, ResizeShortSide):
            result.append((step.name, step.pixels))
        elif isinstance(step, Resize):
            result.append((step.name, (step.height, step.width)))
        elif isinstance(step, Normalise):
            result.append((step.mean[0], step.std[0]))
    assert (result, len(protocol.views.crops)) == (steps, crops)


@pytest.mark.parametrize(
    ("said", "by", "mean", "std", "warned"),
    [
        ({"offset": True, "do_normalize": False}, 127.5, 1, 1, False),  # x / 127.5 - 1
        ({"offset": True}, 127.5, 1.5, 0.25, True),  # (x / 127.5 - 1 - 0.5) / 0.25
        ({"offset": False}, 127.5, 0.5, 0.25, False),
        ({"offset": False, "rescale_factor": 0.00392156862745098}, 255, 0.5, 0.25, False),
    ],
)
def test_vivit_s_offset_is_part_of_the_mean(tmp_path, caplog, said, by, mean, std, warned):
    pixels = {**PIXELS, "image_processor_type": "VivitImageProcessor", "rescale_factor": None, **said}
    write(
        tmp_path / "mine", {**CONFIG, "model_type": "vivit", "architectures": ["VivitForVideoClassification"]}, pixels
    )
    steps = registry.record("mine").protocol.pixels
    assert [step.by for step in steps if isinstance(step, Divide)] == [pytest.approx(by)]
    (normalise,) = [step for step in steps if isinstance(step, Normalise)]
    assert (normalise.mean[0], normalise.std[0]) == (mean, std)
    assert any("normalised once more" in line for line in told(caplog)) is warned


def test_the_class_for_videos_of_vivit_offsets_whatever_its_file_says(tmp_path, caplog):
    """transformers 5.24, VivitVideoProcessor.rescale_and_normalize: `images * rescale_factor - 1`, in any case."""
    pixels = {**PIXELS, "image_processor_type": "VivitVideoProcessor", "rescale_factor": None, "offset": False}
    write(
        tmp_path / "mine", {**CONFIG, "model_type": "vivit", "architectures": ["VivitForVideoClassification"]}, pixels
    )
    (normalise,) = [step for step in registry.record("mine").protocol.pixels if isinstance(step, Normalise)]
    assert (normalise.mean[0], normalise.std[0]) == (1.5, 0.25)
    assert any("offset: false of its preprocessor_config.json has no effect" in line for line in told(caplog))


# --- what is told ----------------------------------------------------------------------------------------------------


def test_what_is_to_be_known_is_told_once_in_a_line_each(tmp_path, caplog):
    changes = {"hidden_size": 384, "num_attention_heads": 16, "transformers_version": "5.6.0", "temperature": 2}
    write(tmp_path / "mine", {**CONFIG, **changes}, {**PIXELS, "sharpen": 3})
    for _ in range(2):
        assert registry.record("mine").model.heads == 16
    assert [line.removeprefix("mine: ").split(",")[0] for line in told(caplog)] == [
        "num_attention_heads is 16",
        "transformers 5.6.0 wrote it",
        "passed over what videohub does not know in config.json: temperature",
        "passed over what videohub does not know in preprocessor_config.json: sharpen",
    ]
    assert "network of this width has 6" in told(caplog)[0]
    assert "may have started without" in told(caplog)[1]


@pytest.mark.parametrize(("version", "warned"), [
    ("5.5.0", False), ("5.5.1", True), ("5.17.3", True), ("5.18.0", False), ("4.57.1", False), ("5.6.0.dev0", True),
    (None, False), (5, False), ("x" * 10_000, False),
])  # fmt: skip
def test_versions_that_lost_biases_are_5_5_1_to_5_17(tmp_path, caplog, version, warned):
    write(tmp_path / "mine", {**CONFIG, "transformers_version": version})
    registry.record("mine")
    assert bool(told(caplog)) is warned


@pytest.mark.parametrize(
    ("changes", "labels", "line"),
    [
        ({"id2label": {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}, "label2id": {}}, None, None),
        ({"id2label": {"2": "c", "0": "a", "1": "b"}, "label2id": None}, ("a", "b", "c"), None),
        ({"label2id": {"run": "0", "jump": "1", "fall": "2"}}, NAMES, None),
        ({"label2id": {"run": 1, "jump": 0, "fall": 2}}, None, "label2id says otherwise than id2label what run is"),
        ({"id2label": {"0": "a", "1": "a", "2": "b"}, "label2id": {"a": 0, "b": 2}}, ("a", "a", "b"), None),
        ({"id2label": None, "num_labels": 3}, None, None),
    ],
)
def test_outputs_are_called_as_id2label_says_unless_label2id_contradicts(tmp_path, caplog, changes, labels, line):
    write(tmp_path / "mine", {**CONFIG, **changes})
    record = registry.record("mine")
    assert (record.labels, record.num_classes) == (labels, 3)
    assert [line in each for each in told(caplog)] == ([True] if line else [])


def test_without_names_two_outputs_are_the_library_s_default(tmp_path):
    write(tmp_path / "mine", {name: value for name, value in CONFIG.items() if "label" not in name})
    assert (registry.record("mine").num_classes, registry.record("mine").labels) == (2, None)
    with pytest.raises(ConversionError, match="of another shape"):
        videohub.load("mine")


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"auto_map": {"AutoModel": "modeling.Mine"}}, "auto_map asks for the repository's own code"),
        ({"quantization_config": {"bits": 4}}, "quantization_config asks for numbers that are no plain tensors"),
        ({"model_type": "bert"}, r'model_type is "bert", expected one of videomae, timesformer, vivit'),
        ({"model_type": None}, "model_type is null"),
        ({"model_type": ["videomae"]}, "model_type is a list"),
        ({"architectures": ["MyNet"]}, r'architectures is "MyNet", expected one of VideoMAEForVideoClassification'),
        ({"architectures": None}, "architectures is null"),
        ({"architectures": []}, "architectures is an empty list"),
        ({"hidden_act": "relu"}, r'hidden_act is "relu", expected one of gelu, gelu_python'),
        ({"hidden_act": "gelu_new"}, r'hidden_act is "gelu_new"'),
        ({"qkv_bias": False}, "qkv_bias is false, expected true"),
        ({"qv_bias": False}, "qv_bias is false, expected true"),
        ({"use_mean_pooling": False}, "use_mean_pooling is false, expected true"),
        ({"tubelet_size": 4}, "tubelet_size is 4, expected one of 2"),
        ({"num_channels": 1}, "num_channels is 1, expected one of 3"),
        ({"image_size": [32, 64]}, r"image_size is .*32, 64.*, expected a square"),
        ({"image_size": [32]}, "image_size has 1 item, expected at least 2"),
        ({"patch_size": 64}, "patch_size is 64, expected at most image_size, 32"),
        ({"num_attention_heads": 5}, "num_attention_heads is 5, expected a divisor of hidden_size, 24"),
        ({"head_dim": 64}, "head_dim is 64, expected hidden_size / num_attention_heads, 8"),
        ({"hidden_size": None}, "hidden_size is null, expected a whole number"),
        ({"hidden_size": "768"}, r'hidden_size is "768", expected a whole number'),
        ({"hidden_size": True}, "hidden_size is true, expected a whole number"),
        ({"hidden_size": 10**12}, "hidden_size is 1000000000000, expected a whole number <= 8192"),
        ({"num_hidden_layers": 10**6}, "num_hidden_layers is 1000000, expected a whole number <= 128"),
        ({"num_frames": 512, "image_size": 1024, "patch_size": 1}, "a clip of at most 131072 patches"),
        ({"num_frames": 0}, "num_frames is 0, expected a whole number"),
        ({"num_frames": 1}, "num_frames is 1, expected at least 2"),
        ({"layer_norm_eps": -1}, "layer_norm_eps is -1, expected a number > 0"),
        ({"layer_norm_eps": "1e-6"}, "layer_norm_eps is"),
        ({"problem_type": "regression"}, "problem_type is .*, expected single_label_classification or multi_label"),
        ({"id2label": {"0": "a", "2": "b"}}, "id2label has 2 names and none for 1; expected one for each of 0 to 1"),
        ({"id2label": {}}, "id2label is an empty mapping"),
        ({"id2label": ["a"]}, "id2label is a list"),
        ({"id2label": {"0": 1}}, r"id2label\.0 is 1, expected a name"),
        ({"id2label": {"0": "a\ud800"}}, r"id2label\.0 is .*, expected a name"),
        ({"id2label": {"0": " "}}, r"id2label\.0 is"),
        ({"id2label": {str(number): "a" for number in range(30_001)}}, "id2label is a mapping, expected one of 1"),
        ({"id2label": None, "num_labels": 10**9}, "num_labels is 1000000000"),
        ({"id2label": None, "num_labels": "3"}, "num_labels is"),
        ({"model_type": "timesformer", "architectures": ["TimesformerForVideoClassification"],
          "attention_type": "space_only"}, r'attention_type is "space_only", expected one of divided_space_time'),
        ({"model_type": "timesformer", "architectures": ["TimesformerForVideoClassification"],
          "patch_size": 8}, "patch_size is 8, expected 16"),
        ({"model_type": "timesformer", "architectures": ["TimesformerForVideoClassification"],
          "intermediate_size": 40}, "intermediate_size is 40, expected 4 x hidden_size, 96"),
        ({"model_type": "vivit", "architectures": ["VivitForVideoClassification"], "tubelet_size": [2, 8, 16]},
         r"patch_size is .*8, 16"),
        ({"model_type": "vivit", "architectures": ["VivitForVideoClassification"], "tubelet_size": 2},
         "tubelet_size is 2, expected a list"),
        ({"model_type": "vjepa2", "architectures": ["VJEPA2ForVideoClassification"],
          "crop_size": 32, "mlp_ratio": 0.01},
         "mlp_ratio is 0.01, expected at least 1 / hidden_size, 1 / 24"),
        ({"model_type": "vjepa2", "architectures": ["VJEPA2ForVideoClassification"],
          "crop_size": 32, "frames_per_clip": 1}, "frames_per_clip is 1, expected at least 2"),
        ({"model_type": "vjepa2", "architectures": ["VJEPA2ForVideoClassification"],
          "crop_size": 32, "patch_size": 64}, "patch_size is 64, expected at most crop_size, 32"),
    ],
)  # fmt: skip
def test_a_config_that_asks_for_what_is_not_here_is_refused_by_the_field(tmp_path, changes, message):
    write(tmp_path / "mine", {**CONFIG, **changes})
    with pytest.raises(RegistryError, match=f"mine: config.json: .*{message}"):
        registry.record("mine")


def test_all_that_is_wrong_is_told_at_once(tmp_path):
    write(tmp_path / "mine", {**CONFIG, "hidden_act": "relu", "num_frames": "16"})
    with pytest.raises(RegistryError) as refused:
        registry.record("mine")
    assert len(str(refused.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"auto_map": {"AutoImageProcessor": "p.Mine"}}, "auto_map asks for the repository's own code"),
        ({"image_processor_type": "MyProcessor"}, r'image_processor_type is "MyProcessor", expected one of VideoMAE'),
        ({"image_mean": None}, "image_mean is missing, expected a number for each channel"),
        ({"image_mean": [0.5, 0.5]}, "image_mean has 2 items, expected at least 3"),
        ({"image_mean": "0.5"}, "image_mean is"),
        ({"image_std": [0.5, 0, 0.5]}, r"image_std\.1 is 0, expected a number > 0"),
        ({"resample": 3}, "resample is 3, expected one of 2"),
        ({"size": None}, "size is null, expected shortest_edge, or height and width"),
        ({"size": {"longest_edge": 224}}, "size is .*longest_edge.*, expected shortest_edge"),
        ({"size": {"shortest_edge": 10**9}}, r"size\.shortest_edge is 1000000000, expected a whole number <= 1024"),
        ({"size": 40, "default_to_square": True}, "default_to_square is true, expected false, or a size of"),
        ({"size": {"shortest_edge": 16}}, "size is 16, expected at least the 32 pixels"),
        ({"crop_size": 24}, "crop_size is 24, expected 32, the size of clips in config.json"),
        ({"crop_size": {"height": 32, "width": 24}}, "crop_size is .*, expected height and width of a square"),
        ({"rescale_factor": 0}, "rescale_factor is 0, expected a number > 0"),
        ({"offset": True}, "offset is true, expected no such field"),
        ({"do_flip_channel_order": True}, "do_flip_channel_order is true, expected false"),
        ({"do_normalize": "yes"}, "do_normalize is .yes., expected true or false"),
    ],
)
def test_pixels_that_cannot_be_made_are_refused_by_the_field(tmp_path, changes, message):
    write(tmp_path / "mine", pixels={**PIXELS, **changes})
    with pytest.raises(RegistryError, match=f"mine: preprocessor_config.json: {message}"):
        registry.record("mine")


def test_a_folder_without_its_pixels_or_weights_or_with_two_kinds_of_pixels_is_refused(tmp_path):
    write(tmp_path / "a", pixels=None)
    with pytest.raises(RegistryError, match=r"found no preprocessor_config\.json.*\n.*`save_pretrained` of its image"):
        registry.record("a")
    write(tmp_path / "b", file="other.safetensors")
    with pytest.raises(RegistryError, match=r"found no model\.safetensors or .* or pytorch_model\.bin"):
        registry.record("b")
    both = write(tmp_path / "c")
    (both / "video_preprocessor_config.json").write_text(json.dumps(PIXELS))
    assert registry.record("c").labels == NAMES
    (both / "video_preprocessor_config.json").write_text(json.dumps({**PIXELS, "image_mean": 0.5}))
    with pytest.raises(RegistryError, match=r"video_preprocessor_config\.json makes .* expected the same"):
        registry.record("c")
    (tmp_path / "d").mkdir()
    with pytest.raises(RegistryError, match=r"d: found no config\.json, expected [\w ]+$"):
        registry.record("d")
    write(tmp_path / "d" / "checkpoint-500")
    with pytest.raises(RegistryError, match=r"d: found no config\.json.*\n.*in its folders checkpoint-"):
        registry.record("d")


def test_a_folder_is_not_told_of_digests_that_bind_or_fingerprints_that_have_no_record(tmp_path, run):
    write(tmp_path / "mine")
    assert "not stated; the file is taken as it is" in " ".join(run("show", "mine")[1].split())
    assert run("check", "mine")[:2] == (3, "mine nothing known\nnothing is publicly known of its file's outputs\n")
    code, _, err = run("check", "mine", "--pin")
    assert (code, "found no record of a registry file" in err) == (2, True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no JSON"),
        (b"model_type: videomae", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"\xff\xfe{}", "is no JSON"),
        (b'{"a": 1, "a": 2}', "the name 'a' stands there twice"),
        (b'{"layer_norm_eps": NaN}', "NaN is no number"),
        (b"[]", "found a list, expected a mapping"),
        (b'{"hidden_size": ' + b"9" * 10_000 + b"}", "is no JSON"),
    ],
)
def test_what_is_no_config_is_refused(tmp_path, content, message):
    write(tmp_path / "mine", content)
    with pytest.raises(RegistryError, match=f"config.json: .*{message}"):
        registry.record("mine")


def test_a_config_of_a_gigabyte_or_that_never_ends_is_not_read(tmp_path):
    folder = write(tmp_path / "mine")
    with (folder / "config.json").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(RegistryError, match=r"has 1073741824 bytes, expected a config\.json of at most 4194304"):
        registry.record("mine")
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")
    with pytest.raises(RegistryError, match=r"found no config\.json"):
        registry.record("mine")


def test_a_file_that_lost_its_biases_is_refused_and_either_spelling_read(tmp_path):
    whole = tensors()
    without = {name: tensor for name, tensor in whole.items() if not name.endswith("_bias")}
    write(tmp_path / "lost", weights=without)
    with pytest.raises(ConversionError, match="VideoMAE's queries and values have a bias each"):
        videohub.load("lost")
    respelt = {name.replace("q_bias", "query.bias").replace("v_bias", "value.bias"): tensor
               for name, tensor in whole.items()}  # fmt: skip
    write(tmp_path / "now")
    write(tmp_path / "then", weights=respelt)
    now, then = (videohub.load(name).state_dict() for name in ("now", "then"))
    assert all(torch.equal(now[name], then[name]) for name in now)


# --- the files of weights --------------------------------------------------------------------------------------------


def test_of_two_files_of_weights_the_library_s_first_is_taken_and_told(tmp_path, caplog):
    folder = write(tmp_path / "mine", file="pytorch_model.bin")
    assert registry.record("mine").checkpoint.url.endswith("/pytorch_model.bin")
    clip = torch.rand(1, 3, 4, 32, 32)
    with torch.inference_mode():
        assert torch.equal(videohub.load("mine")(clip), network()(clip))
    write_weights(folder / "model.safetensors", tensors())
    caplog.clear()
    assert registry.record("mine").checkpoint.url.endswith("/model.safetensors")
    assert told(caplog) == [
        "mine: holds model.safetensors and pytorch_model.bin; model.safetensors is taken, as transformers does"
    ]


def in_two(folder, file, index):
    """Write the tensors into two files with an index."""
    whole = sorted(tensors().items())
    stem, suffix = file.split(".")
    parts = {f"{stem}-0000{number}-of-00002.{suffix}": dict(whole[number - 1 :: 2]) for number in (1, 2)}
    write(folder, file="unused.bin")
    (folder / "unused.bin").unlink()
    for name, part in parts.items():
        write_weights(folder / name, part)
    weight_map = {tensor: name for name, part in parts.items() for tensor in part}
    (folder / index).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return folder


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_tensors_in_several_files_are_read_as_one(tmp_path, file):
    folder = in_two(tmp_path / "mine", file, f"{file}.index.json")
    clip = torch.rand(1, 3, 4, 32, 32)
    for _ in range(2):
        with torch.inference_mode():
            assert torch.equal(videohub.load("mine")(clip), network()(clip))
    second = next(folder.glob("*-00002-of-00002.*"))
    second.write_bytes(next(folder.glob("*-00001-of-00002.*")).read_bytes())
    with pytest.raises(FormatError, match="two of its files hold"):
        videohub.load("mine")
    second.unlink()
    with pytest.raises(DownloadError, match=r"00002.* does not exist"):
        videohub.load("mine")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../secret.safetensors", r"names the file \.\./secret\.safetensors, expected one beside it"),
        ("/etc/passwd", "names the file /etc/passwd"),
        ("a/../../b.bin", "names the file"),
        ("..\\\\b.bin", "names the file"),
        ("model.safetensors.index.json", "names the file"),
        (".safetensors", "names the file"),
        ("modeling.py", "names the file"),
        ("a@evil.bin", "names the file"),
        ("a\nb.bin", "names the file"),
        (5, "names the file 5"),
        (None, "names the file None"),
    ],
)
def test_an_index_that_leads_elsewhere_is_refused(tmp_path, name, message):
    folder = write(tmp_path / "mine", file="unused.bin")
    index = {"weight_map": {"x": name}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(RegistryError, match=rf"mine: model\.safetensors\.index\.json: {message}"):
        videohub.load("mine")


MANY = json.dumps({"weight_map": {str(number): f"{number}.bin" for number in range(200)}})


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {}}', "[" * 9_999, MANY])
def test_what_is_no_index_is_refused(tmp_path, content):
    folder = write(tmp_path / "mine", file="unused.bin")
    (folder / "model.safetensors.index.json").write_text(content)
    with pytest.raises(RegistryError, match=r"is no index of tensors|expected 1 to 100"):
        videohub.load("mine")


# --- the hub ---------------------------------------------------------------------------------------------------------


def test_a_repository_is_fetched_once_and_then_needs_no_connection(tmp_path, monkeypatch, home):
    write(in_mirror(tmp_path, monkeypatch))
    model = videohub.load(HUB)
    assert (model.record.name, model.record.labels) == (HUB, NAMES)
    assert model.record.checkpoint.url == "hf://somebody/fine-tune/model.safetensors@main"
    assert model.record.folder_name == "hf_somebody_fine-tune"
    monkeypatch.delenv("VIDEOHUB_MIRRORS")
    clip = torch.rand(1, 3, 4, 32, 32)
    with torch.inference_mode():
        assert torch.equal(videohub.load(HUB)(clip), model(clip))
    with pytest.raises(OfflineError, match="forbids connections"):
        registry.record(f"{HUB}@v2")


def test_a_replaced_file_is_not_taken_until_the_model_is_forgotten(tmp_path, monkeypatch, home):
    repository = write(in_mirror(tmp_path, monkeypatch))
    registry.record(HUB)
    write(repository, {**CONFIG, "id2label": {"0": "a", "1": "b", "2": "c"}, "label2id": {}})
    assert registry.record(HUB).labels == NAMES
    assert len(trust.forget(HUB)) == 2
    assert registry.record(HUB).labels == ("a", "b", "c")
    assert [each.was_pinned for each in trust.forget("hf://somebody/else")] == [False]


def test_a_damaged_one_of_several_files_does_not_bind_the_next_download(tmp_path, monkeypatch):
    second = in_two(in_mirror(tmp_path, monkeypatch), "model.safetensors", "model.safetensors.index.json")
    second = second / "model-00002-of-00002.safetensors"
    whole = second.read_bytes()
    second.write_bytes(whole[:-1000])
    with pytest.raises(FormatError, match="cut short"):
        videohub.load(HUB)
    second.write_bytes(whole)
    assert videohub.load(HUB).record.labels == NAMES


@pytest.mark.parametrize("revision", ["v1.0", "refs/pr/3", "0" * 40])
def test_a_revision_is_part_of_the_name(tmp_path, monkeypatch, revision):
    in_two(in_mirror(tmp_path, monkeypatch, revision), "model.safetensors", "model.safetensors.index.json")
    record = videohub.load(f"{HUB}@{revision}").record
    assert (record.name, record.checkpoint.url) == (
        f"{HUB}@{revision}", f"hf://somebody/fine-tune/model.safetensors.index.json@{revision}"
    )  # fmt: skip
    assert len(trust.urls_of(f"{HUB}@{revision}")) == 5


@pytest.mark.parametrize("name", ["hf://", "hf://model", "hf://a/b/c", "hf://a/b/", "hf://a/../b", "hf://a/b@", "hf://a//b",
                                  "hf://a/b@../x", "hf://a/b\n@v1", "hf://a%2f/b", "hf:///a/b"])  # fmt: skip
def test_what_names_no_model_of_the_hub_is_refused(name):
    with pytest.raises((UsageError, DownloadError), match="expected hf://"):
        registry.record(name)


HUB_SCRIPT = """
import json, sys, videohub
record = videohub.record(sys.argv[1])
videohub.fetch(record)
print(json.dumps([record.checkpoint.url, record.labels]))
"""


def asked_of_a_server(tmp_path, files, *, status=None, **environment):
    """Load a model in a process of its own from a server; what it said, and which paths it was asked for."""
    with running() as publisher:
        for file in files:
            publisher.publish(f"/somebody/fine-tune/resolve/main/{file.name}", file.read_bytes())
        settings = {"HF_ENDPOINT": publisher.url(""), "HF_HOME": str(tmp_path / "hf"), "NO_PROXY": "127.0.0.1",
                    "HF_TOKEN": "hf_secret", **environment}  # fmt: skip
        done = subprocess.run([sys.executable, "-c", HUB_SCRIPT, HUB], env={**os.environ, **settings},
                              capture_output=True, text=True, check=False)  # fmt: skip
        return done, publisher.log


def test_a_server_is_asked_for_descriptions_and_weights_alone_and_gets_the_token(tmp_path, home):
    folder = write(tmp_path / "mine", file="pytorch_model.bin")
    (folder / "modeling_mine.py").write_text("raise SystemExit")
    done, requests = asked_of_a_server(tmp_path, [*folder.iterdir()])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["hf://somebody/fine-tune/pytorch_model.bin@main", list(NAMES)]
    assert {exchange.headers.get("authorization") for exchange in requests} == {"Bearer hf_secret"}
    got = {
        exchange.path.rpartition("/")[2] for exchange in requests if exchange.method == "GET" and exchange.status == 200
    }
    assert got == {"config.json", "preprocessor_config.json", "pytorch_model.bin"}


def test_a_repository_that_is_not_there_or_lacks_its_weights_is_told_and_nothing_half_is_kept(tmp_path, home):
    folder = write(tmp_path / "mine")
    done, _ = asked_of_a_server(tmp_path, [])
    assert "found no config.json" in done.stderr
    done, _ = asked_of_a_server(tmp_path, [folder / "config.json", folder / "preprocessor_config.json"])
    assert "found no model.safetensors or" in done.stderr
    assert not list(home.glob("partial/*"))


def test_a_config_that_a_server_makes_huge_is_not_kept(tmp_path, home):
    folder = write(tmp_path / "mine", b" " * (5 << 20))
    done, _ = asked_of_a_server(tmp_path, [*folder.iterdir()])
    assert "has 5242880 bytes, expected a config.json of at most 4194304" in done.stderr
    assert kept(home) == []


def test_a_repository_of_a_record_names_the_record(tmp_path, monkeypatch, caplog):
    in_mirror(tmp_path, monkeypatch)
    write(tmp_path / "mirror" / "huggingface.co" / "MCG-NJU" / "videomae-base-finetuned-kinetics" / "resolve" / "main")
    registry.record("hf://MCG-NJU/videomae-base-finetuned-kinetics")
    assert "is videomae_vit_b_16x4 of the registry" in told(caplog)[0]


def test_no_bundle_is_made_of_one(tmp_path, monkeypatch):
    write(in_mirror(tmp_path, monkeypatch))
    with pytest.raises(UsageError, match="is no record of a registry"):
        bundle_pack.bundle([HUB], tmp_path / "mine.tar")

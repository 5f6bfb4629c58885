"""Files from the library transformers and for it, by the logits of its own networks. Skipped without it."""

import numpy as np
import pytest
import torch

import videohub
from tests.golden import synth
from tests.own_registry import like
from videohub import convert, models
from videohub.architectures.timesformer import TimeSformer
from videohub.architectures.vit import Probe, ViT
from videohub.convert import conversion
from videohub.data.labels import class_names
from videohub.protocols import Divide
from videohub.registry import transformers_files
from videohub.weights import convert_file

transformers = pytest.importorskip("transformers")

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "image_size": 56, "num_labels": 7}
OURS = {"depth": 2, "width": 32, "heads": 4, "crop": 56, "num_classes": 7}
PLAIN = {"class_token": False, "positions": "sinusoid", "key_bias": False, "norm_eps": 1e-12}


def videomae(patch, hidden, **changes):
    """A small VideoMAE of the library's, which says one epsilon in its configuration and has another one beside."""
    config = transformers.VideoMAEConfig(
        patch_size=patch, intermediate_size=hidden, num_frames=4, **{**SIZES, **changes}
    )
    return transformers.VideoMAEForVideoClassification(config)


def vivit():
    config = transformers.VivitConfig(num_frames=4, tubelet_size=[2, 14, 14], intermediate_size=128, **SIZES)
    return transformers.VivitForVideoClassification(config)


def timesformer(attention):
    config = transformers.TimesformerConfig(num_frames=4, intermediate_size=128, attention_type=attention, **SIZES)
    return transformers.TimesformerForVideoClassification(config)


def vjepa2():
    predictor = {"hidden_size": 24, "num_attention_heads": 2, "num_hidden_layers": 1}
    config = transformers.VJEPA2Config(
        crop_size=56, patch_size=14, frames_per_clip=4, num_pooler_layers=2, mlp_ratio=4.0,
        **{name: value for name, value in SIZES.items() if name != "image_size"},
        **{f"pred_{name}": value for name, value in predictor.items()},
    )  # fmt: skip
    return transformers.VJEPA2ForVideoClassification(config)


ROTARY = {"class_token": False, "positions": "rotary", "readout": Probe(blocks=2, heads=4)}
NETWORKS = {
    "videomae": (lambda: videomae(14, 128), ViT(patch=14, readout_eps=1e-5, **PLAIN, **OURS)),
    "videomae giant": (lambda: videomae(14, 140), ViT(patch=14, hidden=140, readout_eps=1e-5, **PLAIN, **OURS)),
    "vivit": (vivit, ViT(patch=14, positions="joint", gelu="tanh", readout="class_token", **OURS)),
    "vjepa2": (vjepa2, ViT(patch=14, **ROTARY, **OURS)),
    "timesformer": (lambda: timesformer("divided_space_time"), TimeSformer(**OURS)),
    "timesformer joint": (lambda: timesformer("joint_space_time"), TimeSformer(attention="joint", **OURS)),
}


@pytest.fixture(params=NETWORKS)
def pair(request):
    """Theirs, ours, and a record of ours."""
    make, arch = NETWORKS[request.param]
    slow = like("slow_r50_8x8")
    record = like("slow_r50_8x8", name="small", model=arch, clip=type(slow.clip)(4, 1), labels=None)
    return make().eval(), models.build(arch, frames=4), record


def fill(network):
    """Give every tensor values that are made from its name."""
    named = {name: synth.synth(name, tuple(tensor.shape)) for name, tensor in network.state_dict().items()}
    network.load_state_dict({name: torch.from_numpy(array) for name, array in named.items()})


def difference(theirs, ours):
    clip = torch.from_numpy(synth.synth_clip("transformers", (2, 3, 4, 56, 56)))
    with torch.inference_mode():
        expected, result = theirs(clip.transpose(1, 2)).logits, ours(clip)
    assert expected.std() > 0.01
    return float((result - expected).abs().max() / expected.abs().max())


def test_what_the_library_saves_gives_its_logits_here(tmp_path, pair):
    theirs, ours, record = pair
    fill(theirs)
    theirs.save_pretrained(tmp_path)
    checkpoint = convert.read(tmp_path / "model.safetensors")
    assert checkpoint.layout == "transformers"
    ours.load_state_dict(convert.to_state_dict(checkpoint, record), strict=True)
    assert difference(theirs, ours) <= 1e-5


def test_a_state_dict_of_the_library_s_gives_its_logits_here(tmp_path, pair):
    """Version 5 calls some tensors otherwise in memory than in the files that it saves."""
    theirs, ours, record = pair
    fill(theirs)
    torch.save({"state_dict": {f"model.{key}": tensor for key, tensor in theirs.state_dict().items()}},
               tmp_path / "last.ckpt")  # fmt: skip
    ours.load_state_dict(convert.to_state_dict(convert.read(tmp_path / "last.ckpt"), record), strict=True)
    assert difference(theirs, ours) <= 1e-5


def test_what_is_written_for_the_library_gives_our_logits_there(tmp_path, pair):
    theirs, ours, record = pair
    fill(ours)
    assert convert.export(ours.state_dict(), record, "transformers", tmp_path / "small") == (
        tmp_path / "small" / "model.safetensors"
    )
    loaded, messages = transformers.AutoModelForVideoClassification.from_pretrained(
        tmp_path / "small", output_loading_info=True
    )
    result = {name: {key for key in keys if ".predictor." not in key} for name, keys in messages.items()}
    assert not any(result.values()), result  # but for what only training needs
    assert type(loaded) is type(theirs)
    text, expected = loaded.config.to_dict(), theirs.config.to_dict()
    unlike = {"_name_or_path", "architectures", "dtype", "id2label", "label2id", "problem_type"}
    unlike |= {name for name in expected if name.startswith("pred_")}
    assert {name: text[name] for name in text.keys() - unlike} == {name: expected[name] for name in
                                                                     expected.keys() - unlike}  # fmt: skip
    assert difference(loaded.eval(), ours) <= 1e-5


@pytest.mark.parametrize(("hidden", "width"), [(29, 100), (1414, 1408), (6144, 1408), (3, 7), (4, 1)])
def test_the_ratio_that_is_written_comes_to_the_width_that_it_was_made_from(hidden, width):
    """The library takes `int(hidden_size * mlp_ratio)`: of 100 * 0.29 it makes 28."""
    probe = Probe(blocks=1, heads=1)
    sizes = {**OURS, "heads": 1, "width": width, "hidden": hidden}
    model = ViT(**sizes, class_token=False, positions="rotary", readout=probe, patch=14)
    config = transformers_files.config_of(model, 4, None, "softmax")
    assert int(width * config["mlp_ratio"]) == hidden


def test_an_encoder_of_v_jepa_2_gives_the_library_s_tokens(tmp_path):
    """Its features are their mean; without a probe, a file spells its keys without `vjepa2.`."""
    theirs = transformers.VJEPA2Model(vjepa2().config).eval()
    fill(theirs)
    theirs.save_pretrained(tmp_path)
    arch = ViT(patch=14, **{**ROTARY, "readout": "mean"}, **{**OURS, "num_classes": None})
    record = like("slow_r50_8x8", name="small", model=arch, labels=None)
    ours = models.build(arch, frames=4)
    ours.load_state_dict(convert.to_state_dict(convert.read(tmp_path / "model.safetensors"), record), strict=True)
    clip = torch.from_numpy(synth.synth_clip("transformers", (2, 3, 4, 56, 56)))
    with torch.inference_mode():
        tokens = theirs(clip.transpose(1, 2), skip_predictor=True).last_hidden_state
        assert torch.allclose(ours.features(clip), tokens.mean(dim=1), atol=1e-5)


def test_the_encoder_of_a_pre_training_file_gives_the_library_s_tokens(tmp_path):
    decoder = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = videomae(
        14, 128, use_mean_pooling=False, **{f"decoder_{name}": size for name, size in decoder.items()}
    ).config
    theirs = transformers.VideoMAEForPreTraining(config).eval()
    theirs.save_pretrained(tmp_path)
    arch = ViT(patch=14, readout="mean", **PLAIN, **{**OURS, "num_classes": None})
    record = like("slow_r50_8x8", name="small", model=arch, labels=None)
    ours = models.build(arch, frames=4)
    ours.load_state_dict(convert.to_state_dict(convert.read(tmp_path / "model.safetensors"), record), strict=True)
    clip = torch.from_numpy(synth.synth_clip("transformers", (2, 3, 4, 56, 56)))
    with torch.inference_mode():
        tokens = theirs.videomae(clip.transpose(1, 2)).last_hidden_state
        assert torch.allclose(ours.features(clip), tokens.mean(dim=1), atol=1e-5)


@pytest.mark.parametrize("name", ["videomae_vit_b_16x4", "timesformer_b_8x32", "scenic_vit_b_32x2"])
def test_the_library_makes_the_pixels_of_a_record_by_what_is_written_beside_its_weights(tmp_path, name):
    record = like(name)
    for file, content in conversion.described_beside(tmp_path / "model.safetensors", record).items():
        file.write_bytes(content)
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8))
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path)
    result = processor([*frames.numpy()], do_resize=False, return_tensors="pt")["pixel_values"]
    protocol = record.protocol
    expected = frames / next((step.by for step in protocol.pixels if isinstance(step, Divide)), 1)
    expected = (expected - torch.tensor(protocol.normalise.mean)) / torch.tensor(protocol.normalise.std)
    assert torch.allclose(result[0], expected.permute(0, 3, 1, 2), atol=1e-5)
    assert processor.size["shortest_edge"] == protocol.short_side
    config = transformers.AutoConfig.from_pretrained(tmp_path)
    assert [config.id2label[number] for number in range(400)] == list(class_names("kinetics400"))
    assert config.label2id[config.id2label[7]] == 7


def test_the_library_s_class_for_v_jepa_2_decides_the_size_by_itself(tmp_path):
    record = like("vjepa2_vit_l_16x4_ssv2")
    for file, content in conversion.described_beside(tmp_path / "model.safetensors", record).items():
        file.write_bytes(content)
    processor = transformers.AutoVideoProcessor.from_pretrained(tmp_path)
    assert (processor.size["shortest_edge"], processor.crop_size["height"], processor.resample) == (292, 256, 2)
    assert (tuple(processor.image_mean), tuple(processor.image_std)) == (
        record.protocol.normalise.mean, record.protocol.normalise.std,
    )  # fmt: skip
    config = transformers.AutoConfig.from_pretrained(tmp_path)
    assert (config.frames_per_clip, record.clip.frames) == (16, 32)  # the authors' test joins two parts of a video


PIXELS = {"size": {"shortest_edge": 56}, "crop_size": {"height": 56, "width": 56}}


def test_a_folder_that_the_library_saved_is_its_network_here(tmp_path, monkeypatch, pair):
    theirs, *_ = pair
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path / "cache"))
    fill(theirs)
    theirs.config.id2label = {number: f"class of {number}" for number in range(7)}
    theirs.config.label2id = {name: number for number, name in theirs.config.id2label.items()}
    theirs.save_pretrained(tmp_path / "mine", max_shard_size="100KB")
    transformers.VideoMAEImageProcessor(**PIXELS).save_pretrained(tmp_path / "mine")
    ours = videohub.load(tmp_path / "mine")
    assert difference(theirs, ours) <= 1e-5
    assert ours.record.labels[3] == "class of 3"


def test_where_several_classes_may_be_right_the_folder_says_so_both_ways(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path / "cache"))
    theirs = videomae(14, 128, problem_type="multi_label_classification")
    fill(theirs)
    theirs.save_pretrained(tmp_path / "mine")
    transformers.VideoMAEImageProcessor(**PIXELS).save_pretrained(tmp_path / "mine")
    ours = videohub.load(tmp_path / "mine")
    assert ours.record.protocol.scores.activation == "sigmoid"
    assert difference(theirs, ours) <= 1e-5
    convert.export(ours.state_dict(), ours.record, "transformers", tmp_path / "back")
    assert transformers.AutoConfig.from_pretrained(tmp_path / "back").problem_type == "multi_label_classification"
    for activation, problem in ("softmax", "single_label_classification"), ("sigmoid", "multi_label_classification"):
        videohub.save(videohub.load(tmp_path / "mine", activation=activation), tmp_path / f"{activation}.safetensors")
        convert_file(tmp_path / f"{activation}.safetensors", ours.record, tmp_path / activation, layout="transformers")
        assert transformers.AutoConfig.from_pretrained(tmp_path / activation).problem_type == problem


@pytest.mark.parametrize("make", [
    lambda: transformers.VideoMAEModel(videomae(14, 128).config),
    lambda: transformers.VideoMAEModel(videomae(14, 128, use_mean_pooling=False).config),
    lambda: transformers.VideoMAEForPreTraining(videomae(14, 128, use_mean_pooling=False).config),
    lambda: transformers.TimesformerModel(timesformer("divided_space_time").config),
    lambda: transformers.VivitModel(vivit().config),
])  # fmt: skip
def test_a_folder_of_an_encoder_gives_features_of_the_library_s_tokens(tmp_path, monkeypatch, make):
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path / "cache"))
    theirs = make().eval()
    fill(theirs)
    theirs.save_pretrained(tmp_path / "mine")
    transformers.VideoMAEImageProcessor(**PIXELS).save_pretrained(tmp_path / "mine")
    ours = videohub.load(tmp_path / "mine")
    clip = torch.from_numpy(synth.synth_clip("transformers", (2, 3, 4, 56, 56)))
    with torch.inference_mode():
        tokens = getattr(theirs, "videomae", theirs)(clip.transpose(1, 2)).last_hidden_state
        expected = tokens.mean(dim=1) if theirs.config.model_type == "videomae" else tokens[:, 0]
        assert torch.allclose(ours(clip), expected, rtol=1e-4, atol=1e-5)

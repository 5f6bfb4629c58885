"""What the tests of verification share: a company's zoo of tiny networks, one or more a data set, with weights."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import torch

import videohub
from tests.data.sample_videos import with_pixels
from tests.golden.synth import synth
from videohub import convert, registry, resources
from videohub.architectures.parts import AverageWindow, RoiMax
from videohub.registry import writer
from videohub.registry.schema import Clip, Published, Record

# name -> the zoo's record whose protocol, lists and head it shares
TINY = {
    "tiny_kinetics": "slow_r50_8x8",
    "tiny_ssv2": "slowfast_r50_16x8_ssv2",
    "tiny_charades": "slowfast_r50_16x8_charades",
    "tiny_ava": "slowfast_r101_16x8_ava22",
    "tiny_mma_ava": "mma_slowfast_r50_8x8_ava22",
    "tiny_imagenet": "resnet_r50_in1k",
    "tiny_slowfast": "slowfast_r50_8x8",  # these two are tested on the frames of tiny_kinetics,
    "tiny_i3d": "i3d_r50_8x8",  # one of them with other clips and crops
}
_CROP = 32


def tiny(name: str, of: Record) -> Record:
    """Return a record like the zoo's, but with one narrow block a stage and small pictures."""
    head = of.model.head if isinstance(of.model.head, RoiMax) else AverageWindow(window=1)
    model = msgspec.structs.replace(of.model, depth=(1, 1, 1, 1), width=8, head=head)
    if of.arch == "slowfast":
        model = msgspec.structs.replace(model, alpha=4, res4_temporal=(1, 1), non_local=None)
    sized = with_pixels(of.protocol, short_side=40, crop=_CROP).with_views(clips=min(of.protocol.views.clips, 3))
    protocol = msgspec.structs.replace(sized, name=f"{name}_protocol")
    layout = of.checkpoint.layout if of.publisher == "mmaction2" else "pyslowfast"
    checkpoint = msgspec.structs.replace(of.checkpoint, url=f"{name}.pyth", container="torch", layout=layout,
                                         sha256_prefix=None)  # fmt: skip
    clip = Clip(frames=1, sampling_rate=1) if of.clip.frames == 1 else Clip(frames=8, sampling_rate=2)
    if name == "tiny_i3d":
        clip, protocol = Clip(frames=4, sampling_rate=4), protocol.with_views(clips=2, crops=1)
    number = {"topk": {"top1": 50.0, "top5": 80.0}}.get(of.protocol.metric, {"map": 30.0})
    return msgspec.structs.replace(
        of, name=name, upstream_name=name.upper(), model=model, protocol=protocol, checkpoint=checkpoint, clip=clip,
        published=(Published(source="invented for tests", **number),), pretrain=None, superseded_by=[], notes=[],
        aliases=(), proof=None,
    )  # fmt: skip


@pytest.fixture(scope="session")
def zoo_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The registry of the tiny networks, their files beside it; weights come from names, as all golden ones do."""
    folder = tmp_path_factory.mktemp("company")
    ours = registry.load(resources.registry_file()).records
    records = [tiny(name, ours[of]) for name, of in TINY.items()]
    for record in records:
        state = {}
        for key, value in videohub.build(record).state_dict().items():
            made = synth(key, tuple(value.shape), 7) if value.ndim else value
            state[key] = torch.as_tensor(made).to(value.dtype).reshape(value.shape)
        convert.export(state, record, record.checkpoint.layout, folder / record.checkpoint.url)
    known = {record.protocol.name for record in ours.values()}
    (folder / "company.yaml").write_text(writer.text(records, known=known), encoding="utf-8")
    return folder / "company.yaml"


@pytest.fixture
def zoo(zoo_file: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny networks beside ours, and a cache of their own."""
    use(zoo_file, tmp_path_factory, monkeypatch)
    return zoo_file


def use(zoo_file: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let records come from the tiny networks, too, as long as the environment is patched so."""
    monkeypatch.setenv("VIDEOHUB_REGISTRY", str(zoo_file))
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path_factory.getbasetemp() / "verification-cache"))

"""A cache of the test's own, a publisher here, registries of one's own, and machines for bundles to go to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.cache_admin.bundle_files import UNPINNED, Opened, kept
from tests.cache_admin.cache_files import NAME, PUBLISHED, caffe2
from tests.hub.publisher import running
from tests.own_registry import like, ours, write_registry
from videohub.cache_admin import bundle_install, bundle_pack
from videohub.errors import FormatError, VideohubError


@pytest.fixture(autouse=True)
def home(own_cache, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    return own_cache


@pytest.fixture
def run(run):
    """Run the command line and return its exit code, stdout and stderr; --json comes back parsed."""

    def parsed(*arguments):
        code, out, err = run(*arguments)
        return code, json.loads(out) if "--json" in arguments else out, err

    return parsed


@pytest.fixture
def contents():
    """Two checkpoints of the small network, as Caffe2 files; the first is the embedded one."""
    return PUBLISHED.read_bytes(), caffe2(pred_b=lambda blobs: blobs["pred_b"] + 1)


@pytest.fixture
def publisher():
    with running() as publisher:
        yield publisher


@pytest.fixture
def zoo(tmp_path, publisher, contents, monkeypatch):
    """A user's registry with two records whose files have one base name and other content; nobody states digests."""
    records = []
    for name, content in zip(("first", "second"), contents, strict=True):
        record = like(NAME, name=name, upstream_name=name.upper(), known_answers=())
        file = {"url": publisher.publish(f"/{name}/MODEL.pkl", content), "sha256": None, "size": None}
        records.append(msgspec.structs.replace(record, checkpoint=msgspec.structs.replace(record.checkpoint, **file)))
    text = write_registry(tmp_path / "zoo.yaml", *records)
    (tmp_path / "zoo.yaml").write_text(text.replace("sha256: null", "sha256: null    # not yet"))
    monkeypatch.setenv("VIDEOHUB_REGISTRY", str(tmp_path / "zoo.yaml"))
    return tmp_path / "zoo.yaml"


# --- bundles ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Go to another machine: `machine("there", registries)` has a cache of its own and these registries."""

    def go(name: str, *registries: Path) -> Path:
        monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path / name))
        monkeypatch.setenv("VIDEOHUB_REGISTRY", ":".join(map(str, registries)))
        return tmp_path / name

    for variable in ("VIDEOHUB_CACHE_RO", "VIDEOHUB_MIRRORS", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("VIDEOHUB_OFFLINE", "1")
    return go


@pytest.fixture
def here(machine: Callable[..., Path]) -> Path:
    return machine("here")


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the demo's record."""
    folder = tmp_path_factory.mktemp("bundle")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("VIDEOHUB_HOME", str(folder / "cache"))
        environment.delenv("VIDEOHUB_REGISTRY", raising=False)
        bundle_pack.bundle([NAME], folder / "demo.tar")
    return folder / "demo.tar"


@pytest.fixture
def company(tmp_path: Path) -> Callable[..., Path]:
    """Write a company's registry, whose records are the demo's with other fields: `company(tiny={"pretrain": None})`.

    Fields of the checkpoint are named without `checkpoint`; by default its file lies beside the registry.
    """

    def write(name: str = "company.yaml", /, **records: dict[str, Any]) -> Path:
        demo_record = ours().records[NAME]
        made = []
        for key, changes in records.items():
            inner = {field: changes[field] for field in changes if field in demo_record.checkpoint.__struct_fields__}
            outer = {"known_answers": ()} | {field: changes[field] for field in changes if field not in inner}
            checkpoint = msgspec.structs.replace(demo_record.checkpoint, **{"url": "company net.pkl", **inner})
            made.append(
                msgspec.structs.replace(demo_record, name=key, upstream_name=key, checkpoint=checkpoint, **outer)
            )
        (tmp_path / "company net.pkl").write_bytes(PUBLISHED.read_bytes())
        write_registry(tmp_path / name, *made)
        return tmp_path / name

    return write


@pytest.fixture
def unpinned(machine, company, tmp_path):
    """A bundle of a record whose registry states no digest, and that registry."""
    file = company(tiny=UNPINNED)
    machine("packer", file)
    bundle_pack.bundle(["tiny"], tmp_path / "tiny.tar", checkpoint=PUBLISHED)
    return tmp_path / "tiny.tar", file


@pytest.fixture
def opened(demo):
    return Opened.read(demo)


@pytest.fixture
def refused(here, tmp_path):
    """Give a bundle to unbundle, and return why it was refused; nothing of it may be left."""

    def refuse(bundle, kind=FormatError):
        path = bundle.write(tmp_path / "hostile.tar") if isinstance(bundle, Opened) else bundle
        around = set(tmp_path.iterdir()) | {here}
        with pytest.raises(kind) as refusal:
            bundle_install.unbundle(path)
        assert isinstance(refusal.value, VideohubError)
        assert str(refusal.value).startswith(str(path))
        assert kept(here) == []
        assert set(tmp_path.iterdir()) <= around
        return str(refusal.value)

    return refuse

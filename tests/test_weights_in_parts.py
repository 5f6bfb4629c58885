"""A network whose weights come in two files: fetched, given by hand, kept, and known again."""

import msgspec
import pytest
import torch

from tests.convert.test_vjepa_files import V2, assert_same, record, weights
from videohub import convert, loading
from videohub import weights as kept
from videohub.cache_admin import bundle_format, cache_scan
from videohub.cache_admin.listing import Known
from videohub.errors import ConversionError, FormatError, OfflineError, UsageError
from videohub.hub import pins, sources
from videohub.registry.schema import FileBeside

PROBE, ENCODER = "https://example.org/evals/probe.pt", "https://example.org/encoder.pt"


@pytest.fixture
def probe():
    """A record of a probe and its encoder."""
    slow = record(V2)
    stated = {"sha256": None, "size": None}
    file = msgspec.structs.replace(slow.checkpoint, url=PROBE, container="torch", layout="vjepa2",
                                   beside=(FileBeside(url=ENCODER, **stated),), **stated)  # fmt: skip
    return msgspec.structs.replace(slow, checkpoint=file, other_checkpoints=())


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """Both files, where a mirror has them; and one that holds both."""
    folder = tmp_path / "mirror"
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("VIDEOHUB_MIRRORS", str(folder))
    monkeypatch.setenv("VIDEOHUB_OFFLINE", "1")
    whole = torch.load(convert.export(weights(V2), record(V2), "vjepa2", tmp_path / "both.pt"), weights_only=True)
    for url, part in ((PROBE, "classifiers"), (ENCODER, "target_encoder")):
        path = folder / sources.path_in_mirror(url)
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({part: whole[part]}, path)
    return folder


def test_both_files_are_fetched_and_neither_is_needed_again(probe, mirror, tmp_path):
    assert_same(loading.load(probe).state_dict(), weights(V2))
    assert pins.pin_of(PROBE)
    assert pins.pin_of(ENCODER)
    for file in mirror.rglob("*.pt"):
        file.unlink()
    for file in (tmp_path / "cache" / "raw").iterdir():
        file.unlink()
    assert kept.fetch(probe).is_file()


def test_another_encoder_makes_other_weights(probe, mirror):
    first = kept.conversion_keys(probe, beside=["0" * 64])
    assert first != kept.conversion_keys(probe, beside=["1" * 64])
    stated = msgspec.structs.replace(probe.checkpoint.beside[0], sha256="0" * 64)
    of_stated = msgspec.structs.replace(probe, checkpoint=msgspec.structs.replace(probe.checkpoint, beside=(stated,)))
    assert kept.conversion_keys(of_stated) == first


def test_a_folder_with_both_or_a_file_of_both_is_taken_by_hand(probe, mirror, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    for url in (PROBE, ENCODER):
        (folder / url.rpartition("/")[2]).write_bytes((mirror / sources.path_in_mirror(url)).read_bytes())
    assert_same(loading.load(probe, checkpoint=folder).state_dict(), weights(V2))
    assert_same(loading.load(probe, checkpoint=tmp_path / "both.pt").state_dict(), weights(V2))
    with pytest.raises(ConversionError, match=r"missing from the file(.|\n)*embedding\.patches\.weight"):
        loading.load(probe, checkpoint=folder / "probe.pt")
    (folder / "encoder.pt").unlink()
    with pytest.raises(UsageError, match=r"encoder\.pt: no such checkpoint file"):
        loading.load(probe, checkpoint=folder)


def test_a_damaged_encoder_does_not_bind_the_next_download(probe, mirror):
    encoder, here = mirror / sources.path_in_mirror(ENCODER), mirror / sources.path_in_mirror(PROBE)
    whole = encoder.read_bytes()
    encoder.unlink()
    with pytest.raises(OfflineError):
        kept.fetch(probe)
    assert pins.pin_of(PROBE)
    for damaged in (whole[: len(whole) // 2], here.read_bytes()):
        encoder.write_bytes(damaged)
        with pytest.raises(FormatError):
            kept.fetch(probe)
    encoder.write_bytes(whole)
    assert kept.fetch(probe).is_file()


def test_nobody_vouches_for_a_published_probe_beside_another_encoder(probe, mirror, tmp_path):
    published = kept.fetch(probe)
    assert kept.weights_file(published, probe).vouched_by == "first use"
    folder = tmp_path / "mine"
    folder.mkdir()
    encoder = torch.load(mirror / sources.path_in_mirror(ENCODER), weights_only=True)["target_encoder"]
    torch.save({"target_encoder": {key: tensor * 1.5 for key, tensor in encoder.items()}}, folder / "encoder.pt")
    (folder / "probe.pt").write_bytes((mirror / sources.path_in_mirror(PROBE)).read_bytes())
    mixed = kept.fetch(probe, checkpoint=folder)
    assert kept.weights_file(mixed, probe, checkpoint=folder).vouched_by is None


def test_the_cache_knows_whose_both_files_are(probe, mirror, monkeypatch):
    kept.fetch(probe)
    known = Known(cache_scan.entries())
    known.records = {probe.name: probe}
    known._keys = {probe.name: [*kept.conversion_keys(probe).values()]}
    items = [known.item(entry) for entry in cache_scan.entries() if entry.kind in ("raw", "pin", "converted")]
    assert {(item.entry.kind, item.status) for item in items} == {
        ("raw", "redundant"), ("pin", "current"), ("converted", "current")
    }  # fmt: skip
    assert all(list(item.records) == [probe.name] for item in items)
    assert {item.url for item in items if item.entry.kind == "raw"} == {PROBE, ENCODER}


def test_a_bundle_of_two_files_is_refused(probe):
    assert "in several files" in str(bundle_format.obstacle(probe))

"""Weights are known by their tensors: what a file says of itself joins nothing and is told as what it says."""

from __future__ import annotations

import hashlib
import json

import msgspec
import numpy as np
import pytest
import torch

from tests.verification import datasets
from videohub import convert, log, registry, runs, weights
from videohub.convert import kept_weights
from videohub.errors import UsageError
from videohub.verification import report, verify

NAME = "tiny_kinetics"


@pytest.fixture(scope="module")
def listing(tmp_path_factory):
    return datasets.kinetics(tmp_path_factory.mktemp("kinetics"), videos=3)[0]


@pytest.fixture
def published(zoo):
    """The file that the registry names, and that its digest is taken of."""
    return zoo.parent / f"{NAME}.pyth"


@pytest.fixture
def converted(published, tmp_path):
    weights.convert_file(published, NAME, tmp_path / "converted.safetensors")
    return tmp_path / "converted.safetensors"


@pytest.fixture
def forged(converted, tmp_path):
    """Other weights under the converted file's own header, with a checksum as every file of ours."""
    tensors, origin = kept_weights.tensors(converted), kept_weights.origin(converted)
    tensors["head.projection.bias"] = tensors["head.projection.bias"].flip(0).contiguous() + 1
    text = {key: value for key, value in origin.items() if key not in ("checksum", "format")}
    kept_weights.write(tmp_path / "forged.safetensors", tensors, text)
    return tmp_path / "forged.safetensors"


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def files(folder):
    return [made.weights for made in runs.join([folder]).made_by]


def test_one_file_in_every_container_is_one_run(zoo, listing, published, converted, tmp_path):
    weights.convert_file(published, NAME, tmp_path / "copy.pkl", layout="caffe2")
    copies = (published, converted, tmp_path / "copy.pkl")
    for part, file in enumerate(copies, 1):
        verify(NAME, listing, checkpoint=file, out=tmp_path / f"part{part}", shard=f"{part}/3", workers=0)
    folders = [tmp_path / f"part{part}" for part in (1, 2, 3)]
    assert runs.join(folders).pending == []
    assert [files(folder)[0].sha256 for folder in folders] == [digest(copy) for copy in copies]
    made = verify(NAME, listing, checkpoint=converted, out=folders[0], workers=0)  # goes on where another file began
    assert made.counts.pending == 0


def test_other_weights_with_the_same_header_go_on_with_no_run(zoo, listing, published, forged, tmp_path):
    verify(NAME, listing, out=tmp_path / "run", shard="1/2", workers=0)
    with pytest.raises(UsageError, match=r"holds another run:\n  weights_sha256: "):
        verify(NAME, listing, checkpoint=forged, out=tmp_path / "run", shard="2/2", workers=0)
    verify(NAME, listing, checkpoint=forged, out=tmp_path / "other", shard="2/2", workers=0)
    with pytest.raises(UsageError, match="cannot be joined:\n  weights_sha256: "):
        runs.join([tmp_path / "run", tmp_path / "other"])


def test_what_a_file_says_of_itself_is_told_as_its_claim(zoo, listing, published, forged, tmp_path):
    made = verify(NAME, listing, checkpoint=forged, out=tmp_path / "run", workers=0)
    (file,) = files(tmp_path / "run")
    assert (file.name, file.sha256, file.vouched_by) == ("forged.safetensors", digest(forged), None)
    assert (file.claimed_source, file.claimed_sha256) == (f"{NAME}.pyth", digest(published))
    assert digest(published) not in json.dumps(msgspec.to_builtins(made.weights))
    words = f"forged.safetensors says that it was made from {NAME}.pyth with sha256 {digest(published)}"
    assert any(words in reason and "was not checked" in reason for reason in made.reasons)
    for page in ("report.md", "report.html"):
        text = (tmp_path / "run" / page).read_text().replace("\\", "")
        assert text.count(digest(published)) == text.count(words) > 0  # never as a fact


def test_what_was_converted_here_has_no_claim(zoo, listing, published, tmp_path):
    verify(NAME, listing, out=tmp_path / "run", workers=0)
    (file,) = files(tmp_path / "run")
    assert (file.name, file.sha256) == (f"{NAME}.pyth", digest(published))
    assert (file.vouched_by, file.claimed_source, file.claimed_sha256) == ("registry path", None, None)


def test_a_registry_that_states_the_digest_vouches_for_the_file_and_for_no_other(zoo, listing, published, converted,
                                                                                 tmp_path):  # fmt: skip
    of = registry.record(NAME)
    stated = msgspec.structs.replace(of.checkpoint, sha256=digest(published))
    of = msgspec.structs.replace(of, checkpoint=stated)
    made = verify(of, listing, out=tmp_path / "run", checkpoint=published, workers=0)
    assert files(tmp_path / "run")[0].vouched_by == "registry"
    assert not any("published file" in reason for reason in made.reasons)
    made = verify(of, listing, out=tmp_path / "copy", checkpoint=converted, workers=0)
    assert files(tmp_path / "copy")[0].vouched_by is None
    assert any(f"were not read from the published file, which has sha256 {digest(published)[:12]}" in reason
               for reason in made.reasons)  # fmt: skip


def test_a_run_of_the_version_before_is_still_read_and_joined_by_no_other(zoo, listing, published, tmp_path):
    """As 0.1.0 kept it: without `weights_identity`, and without a process's `weights`."""
    verify(NAME, listing, out=tmp_path / "new", workers=0)
    new = runs.read_run(tmp_path / "new")
    before = msgspec.structs.replace(new.identity, weights_identity=None, weights_sha256=digest(published))
    old = runs.open_run(tmp_path / "old", before, new.truth)
    assert "weights_identity" not in (tmp_path / "old" / "run.json").read_text()
    joined = runs.join([tmp_path / "new"])
    with old.writer(msgspec.structs.replace(joined.made_by[0], weights=None)) as writer:
        for entry in joined.entries.values():
            writer.append(entry.index, entry.name, entry.views, entry.scores)
    made = report([tmp_path / "old"], out=tmp_path / "old")
    assert made.counts.scored == 3
    assert "what the weights' file says of itself" in (tmp_path / "old" / "report.html").read_text().replace(
        "&#x27;", "'"
    )
    with pytest.raises(UsageError, match='weights_identity: "tensors" asked for, nothing in it'):
        verify(NAME, listing, out=tmp_path / "old", workers=0)


def test_of_which_of_several_networks_in_a_file_a_number_is_stands_in_its_report(
    zoo, listing, published, tmp_path, caplog
):
    """`model` holds no state dict itself, so that `ema` is what is taken; the second run converts nothing anew."""
    state = convert.read(published).tensors
    tensors = {key: torch.from_numpy(np.array(value)) for key, value in state.items()}
    torch.save({"model": [(tensors,)], "ema": tensors}, tmp_path / "own.pth")
    for run in ("first", "second"):
        verify(NAME, listing, checkpoint=tmp_path / "own.pth", out=tmp_path / run, workers=0)
        assert "took ema of " in caplog.text
        result = report([tmp_path / run])
        assert any("of the several networks that it holds ema was taken" in reason for reason in result.reasons)
        log._told.clear()
        caplog.clear()
    weights.convert_file(tmp_path / "own.pth", NAME, tmp_path / "own.safetensors")
    verify(NAME, listing, checkpoint=tmp_path / "own.safetensors", out=tmp_path / "third", workers=0)
    assert files(tmp_path / "third")[0].taken == "ema"

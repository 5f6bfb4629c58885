"""What is added in its one place works everywhere: a family of networks, written into a folder of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import msgspec
import pytest

import videohub
from tests.command_lines import named_files
from videohub import registry
from videohub.data import sets
from videohub.preflight.findings import expected_of
from videohub.registry import writer
from videohub.registry.schema import DatasetInfo, Split

ROOT = Path(videohub.__file__).resolve().parent.parent

# The files that a new family consists of, by their place in the house, as the guide has them.
FAMILY = named_files((ROOT / "docs" / "guides" / "adding_a_family.md").read_text(encoding="utf-8"))

BESIDE_OURS = """
import videohub.architectures
from pathlib import Path
folder = Path({folder!r})
videohub.architectures.__path__.append(str(folder / "architectures"))
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with everything that is new."""
    folder = tmp_path_factory.mktemp("new")
    for name, text in FAMILY.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def run(house: Path, code: str) -> list[str]:
    """Return the lines that code prints in a process which has the folder's parts beside ours."""
    done = run_alone(house, BESIDE_OURS.format(folder=str(house)) + dedent(code))
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def run_alone(house: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process that knows the folder's registry, and none of its parts."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "VIDEOHUB_REGISTRY": str(house / "toy.yaml"),
        "VIDEOHUB_HOME": str(house / "cache"),
    }
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment, capture_output=True, text=True, encoding="utf-8", check=False,
    )  # fmt: skip


def test_a_family_is_listed_loaded_trained_anew_saved_and_read_back(house):
    (line,) = run(
        house,
        """
        import json, torch, videohub, videohub.models

        videohub.models.__path__.append(str(folder / "models"))
        torch.manual_seed(0)
        net, clip = videohub.build("toy_short"), torch.randn(2, 3, 4, 8, 8)
        torch.nn.init.uniform_(net.looks.calm.running_mean)
        see, calm, out = net.looks.see, net.looks.calm, net.answers
        theirs = {"eye.kernel": see.weight, "eye.offset": see.bias, "eye.gamma": calm.weight, "eye.beta": calm.bias,
                  "eye.mean": calm.running_mean, "eye.var": calm.running_var,
                  "out.weight": out.weight, "out.bias": out.bias}
        torch.save({"state_dict": {key: value.detach().clone() for key, value in theirs.items()}}, folder / "toy.pth")

        published = videohub.load("toy_short")
        fast = videohub.optimize(published)
        fresh = videohub.load("toy_short", num_classes=3)
        torch.save(fresh.state_dict(), folder / "own.pth")
        again = videohub.load("toy_short", checkpoint=folder / "own.pth")
        with torch.inference_mode():
            print(json.dumps({
                "found": videohub.list_models(arch="toy", depth="short"),
                "equal": torch.equal(published(clip), net(clip)),
                "fast": torch.allclose(fast(clip), net(clip), atol=1e-5),
                "norms": sum(isinstance(module, torch.nn.BatchNorm3d) for module in fast.modules()),
                "fresh": [*fresh(clip).shape, torch.equal(fresh.looks.see.weight, see.weight)],
                "again": [again.record.model.num_classes, torch.equal(again(clip), fresh(clip))],
                "features": [*published.features(clip).shape, published.num_features],
            }))
        """,
    )
    assert json.loads(line) == {
        "found": ["toy_short"],
        "equal": True,
        "fast": True,
        "norms": 0,
        "fresh": [2, 3, True],
        "again": [3, True],
        "features": [2, 6, 6],
    }


def test_the_command_line_and_the_schema_for_editors_know_a_new_family(house):
    arguments = ["videohub", "show", "toy_short", "--json"]
    shown = run(house, f"import sys; sys.argv = {arguments}; from videohub.cli import main; main()")
    record = json.loads("\n".join(shown))
    assert (record["arch"], record["depth"], record["task"]) == ("toy", "SHORT", "classification")
    assert record["model"] == {"family": "toy", "length": "short", "width": 6, "num_classes": 5}
    schema = json.loads("\n".join(run(house, "from videohub.registry import json_schema; print(json_schema.text())")))
    assert schema["$defs"]["Toy"]["properties"]["width"]["default"] == 6


def test_who_lacks_the_family_takes_no_registry_that_was_compiled_with_it(house):
    kept = """
        from videohub import registry
        from videohub.registry import compiled

        compiled._SETTLED_NS = -(10**18)  # whenever the files were written
        print(registry.default(keep=True).find("toy_short").depth)
        """
    assert run(house, kept) == ["SHORT"]
    assert [*(house / "cache" / "compiled").iterdir()] != []
    show = "import sys; sys.argv = ['videohub', 'show', 'toy_short']; from videohub.cli import main; main()"
    done = run_alone(house, show)
    assert (done.returncode, done.stdout) == (2, "")
    assert 'toy_short: model.family is "toy", expected one of csn' in done.stderr
    assert run(house, show)[0].startswith("toy_short")


SIZE = """
    @property
    def size(self):
        return self.length.upper()
"""


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("architectures", SIZE, "", "toy_short: model.family is toy, whose struct Toy does not say size (text)."),
        ("architectures", "self.length.upper()", "18", "whose struct Toy does not say size (text)."),
        ("architectures", "def num_blocks", "def blocks", "does not say num_blocks (a whole number)."),
        ("architectures", "    @property", "", "does not say size (text) and num_blocks (a whole number)."),
        ("architectures", ', tag="toy"', "", "toy.py: found a struct with the tag Toy, expected toy"),
        ("architectures", "return 1", "return 1 / 0", "toy.py, a file that was added to videohub: mend it there."),
        ("architectures", "import ClassVar", "import (", "toy.py, a file that was added to videohub: mend it there."),
        (
            "models",
            "def toy(",
            "def build(",
            "toy_short: model.family names what nothing builds: found no func",
        ),
        (
            "models",
            "def toy(arch, *, frames, activation)",
            "def toy(arch)",
            "is not called as toy(arch, *, frames, act",
        ),
        ("models", "return Toy(arch)", "return None", "its function returned a NoneType, expected a VideoModel"),
        ("models", "nn.Linear", "nn.Lin", "toy.py, a file that was added to videohub: mend it there."),
        ("models", None, "", "toy_short: model.family names what nothing builds: found no toy.py in "),
    ],
)
def test_what_a_family_lacks_is_told_as_its_own(tmp_path, file, old, new, says):
    for name, text in FAMILY.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    changed = tmp_path / file / "toy.py"
    if old is None:
        changed.unlink()
    else:
        text = changed.read_text(encoding="utf-8")
        assert old in text
        changed.write_text(text.replace(old, new), encoding="utf-8")
    code = """
        import sys, videohub.models
        videohub.models.__path__.append(str(folder / "models"))
        sys.argv = ["videohub", "registry", "check", str(folder / "toy.yaml")]
        from videohub.cli import main
        main()
        """
    done = run_alone(tmp_path, BESIDE_OURS.format(folder=str(tmp_path)) + dedent(code))
    assert done.returncode in (1, 2)
    assert says in " ".join(done.stderr.split())
    assert "This is a mistake of videohub's" not in done.stderr


# --- a data set ------------------------------------------------------------------------------------------------------

# The reader of lists, and the command line that knows it, as the guide has them.
READER = named_files((ROOT / "docs" / "guides" / "registry.md").read_text(encoding="utf-8"))


def test_a_data_set_is_an_entry_and_where_its_lists_are_new_a_reader(tmp_path, monkeypatch):
    """Its entry stands in a registry of one's own; its title, aliases, counts and lists are known from there alone."""
    assert [*READER] == ["readers/toy_lists.py", "with_mine.py"]
    (tmp_path / "readers").mkdir()
    for name, text in READER.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(sets, "__path__", [*sets.__path__, str(tmp_path / "readers")])
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "toy.txt").write_text("3\ta.mp4\n0\tb.mp4\n")
    demo = registry.record("slowfast_motions")
    protocol = msgspec.structs.replace(demo.protocol, name="toy_9view", dataset="toy_actions")
    ours = msgspec.structs.replace(
        demo,
        name="toy_motions",
        upstream_name="TOY_MOTIONS",
        protocol=protocol,
        dataset=DatasetInfo(name="toy_actions", title="Toy Actions", short="toy", aliases=("ta",), lists="toy_lists",
                            splits={demo.protocol.split: Split(samples=2, source="the toy's box")}),
    )  # fmt: skip
    (tmp_path / "own.yaml").write_text(writer.text([ours]))
    monkeypatch.setenv("VIDEOHUB_REGISTRY", str(tmp_path / "own.yaml"))
    assert registry.list_models(dataset="ta") == ["toy_motions"]
    record = registry.record("toy_motions")
    read = sets.read(tmp_path / "toy", root=None, record=record)
    assert [(sample.name, sample.truth) for sample in read.samples] == [("a.mp4", (3,)), ("b.mp4", (0,))]
    expected = expected_of(record)
    assert (expected.dataset, expected.samples, expected.source) == ("toy_actions", 2, "the toy's box")
    check = ["registry", "check", "own.yaml"]
    with_mine, without = (_called(tmp_path, program, *check) for program in (["with_mine.py"], ["-m", "videohub"]))
    assert (with_mine.returncode, without.returncode) == (0, 1)
    assert "1 record, nothing wrong" in with_mine.stdout
    assert 'data set toy_actions: lists is "toy_lists": nothing reads lists of the kind' in without.stderr
    looked = _called(tmp_path, ["with_mine.py"], "data", "check", "toy_motions", "--data", "toy", "--json")
    assert json.loads(looked.stdout)["missing"] == 2


def _called(folder: Path, program: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "VIDEOHUB_HOME": str(folder / "cache"),
                   "VIDEOHUB_REGISTRY": "own.yaml"}  # fmt: skip
    return subprocess.run([sys.executable, *program, *arguments], env=environment, cwd=folder, capture_output=True,
                          text=True, encoding="utf-8", check=False)  # fmt: skip


# A layout that our own networks' files may come in: one table beside a registry of a user's.
LAYOUT = """
    recognised_by: {has: ["theirs.*"]}
    written_as: {container: safetensors}
    fields:
      rest: ".*"
      affine: "weight|bias"
    rules:
      - "theirs.{rest}         <-> slow.{rest}"
      - "theirs_fast.{rest}    <-> fast.{rest}"
      - "theirs_lateral.{rest} <-> lateral.{rest}"
      - "theirs_head.{affine}  <-> head.projection.{affine}"
    steps:
      - {step: permute, keys: [theirs_head.weight], axis: 1, parts: [1, 6], order: [1, 0]}
    """


def test_a_layout_of_one_s_own_is_one_table_read_and_written(tmp_path):
    for name, text in {
        "converters/slowfast/theirs.yaml": LAYOUT,
        "mine.yaml": "schema_version: 1\nrecords: {}\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(dedent(text).lstrip())
    code = """
        import torch, videohub
        from videohub import convert, weights

        here = Path.cwd()
        weights.convert_file(weights.fetch("slowfast_motions"), "slowfast_motions", here / "out", layout="theirs")
        theirs, ours = convert.read(here / "out"), videohub.load("slowfast_motions").state_dict()
        print(theirs.container, theirs.layout, len(theirs.tensors) == len(ours))
        head = torch.from_numpy(theirs.tensors["theirs_head.weight"])
        cut = head.shape[1] // 7
        print(torch.equal(torch.cat([head[:, cut:], head[:, :cut]], 1), ours["head.projection.weight"]))
        back = videohub.load("slowfast_motions", checkpoint=here / "out").state_dict()
        print(all(torch.equal(back[key], ours[key]) for key in ours))
        """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "VIDEOHUB_REGISTRY": str(tmp_path / "mine.yaml"),
                   "VIDEOHUB_HOME": str(tmp_path / "cache")}  # fmt: skip
    done = subprocess.run([sys.executable, "-c", "from pathlib import Path\n" + dedent(code)], env=environment,
                          cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=False)  # fmt: skip
    assert done.stdout.splitlines() == ["safetensors theirs True", "True", "True"], done.stderr

"""torch.hub finds, explains and loads the zoo from an unpacked source archive, with no videohub installed."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import videohub
from videohub import convert, registry, resources

ROOT = resources.registry_file().parent
ARCHIVED = (
    "hubconf.py",
    "registry.yaml",
    "registry.schema.json",
    "registry",
    "costs.json",
    "datasets.yaml",
    "labels.yaml",
    "videohub",
    "converters",
    "demo",
)
RECORDS = registry.load(ROOT / "registry.yaml")
RECORD = RECORDS.find("slowfast_motions")
RELEASED = "demo/SLOWFAST_MOTIONS.pkl"
REPOSITORY = "someone/videohub:main"  # where torch.hub keeps it: $TORCH_HOME/hub/someone_videohub_main

# One process answers every question, because torch takes seconds to import.
QUESTIONS = """
import json, sys, torch
archive, checkpoint, repository, older, equal, installed = sys.argv[1:]
answers = {"videohub before": "videohub" in sys.modules}

def load(name, **arguments):
    return torch.hub.load(archive, name, source="local", **arguments)

def last_layer(model):
    return model.state_dict()["head.projection.weight"].flatten().tolist()

def forget():
    for name in [name for name in sys.modules if name.split(".")[0] == "videohub"]:
        del sys.modules[name]

def refusal():
    try:
        load("slowfast_motions")
    except (ImportError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"

msgspec, sys.modules["msgspec"] = __import__("msgspec"), None
answers["no msgspec"] = refusal()
sys.modules["msgspec"] = msgspec
for which, folder in (("older", older), ("equal", equal)):
    sys.path.insert(0, folder)
    import videohub
    answers[which] = refusal()
    sys.path.remove(folder)
    forget()
sys.path.insert(0, installed)
answers["with another installed"] = type(load("slowfast_motions")).__name__
sys.path.remove(installed)
forget()

answers["list"] = torch.hub.list(repository, trust_repo=True, skip_validation=True)
answers["help"] = torch.hub.help(repository, "slowfast_r50_8x8", trust_repo=True, skip_validation=True)
for name in ("slowfast_motions", "SLOWFAST_MOTIONS"):
    model = load(name)
    answers[name] = [type(model).__name__, model.training, sum(p.numel() for p in model.parameters())]
answers["three classes"] = list(load("slowfast_motions", num_classes=3)(torch.zeros(1, 3, 16, 64, 64)).shape)
answers["checkpoint"] = last_layer(load("SLOWFAST_MOTIONS", checkpoint=checkpoint))
answers["pretrained"] = last_layer(load("slowfast_motions", pretrained=True))
answers["videohub"] = sys.modules["videohub"].__file__
answers["path"] = archive in sys.path
import videohub
answers["afterwards"] = videohub.record("slowfast_motions").name
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def archive(home) -> Path:
    """What `git archive` would hold of the files that the entries need, where torch.hub unpacks it."""
    folder = home / "torch" / "hub" / "someone_videohub_main"
    folder.mkdir(parents=True)
    for name in ARCHIVED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, folder / name)
    return folder


@pytest.fixture(scope="module")
def copies(archive, home) -> dict[str, Path]:
    """Other folders with a videohub: of an older version, of an equal one, and one that must not be run."""
    result = {which: home / which for which in ("older", "equal", "installed")}
    for folder in result.values():
        shutil.copytree(archive / "videohub", folder / "videohub")
    front = result["older"] / "videohub" / "version.py"
    front.write_text(re.sub(r'__version__ = ".*"', '__version__ = "0.0.9"', front.read_text()))
    (result["installed"] / "videohub" / "__init__.py").write_text('raise AssertionError("the installed copy ran")')
    return result


@pytest.fixture(scope="module")
def weights():
    return videohub.build("slowfast_motions").state_dict()


@pytest.fixture(scope="module")
def answers(archive, copies, home, weights) -> dict:
    """What torch.hub did in a process that sees neither PYTHONPATH, nor this checkout, nor the current folder."""
    checkpoint = convert.export(weights, RECORD, "caffe2", home / "mine.pkl")
    hidden = f"import sys; sys.path[:] = [entry for entry in sys.path if entry != {str(ROOT)!r}]\n"
    kept = {name: value for name, value in os.environ.items() if name != registry.VARIABLE}
    ours = {"TORCH_HOME": str(home / "torch"), "VIDEOHUB_HOME": str(home / "cache"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-I", "-c", hidden + QUESTIONS, archive, checkpoint, REPOSITORY, *copies.values()],
        cwd=home, env={**kept, **ours}, capture_output=True, text=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


# --- what is on offer ------------------------------------------------------------------------------------------------


def test_the_entries_are_the_ids_aliases_and_upstream_names_that_lead_to_a_file_and_nothing_else(answers):
    available = [record for record in RECORDS.records.values() if record.status in ("available", "manual")]
    ids = {name for record in available for name in (record.name, *record.aliases)}
    listed = set(answers["list"])
    assert ids <= listed
    assert listed - ids <= {record.upstream_name for record in available}


@pytest.mark.parametrize("name", ["slowfast_r50_8x8", "SLOWFAST_8x8_R50", "SLOWFAST_4x16_R50", "resnet_r50_in1k"])
def test_an_id_and_an_upstream_name_are_entries(answers, name):
    assert name in answers["list"]


@pytest.mark.parametrize(
    "name", ["slowfast_r101_8x8", "slowfast_r101_16x8", "c2d_nopool_r50_8x8", "C2D_NOPOOL_8x8_R50"]
)
def test_what_was_never_released_or_is_broken_is_no_entry(answers, name):
    assert name not in answers["list"]


def test_an_upstream_name_that_ssv2_and_charades_share_is_no_entry(answers):
    assert "SLOWFAST_16x8_R50" not in answers["list"]
    assert {"slowfast_r50_16x8_ssv2", "slowfast_r50_16x8_charades"} <= set(answers["list"])


def test_help_names_the_upstream_file_its_numbers_and_the_clip(answers):
    for text in ("SLOWFAST_8x8_R50", "kinetics400", "top-1 77.0", "top-5 92.6", "pretrained", "(B, 3, 32, H, W)"):
        assert text in answers["help"]


# --- what is loaded --------------------------------------------------------------------------------------------------


def test_the_code_beside_hubconf_is_what_runs(answers, archive):
    assert not answers["videohub before"]
    assert Path(answers["videohub"]).parent.parent == archive


def test_an_entry_builds_the_network_of_its_record_under_both_names(answers, weights):
    model = videohub.build("slowfast_motions")
    expected = ["SlowFast", False, sum(parameter.numel() for parameter in model.parameters())]
    assert answers["slowfast_motions"] == expected
    assert answers["SLOWFAST_MOTIONS"] == expected


def test_an_entry_takes_another_number_of_classes(answers):
    assert answers["three classes"] == [1, 3]


def test_a_checkpoint_is_read_into_the_network(answers, weights):
    assert answers["checkpoint"] == weights["head.projection.weight"].flatten().tolist()


def test_the_published_weights_are_read_into_the_network(answers, archive):
    published = convert.read(archive / RELEASED).tensors["pred_w"]
    assert answers["pretrained"] == published.flatten().tolist()


def test_videohub_works_on_after_torch_hub_has_cleared_the_path(answers):
    assert not answers["path"]
    assert answers["afterwards"] == "slowfast_motions"


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("which", "version"), [("older", "0.0.9"), ("equal", videohub.__version__)])
def test_another_copy_that_was_imported_first_is_refused_by_version_and_folder(
    answers, archive, copies, which, version
):
    assert answers[which].startswith(f"ImportError: videohub {version} from {copies[which]} hides")
    assert str(archive) in answers[which]
    assert "Uninstall it" in answers[which]


def test_an_installed_copy_that_nobody_imported_does_not_hide_the_archive(answers):
    assert answers["with another installed"] == "SlowFast"


def test_a_missing_library_is_named_by_torch_hub(answers):
    assert answers["no msgspec"] == "RuntimeError: Missing dependencies: msgspec"


# --- what is needed --------------------------------------------------------------------------------------------------


def test_the_dependencies_are_what_building_and_loading_import():
    for node in ast.parse((ROOT / "hubconf.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "dependencies":
            stated = ast.literal_eval(node.value)
    needed = libraries_behind(
        "videohub.loading", "videohub.building", "videohub.registry", without="videohub.known_answers"
    )  # which `check=True` asks for, and reads videos
    assert set(stated) == needed - {"onnx", "onnxruntime", "google"}  # an exported file's, and an extra


def libraries_behind(*modules: str, without: str) -> set[str]:
    """Third-party libraries that these modules and all they import but one would import, also inside functions."""
    waiting, seen, libraries = list(modules), {without}, set()
    while waiting:
        name = waiting.pop()
        file = module_file(name)
        if name in seen or file is None:
            continue
        seen.add(name)
        for result in imports_at_run_time(ast.parse(file.read_text(encoding="utf-8"))):
            if result.split(".")[0] == "videohub":
                waiting += [result, result.rpartition(".")[0]]
            else:
                libraries.add(result.split(".")[0])
    return libraries - sys.stdlib_module_names


def module_file(name: str) -> Path | None:
    path = ROOT.joinpath(*name.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def imports_at_run_time(tree: ast.AST) -> list[str]:
    if isinstance(tree, ast.If) and ast.unparse(tree.test) == "TYPE_CHECKING":
        return []
    if isinstance(tree, ast.Import):
        return [alias.name for alias in tree.names]
    if isinstance(tree, ast.ImportFrom):
        return [f"{tree.module}.{alias.name}" for alias in tree.names]
    return [name for child in ast.iter_child_nodes(tree) for name in imports_at_run_time(child)]

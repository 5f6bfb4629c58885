"""The plan of the house holds: imports only run down, the front door is light, and every record has all its parts."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import videohub
from tests.floors import FLOORS, plan
from videohub import cli, metrics, registry
from videohub.convert import tables

PACKAGE = Path(videohub.__file__).resolve().parent
ROOT = PACKAGE.parent

HEIGHT = {room: -floor for floor, rooms in enumerate(FLOORS) for room in rooms}

# What a wing may know of the house; the rooms above the wings bring them together.
KNOWN_TO = {
    "cache_admin": {
        "known_answers",
        "published_files",
        "weights",
        "building",
        "data",
        "convert",
        "hub",
        "registry",
        "resources",
        "files",
        "errors",
    }
    | {"architectures", "models", "protocols", "escaping", "value_types", "version"},
    "reporting": {"data", "registry", "protocols", "runs", "metrics", "files", "errors", "escaping", "formatting"},
    "preflight": {
        "data",
        "registry",
        "protocols",
        "metrics",
        "files",
        "errors",
        "escaping",
        "formatting",
        "worker_pool",
    },
    "runs": {"protocols", "files", "errors"},
    "data": {"storage", "hub", "registry", "protocols", "metrics", "resources", "files", "log", "pickles", "errors"}
    | {"escaping"},
    # registry: the type of the record it was loaded from
    "models": {"architectures", "registry", "errors", "sinusoid", "value_types"},
    "convert": {"registry", "resources", "files", "log", "pickles", "errors", "escaping", "sinusoid"},
    "storage": {"hub", "errors"},
    "hub": {"resources", "files", "log", "errors", "value_types"},
    "registry": {"architectures", "protocols", "metrics", "hub", "resources", "files", "log", "errors", "escaping"}
    | {"formatting", "value_types", "version"},
    "architectures": {"errors"},
    "metrics": {"runs", "errors", "escaping"},
    "protocols": {"value_types"},
    "resources": {"errors"},
    "files": {"errors"},
    "pickles": {"errors", "escaping"},
    "log": {"escaping"},
    "errors": set(),
    "escaping": set(),
    "formatting": set(),
    "sinusoid": set(),
    "value_types": set(),
}

# Heavy or far-reaching libraries, and the only rooms that have a use for them.
USERS_OF = {
    "requests": {"hub", "storage"},
    "huggingface_hub": {"hub", "publishing", "reporting", "storage"},
    "fsspec": {"storage"},
    "s3fs": {"storage"},
    "gcsfs": {"storage"},
    "torchvision": {"models", "data", "detectors"},
    "jinja2": {"reporting"},
    "click": {"cli", "terminal"},
    "rich": {"cli", "terminal"},
    "PIL": {"data", "preflight"},
    "av": {"data", "preflight", "diagnosis"},
    "torch": {
        "data",
        "models",
        "convert",
        "building",
        "certificate",
        "devices",
        "weights",
        "detectors",
        "known_answers",
        "loading",
        "evaluation",
        "feature_extraction",
        "prediction",
        "onnx_model",
        "exports",
        "detection",
        "timing",
        "diagnosis",
        "verification",
    },
    "onnx": {"onnx_model"},
    "onnxruntime": {"onnx_model"},
    "onnxscript": {"exports"},
}
PURE = {"metrics"}  # they compute, and touch nothing

# Parameters of the network that each published configuration builds, from the facts on the zoo.
PARAMETERS = {
    "c2d_nopool_r50_8x8": 24_327_632,
    "i3d_r50_8x8": 28_043_472,
    "i3d_nln_r50_8x8": 35_401_936,
    "slow_r50_4x16": 32_454_096,
    "slow_r50_8x8": 32_454_096,
    "slowfast_r50_4x16": 34_480_216,
    "slowfast_r50_8x8": 34_566_488,
    "slowfast_r101_8x8": 62_826_968,
    "slowfast_r101_16x8": 53_774_808,
    "slow_r50_4x16_ava22": 31_798_416,
    "slowfast_r101_8x8_ava21": 59_342_488,
    "slowfast_r101_8x8_ava22": 59_342_488,
    "slowfast_r101_16x8_ava22": 59_342_488,
    "slow_r50_4x16_k400_ava_pretrain": 32_454_096,
    "slowfast_r101_8x8_k600_nl_ava21_pretrain": 60_541_088,
    "slowfast_r101_8x8_k600_nl_ava22_pretrain": 60_541_088,
    "slowfast_r101_16x8_k600_nl_ava22_pretrain": 60_541_088,
    "slowfast_r50_8x8_stepwise": 34_566_488,
    "slowfast_r50_8x8_stepwise_multigrid": 34_566_488,
    "slowfast_r50_16x8_ssv2": 34_045_558,
    "slowfast_r50_16x8_ssv2_multigrid": 34_045_558,
    "slowfast_r50_16x8_charades": 34_006_373,
    "slowfast_r50_16x8_charades_multigrid": 34_006_373,
    "resnet_r50_in1k": 25_557_032,
}
RECORDS = registry.load(ROOT / "registry.yaml").records


def modules() -> dict[str, ast.Module]:
    """Every module of videohub by its dotted name below `videohub`; the package itself is the empty name."""
    result = {}
    for file in PACKAGE.rglob("*.py"):
        parts = file.relative_to(PACKAGE).with_suffix("").parts
        result[".".join(part for part in parts if part != "__init__")] = ast.parse(file.read_text(encoding="utf-8"))
    return result


def imported(tree: ast.Module) -> Iterator[str]:
    """Every absolute name that a module imports, also inside functions and for type checking only."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import; the house uses full names"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(name: str) -> str:
    return name.removeprefix("videohub").removeprefix(".").split(".")[0]


def rooms_seen(tree: ast.Module) -> set[str]:
    """The rooms that a module imports from; the empty one is the package itself."""
    return {room(name) for name in imported(tree) if name.split(".")[0] == "videohub"}


def libraries_seen(tree: ast.Module) -> set[str]:
    return {name.split(".")[0] for name in imported(tree)} - {"videohub"} - sys.stdlib_module_names


MODULES = modules()
LIBRARIES = {name: libraries_seen(tree) for name, tree in MODULES.items()}
BELOW_THE_ROOF = sorted(name for name in MODULES if name)


def test_every_module_has_its_floor():
    assert {room(name) for name in BELOW_THE_ROOF} == set(HEIGHT)


@pytest.mark.parametrize("name", BELOW_THE_ROOF)
def test_imports_only_run_down_and_never_sideways(name):
    here = room(name)
    for there in rooms_seen(MODULES[name]) - {here, ""}:
        assert HEIGHT[there] < HEIGHT[here], f"{name} imports {there}, which is not below it"


@pytest.mark.parametrize("wing", sorted(KNOWN_TO))
def test_a_wing_knows_only_what_the_plan_lets_it_know(wing):
    seen = set().union(*(rooms_seen(MODULES[name]) for name in BELOW_THE_ROOF if room(name) == wing))
    assert seen - {wing} <= KNOWN_TO[wing]


@pytest.mark.parametrize("library", sorted(USERS_OF))
def test_a_library_is_used_only_where_it_belongs(library):
    users = {room(name) for name in BELOW_THE_ROOF if library in LIBRARIES[name]}
    assert users <= USERS_OF[library]


def test_metrics_and_verdicts_are_pure():
    for name in (name for name in BELOW_THE_ROOF if room(name) in PURE):
        assert LIBRARIES[name] <= {"numpy", "msgspec"}
        if name != "metrics.ava_files":  # which reads AVA's
            assert not {"os", "pathlib", "io", "subprocess"} & set(imported(MODULES[name]))


def test_rooms_take_nothing_from_the_package_itself_but_its_place():
    for name in BELOW_THE_ROOF:
        taken = {
            node.attr
            for node in ast.walk(MODULES[name])
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "videohub"
        }
        assert taken <= {"__file__"}, f"{name} reaches other rooms through the package"


def test_contributing_shows_the_floors_that_are_held():
    assert plan() in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_only_homes_of_a_kind_import_by_a_computed_name():
    # one more verb, data set, metric or family of networks is one more file there, and nothing else
    homes = {"cli", "data.sets", "metrics", "metrics.metric", "architectures", "models"}
    homes |= {"worker_pool.worker"}  # by its handler
    for name in BELOW_THE_ROOF:
        if name not in homes:
            assert not {"importlib", "importlib.import_module", "runpy"} & set(imported(MODULES[name])), name
        calls = {node.func.id for node in ast.walk(MODULES[name])
                 if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}  # fmt: skip
        assert "__import__" not in calls, name


def test_what_is_printed_or_logged_goes_through_the_one_escaping():
    allowed = {
        "terminal.layout": {"click.echo", "write", "Console", "Text"},
        "terminal.options": {"write"},  # JSON
        "registry.json_schema": {"print"},
        "log": {"logging.getLogger"},
    }
    doors = {"print", "write", "click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write", "Console", "Text",
             "Text.from_markup", "logging.getLogger", "logging.warning"}  # fmt: skip
    for name in BELOW_THE_ROOF:
        called = {ast.unparse(node.func) for node in ast.walk(MODULES[name]) if isinstance(node, ast.Call)}
        assert called & doors <= allowed.get(name, set()), name


def test_what_differs_between_metrics_is_asked_of_their_objects_alone():
    words = set(metrics.names())
    for name in (name for name in BELOW_THE_ROOF if room(name) != "metrics"):
        texts = {node.value for node in ast.walk(MODULES[name])
                 if isinstance(node, ast.Constant) and isinstance(node.value, str)}  # fmt: skip
        assert not texts & words, f"{name} names a metric: let it ask `metrics.of(…)`"


def test_no_module_grows_past_one_idea():
    lengths = {file.relative_to(PACKAGE).as_posix(): len(file.read_text().splitlines())
               for file in PACKAGE.rglob("*.py")}  # fmt: skip
    assert {name: length for name, length in lengths.items() if length > 400} == {}


# --- the front door --------------------------------------------------------------------------------------------------

HEAVY = ("torch", "torchvision", "av", "requests", "huggingface_hub")
RUN = "import sys; sys.argv = ['videohub', *{arguments!r}]; from videohub.cli import main; main()"


def python(code: str) -> str:
    """Run code in a fresh process that finds the checkout, and return what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop(registry.VARIABLE, None)
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True, encoding="utf-8"
    ).stdout


@pytest.mark.parametrize(
    "code",
    [
        "import videohub",
        RUN.format(arguments=["list"]),
        RUN.format(arguments=["list", "--json"]),
        RUN.format(arguments=["show", "slowfast_r50_8x8"]),
        RUN.format(arguments=["show", "slowfast_r50_8x8", "--json"]),
    ],
    ids=["import", "list", "list --json", "show", "show --json"],
)
def test_looking_at_the_zoo_loads_nothing_heavy(code):
    ending = f"import json, sys; print(); print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    assert json.loads(python(f"{code}\n{ending}").splitlines()[-1]) == []


def test_a_listing_loads_nothing_that_only_other_verbs_and_broken_files_need():
    ending = "import json, sys; print(); print(json.dumps(sorted(sys.modules)))"
    loaded = set(json.loads(python(f"{RUN.format(arguments=['list'])}\n{ending}").splitlines()[-1]))
    others = {f"videohub.cli.{verb}" for verb in cli.cli.commands if verb != "list"}
    assert not loaded & {"rich.console", "rich.table", "difflib", "videohub.registry.json_schema", *others}
    assert "videohub.cli.list" in loaded


def test_a_listing_takes_at_most_five_times_what_its_libraries_take_to_import():
    commands = {"floor": "import yaml, click", "list": RUN.format(arguments=["list"])}
    seconds: dict[str, list[float]] = {which: [] for which in commands}
    for turn in range(6):
        for which, code in commands.items():
            before = os.times()
            python(code)
            after = os.times()
            if turn:  # the first one fills the disk's cache; the processor's time, which others do not lengthen
                spent = after.children_user - before.children_user + after.children_system - before.children_system
                seconds[which].append(spent)
    floor, listing = (statistics.median(seconds[which]) for which in commands)
    ratio = listing / floor
    assert ratio <= 5, f"`videohub list` took {listing:.2f} s, {ratio:.1f} times the {floor:.2f} s of yaml and click"


# --- every record has all its parts ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hubconf():
    spec = importlib.util.spec_from_file_location("hubconf", ROOT / "hubconf.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_model_of_the_published_table_has_a_record():
    assert set(PARAMETERS) <= set(RECORDS)
    assert len(PARAMETERS) == 24


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_a_record_has_a_network_that_can_be_built_and_the_classifier_it_names(name):
    record = RECORDS[name]
    with torch.device("meta"):
        model = videohub.build(record)
    assert not model.training
    state = model.state_dict()
    classes, features = record.model.num_classes, model.num_features
    shapes = [tuple(state[key].shape) for key in record.model.classifier_keys if key in state]
    assert shapes == ([(classes, features), (classes,)] if classes else [])
    counted = sum(parameter.numel() for parameter in model.parameters())
    assert counted == PARAMETERS[name] if name in PARAMETERS else counted > 0


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_a_record_has_a_table_that_exists(name):
    assert RECORDS[name].checkpoint.layout in tables.layouts(RECORDS[name].family)


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_a_record_has_a_torch_hub_entry_exactly_if_it_can_be_had(name, hubconf):
    assert callable(getattr(hubconf, name, None)) == (RECORDS[name].status in ("available", "manual"))


def test_an_upstream_name_that_pretraining_shares_is_the_published_one_s_entry(hubconf):
    for name, number in (("SLOWFAST_32x2_R101_50_50", "29.1"), ("SLOWFAST_64x2_R101_50_50", "29.4")):
        assert f"(ava_v2.2): mAP {number}." in getattr(hubconf, name).__doc__


@pytest.mark.parametrize("name", videohub.__all__)
def test_a_public_name_says_what_it_does(name):
    text = inspect.getdoc(getattr(videohub, name))
    assert text
    assert not text.startswith(f"{name}("), "a dataclass that only repeats its fields"


def test_the_package_shows_its_public_names_once_and_nothing_else():
    code = "import json, videohub; videohub.verify, videohub.models; print(json.dumps(dir(videohub)))"
    shown = json.loads(python(code))
    assert len(shown) == len(set(shown))
    public = {name for name in shown if not name.startswith("_")}
    assert public == {*videohub.__all__, "convert", "errors", "metrics", "models", "registry"}
    assert all(inspect.ismodule(getattr(videohub, name)) or name in videohub.__all__ for name in public)

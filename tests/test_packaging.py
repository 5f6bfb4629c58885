"""The wheel and the source archive hold what they need and nothing else, and work away from the checkout."""

from __future__ import annotations

import email
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from pathlib import Path

import pytest

from videohub import registry, resources

pytestmark = pytest.mark.slow

ROOT = resources.registry_file().parent
DATA = ("registry.yaml", "registry.schema.json", "datasets.yaml", "labels.yaml", "costs.json")
DEMO = "demo/SLOWFAST_MOTIONS.pkl"
JUNK = ("demo-run/videos/test_00000.mp4", "dist/old.whl", ".venv/pyvenv.cfg", "scratch.npz", "notes.txt")
LIST = "import sys; sys.argv = ['videohub', 'list', '--json']; from videohub.cli import main; main()"


@pytest.fixture(scope="session")
def tree(tmp_path_factory) -> Path:
    """A copy of this checkout, with the junk that a working day leaves in one."""
    tree = tmp_path_factory.mktemp("packaging") / "tree"
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".git", ".venv", ".*_cache", "__pycache__", "demo-run"))
    for name in JUNK:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(b"")
    return tree


@pytest.fixture(scope="session")
def built(tree) -> Path:
    """The folder of the source archive and of the wheel that was made from that archive."""
    out = tree.parent / "built"
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(tree)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=environment())
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="session")
def wheel(built) -> Path:
    return next(built.glob("*.whl"))


@pytest.fixture(scope="session")
def in_wheel(wheel) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


@pytest.fixture(scope="session")
def in_sdist(built) -> set[str]:
    """Paths below the archive's one top folder."""
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        return {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}


@pytest.fixture(scope="session")
def metadata(wheel, in_wheel) -> Message:
    (name,) = (name for name in in_wheel if name.endswith(".dist-info/METADATA"))
    return email.message_from_bytes(zipfile.ZipFile(wheel).read(name))


@pytest.fixture(scope="session")
def unzipped(wheel) -> Path:
    folder = wheel.parent.parent / "unzipped"
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


def environment(**own: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", registry.VARIABLE)}
    return {**kept, **own}


def python(code: str, path: Path, cwd: Path) -> str:
    """Run code with the package from `path` and from nowhere else, and return what it printed."""
    hidden = (  # this checkout, or another, that the tests' own environment has on its path
        "import os, sys; sys.path[:] = [entry for entry in sys.path if "
        f"entry == {str(path)!r} or not os.path.exists(os.path.join(entry, 'videohub', '__init__.py'))]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", hidden + code], cwd=cwd, env=environment(PYTHONPATH=str(path)),
        capture_output=True, text=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- the wheel -------------------------------------------------------------------------------------------------------


def test_the_wheel_holds_every_module_and_all_data(in_wheel):
    modules = {file.relative_to(ROOT).as_posix() for file in (ROOT / "videohub").rglob("*.py")}
    templates = {file.relative_to(ROOT).as_posix() for file in (ROOT / "videohub").glob("*/templates/*")}
    assert {"report.html", "report.md", "report.css", "card.md"} <= {name.rpartition("/")[2] for name in templates}
    tables = {f"videohub/_data/{file.relative_to(ROOT)}" for file in (ROOT / "converters").glob("*/*.yaml")}
    demo = {f"videohub/_data/{DEMO}"}
    data = {f"videohub/_data/{name}" for name in (*DATA, "registry.msgpack")}
    assert tables
    assert modules | templates | tables | demo | data | {"videohub/py.typed"} <= in_wheel


def test_the_wheel_holds_nothing_but_the_package_and_its_papers(in_wheel):
    assert {re.sub(r"^videohub_zoo-[^/]+\.dist-info$", "dist-info", name.split("/")[0]) for name in in_wheel} == {
        "videohub",
        "dist-info",
    }
    assert not [name for name in in_wheel if "/test" in name or name.endswith((".pyc", ".part"))]


def test_the_wheel_holds_the_license_and_the_command(wheel, in_wheel):
    papers = {name.partition("/")[2]: name for name in in_wheel if ".dist-info/" in name}
    assert zipfile.ZipFile(wheel).read(papers["licenses/LICENSE"]) == (ROOT / "LICENSE").read_bytes()
    entries = zipfile.ZipFile(wheel).read(papers["entry_points.txt"]).decode()
    assert entries.split() == ["[console_scripts]", "videohub", "=", "videohub.cli:main"]


def test_the_wheel_lists_the_same_zoo_away_from_the_checkout(unzipped, tmp_path):
    def told(text: str, folder: Path) -> object:
        return json.loads(text.replace(folder.as_uri(), "beside"))  # where the demo's weights lie

    here, there = python(LIST, ROOT, tmp_path), python(LIST, unzipped, tmp_path)
    assert told(there, unzipped / "videohub" / "_data") == told(here, ROOT)


def test_the_wheel_brings_its_registry_as_it_was_read_and_a_changed_file_is_seen(unzipped, tmp_path):
    package = tmp_path / "site"
    shutil.copytree(unzipped, package)  # times differ from those of the build
    code = f"""
import os, sys
os.environ["VIDEOHUB_HOME"] = {str(tmp_path / "home")!r}
from videohub import registry
print("yaml" in sys.modules, len(registry.list_models()), "yaml" in sys.modules)
"""
    text = python(code, package, tmp_path).split()
    assert (text[0], int(text[1]), text[2]) == ("False", len(registry.list_models()), "False")
    file = package / "videohub" / "_data" / "registry.yaml"
    file.write_text(file.read_text().replace("  slow_r50_8x8:", "  slow_r50_renamed:"))
    assert python(
        code.replace("len(registry.list_models())", "registry.list_models('*renamed')"), package, tmp_path
    ) == ("False ['slow_r50_renamed'] True\n")


def test_the_wheel_finds_its_data_beside_its_code(unzipped, tmp_path):
    code = """
from videohub import resources
from videohub.convert import tables
print(resources.registry_file(), resources.labels_file(), *resources.tables_folders())
print(*(tables.find(family, layout) for family in tables.families() for layout in tables.layouts(family)))
"""
    printed = python(code, unzipped, tmp_path)
    package = unzipped / "videohub" / "_data"
    assert printed.startswith(f"{package / 'registry.yaml'} {package / 'labels.yaml'} {package / 'converters'}\n")


# --- what the wheel asks for -----------------------------------------------------------------------------------------


def requirements(metadata: Message) -> dict[str, str]:
    """The version each library must have, without those of the extras."""
    plain = [line for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]
    return {result[1]: result[2] for result in (re.fullmatch(r"([A-Za-z0-9_.-]+?)\s*\(?([<>=!~].*?)?\)?", line)
                                             for line in plain) if result}  # fmt: skip


def test_every_dependency_has_a_floor_and_none_a_ceiling(metadata):
    asked = requirements(metadata)
    assert {"torch", "numpy", "av", "click", "jinja2"} <= set(asked)
    assert {name: versions for name, versions in asked.items() if not re.fullmatch(r">=\d+(\.\d+)*", versions)} == {}


def test_the_wheel_says_its_version_python_and_license(metadata):
    import videohub

    assert metadata["Version"] == videohub.__version__
    assert re.fullmatch(r">=3\.\d+", metadata["Requires-Python"])
    assert metadata["License-Expression"] == "Apache-2.0"


# --- the source archive ----------------------------------------------------------------------------------------------


def test_the_source_archive_holds_what_torch_hub_tests_and_a_build_need(in_sdist):
    expected = {*DATA, DEMO, "hubconf.py", "LICENSE", "README.md", "Makefile", "pyproject.toml", "tests/conftest.py"}
    expected |= {file.relative_to(ROOT).as_posix() for file in (ROOT / "converters").glob("*.yaml")}
    expected |= {file.relative_to(ROOT).as_posix() for file in (ROOT / "videohub").rglob("*.py")}
    expected |= {file.relative_to(ROOT).as_posix() for file in (ROOT / "tests").rglob("*.npz")}
    assert expected <= in_sdist


def test_the_source_archive_holds_no_junk(in_sdist):
    assert not in_sdist & set(JUNK)
    inputs = {file.relative_to(ROOT).as_posix() for file in (ROOT / "tests" / "data" / "contradicted").iterdir()}
    others = in_sdist - inputs
    assert not [name for name in others if name.endswith((".pyc", ".part", ".mp4", ".whl"))]


# --- without a wheel -------------------------------------------------------------------------------------------------


def test_a_checkout_works_as_it_stands(tmp_path):
    code = "import videohub; from videohub import resources; print(videohub.__file__, resources.registry_file())"
    assert python(code, ROOT, tmp_path).split() == [str(ROOT / "videohub" / "__init__.py"), str(ROOT / "registry.yaml")]


def test_an_editable_install_reads_the_code_and_the_data_of_the_checkout(tree, tmp_path):
    backend = "import sys; from hatchling import build; print(build.build_editable(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", backend, str(tmp_path)], cwd=tree, env=environment(), check=True,
                   capture_output=True)  # fmt: skip
    site = tmp_path / "site-packages"
    zipfile.ZipFile(next(tmp_path.glob("*.whl"))).extractall(site)
    code = f"import site; site.addsitedir({str(site)!r})\n"
    code += "import videohub; from videohub import resources; print(videohub.__file__, resources.registry_file())"
    assert python(code, tmp_path / "nowhere", tmp_path).split() == [
        str(tree / "videohub" / "__init__.py"),
        str(tree / "registry.yaml"),
    ]

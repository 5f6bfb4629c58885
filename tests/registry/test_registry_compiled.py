"""A registry as it was read: as quick as its libraries, never older than its files, and never needed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from videohub import registry, resources
from videohub.registry import compiled

LONG_AGO = -(10**18)  # of what was written any time since, nothing is taken for just written
LIST = (
    f"import sys; from videohub.registry import compiled; compiled._SETTLED_NS = {LONG_AGO};"
    "from videohub import registry as r; print(*r.default(keep=True).records); print('yaml' in sys.modules)"
)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A cache of its own, and nothing remembered in this process."""
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(registry, "_kept", {})
    return tmp_path / "home"


@pytest.fixture
def settled(company, monkeypatch):
    """The company's registry, written long ago; ours counts as that, whenever somebody worked on it."""
    monkeypatch.setattr(compiled, "_SETTLED_NS", LONG_AGO)
    os.utime(company, ns=(1, 1))
    return company


def listed(**environment: str) -> tuple[list[str], bool]:
    """What a process of its own lists, and whether it read any YAML."""
    done = subprocess.run([sys.executable, "-c", LIST], capture_output=True, text=True, check=True,
                          env={**os.environ, **environment})  # fmt: skip
    names, loaded = done.stdout.splitlines()
    return names.split(), loaded == "True"


def test_the_second_process_reads_no_yaml_and_lists_the_same(home, settled):
    first, read = listed(VIDEOHUB_REGISTRY=str(settled))
    assert (read, first[-1]) == (True, "company_slow")
    assert listed(VIDEOHUB_REGISTRY=str(settled)) == (first, False)


def test_a_compiled_registry_says_the_same_to_the_letter(home, settled, monkeypatch):
    read = registry.default([settled], keep=True)
    monkeypatch.setattr(registry, "_kept", {})
    again = registry.default([settled], keep=True)
    assert again is not read
    assert again.records == read.records
    assert [*again.records] == [*read.records]
    assert (again.publishers, again.protocols, again.datasets) == (read.publishers, read.protocols, read.datasets)
    assert (again.entries, again.costs) == (read.entries, read.costs)
    assert len(list((home / "compiled").iterdir())) == 1


def test_a_list_needs_no_struct_of_the_schema_and_a_record_that_is_asked_for_has_them(home, settled):
    code = (
        "import sys; from videohub import registry; known = registry.default(keep=True); print(known.select('*slow'));"
        "imported = lambda: any(name.startswith(('videohub.registry.schema', 'videohub.architectures', "
        "'videohub.protocols')) for name in sys.modules); print(imported());"
        "print(known.find('company_slow').model.depth, imported())"
    )
    environment = {**os.environ, "VIDEOHUB_REGISTRY": str(settled)}
    registry.default([settled], keep=True)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.splitlines() == ["['company_slow']", "False", "R50 True"]


@pytest.mark.parametrize("kept", ["its time and size", "nothing"])
def test_a_changed_file_is_seen_at_once(home, settled, monkeypatch, kept):
    assert registry.default([settled], keep=True).records["company_slow"].number.top1 == 91
    settled.write_text(settled.read_text().replace("top1: 91", "top1: 92"))
    if kept != "nothing":
        os.utime(settled, ns=(1, 1))
    monkeypatch.setattr(registry, "_kept", {})
    assert registry.default([settled], keep=True).records["company_slow"].number.top1 == 92


def test_a_file_beside_it_that_changes_comes_or_goes_is_seen(home, settled, monkeypatch):
    def top1(name="company_slow"):
        monkeypatch.setattr(registry, "_kept", {})
        record = registry.default([top], keep=True).records.get(name)
        return record.number.top1 if record else None

    top = settled.with_name("top.yaml")
    top.write_text('schema_version: 1\ninclude: "compan*.yaml"\nrecords: {}\n')
    (settled.parent / "names.txt").write_text("\n".join("abcdefghijkl"))
    text = settled.read_text()
    settled.write_text(text.replace(text[text.index("labels: [") : text.index("    published")], "labels: names.txt\n"))
    for path in (settled, top, settled.parent / "names.txt", settled.parent):
        os.utime(path, ns=(1, 1))
    assert top1() == 91
    second = settled.read_text().replace("company_video", "video_2").replace("company_slow", "slow_2")
    (settled.parent / "company2.yaml").write_text(second.replace("top1: 91", "top1: 93"))
    assert (top1(), top1("slow_2")) == (91, 93)
    (settled.parent / "company2.yaml").unlink()
    assert top1("slow_2") is None
    (settled.parent / "names.txt").write_text("\n".join("abcdefghijk"))
    with pytest.raises(registry.RegistryError, match="11 names"):
        top1()


@pytest.mark.parametrize("damage", [
    lambda content: b"",
    lambda content: content[: len(content) // 2],
    lambda content: content[:-1] + b"\xc1",
    lambda content: b"\x80\x04c" + content,
    lambda content: content.replace(b"company_slow", b"company_sloW\xff"[:12]),
    lambda content: content.replace(b"available", b"avaiLable"),
])  # fmt: skip
def test_a_damaged_one_is_made_anew(home, settled, monkeypatch, damage):
    expected = registry.default([settled], keep=True).records
    (file,) = (home / "compiled").iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    monkeypatch.setattr(registry, "_kept", {})
    assert registry.default([settled], keep=True).records == expected
    assert file.read_bytes() == whole


@pytest.mark.skipif(os.name == "nt" or (os.geteuid() == 0 and not Path("/proc/self").exists()), reason="needs folders")
def test_where_none_can_be_kept_the_files_are_read(home, settled, monkeypatch):
    home.write_text("a file where the cache's folder should be")
    assert registry.default([settled], keep=True).records["company_slow"].number.top1 == 91
    monkeypatch.setenv("VIDEOHUB_HOME", "~nobody-of-this-name/cache")
    monkeypatch.setattr(registry, "_kept", {})
    assert registry.default([settled], keep=True).records["company_slow"].number.top1 == 91


def test_it_names_no_place_of_this_machine(home):
    ours = registry.load(resources.registry_file())
    content = compiled.encoded([resources.registry_file()], ours)
    assert str(resources.registry_file().parent).encode() not in content
    assert b"demo/SLOWFAST_MOTIONS.pkl" in content


def test_every_form_of_a_checkpoint_is_found_from_where_the_package_lies(home, monkeypatch):
    root = resources.registry_file()
    ours = registry.load(root)
    demo = ours.records["slowfast_motions"]
    second = msgspec.structs.replace(demo.checkpoint, url=(root.parent / "demo" / "100 % é.pth").as_uri())
    both = msgspec.structs.replace(demo, other_checkpoints=(second,))
    known = msgspec.structs.replace(ours, records={**ours.records, demo.name: both})
    monkeypatch.setattr(compiled, "_SETTLED_NS", LONG_AGO)
    compiled.save((root,), known, time.time_ns())
    (file,) = (home / "compiled").iterdir()
    assert root.parent.as_uri().encode() not in file.read_bytes()
    assert compiled.load((root,)).records == known.records


def test_what_was_just_written_is_not_kept_so_that_no_later_change_is_missed(home, company):
    assert registry.default([company], keep=True).records["company_slow"].number.top1 == 91
    assert not (home / "compiled").exists()


def test_only_verbs_that_look_at_the_zoo_keep_it(home, settled):
    assert registry.default([settled]).records["company_slow"].number.top1 == 91
    assert not home.exists()

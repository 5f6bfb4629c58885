"""`videohub doctor` sees what is there, names what is missing, and ends with 5 if that is needed."""

from __future__ import annotations

import importlib.metadata
import json
import sys

import av
import pytest
import torch

from videohub import diagnosis
from videohub.diagnosis import foreign_copies, without_password
from videohub.formatting import counted


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    for name in (*diagnosis._SWITCHES, *diagnosis._PROXIES, *map(str.lower, diagnosis._PROXIES), "VIDEOHUB_REGISTRY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def findings(run, code=0):
    got, out, err = run("doctor", "--json")
    assert (got, err) == (code, "")
    messages = json.loads(out)
    assert messages["able"] == (code == 0)
    return {(finding["about"], finding["name"]): finding for finding in messages["findings"]}


def test_a_machine_that_runs_these_tests_is_able(run, home):
    result = findings(run)
    assert result["versions", "torch"]["detail"] == importlib.metadata.version("torch")
    assert result["devices", "cpu"]["detail"] == counted(torch.get_num_threads(), "thread")
    assert result["decoder", "H.264"]["detail"].startswith("8 frames exact (libavcodec ")
    assert result["cache", str(home)]["detail"].startswith("0 B kept, ")
    assert not home.exists()
    assert result["registries", "records"]["state"] == "ok"
    code, out, _ = run("doctor")
    assert (code, out.splitlines()[-1]) == (0, "able to run videohub")


def test_a_library_that_is_not_there_or_too_old_is_missing(run, monkeypatch):
    monkeypatch.setattr(diagnosis, "_floors", lambda: {"no-such-library": "1.2", "torch": "99.0", "av": "9.0"})
    result = findings(run, code=5)
    assert result["versions", "no-such-library"]["advice"] == "pip install 'no-such-library>=1.2'"
    assert result["versions", "torch"]["detail"].endswith(", expected 99.0 or later")
    assert result["versions", "av"]["state"] == "ok"  # 14 and more are later than 9
    assert "2 of what is needed are missing" in run("doctor")[1]


def test_a_checkout_that_is_not_installed_needs_the_same(monkeypatch):
    def spelt_alike(floors):
        return {name.replace("_", "-"): floor for name, floor in floors.items()}

    installed = spelt_alike(diagnosis._floors())
    monkeypatch.setattr(diagnosis, "DISTRIBUTION", "no-such-distribution")
    assert {"torch", "av", "pillow"} <= set(installed)
    assert spelt_alike(diagnosis._floors()) == installed


def test_a_decoder_that_loses_a_frame_is_missing(run, monkeypatch):
    decode = av.container.InputContainer.decode
    monkeypatch.setattr(diagnosis, "_FRAMES", 9)
    assert findings(run)["decoder", "H.264"]["detail"].startswith("9 frames exact")

    class Other:
        def __init__(self, path, *mode):
            self.inner = opened(path, *mode)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.inner.close()

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def decode(self, **which):
            return [frame for number, frame in enumerate(decode(self.inner, **which)) if number != 4]

    opened = av.open
    monkeypatch.setattr(av, "open", Other)
    assert findings(run, code=5)["decoder", "H.264"]["detail"].startswith("8 of 9 frames came back")


def test_a_cache_is_measured_while_its_files_come_and_go(run, monkeypatch, home):
    (home / "raw").mkdir(parents=True)
    (home / "raw" / "file").write_bytes(bytes(1500))
    (home / "raw" / "link").symlink_to("file")
    monkeypatch.setattr(diagnosis.os, "walk", lambda folder: [(str(home / "raw"), [], ["file", "gone", "link"])])
    assert findings(run)["cache", str(home)]["detail"].startswith("1.5 kB kept, ")


def test_a_cache_that_cannot_be_written_to_is_missing(run, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path / "file" / "home"))
    (messages,) = (finding for (about, _), finding in findings(run, code=5).items() if about == "cache")
    assert messages["detail"] == f"{tmp_path / 'file'} cannot be written to (Not a directory)"
    assert "VIDEOHUB_HOME" in messages["advice"]


def test_a_broken_registry_file_is_told(run, monkeypatch, tmp_path):
    (tmp_path / "own.yaml").write_text("records: 3")
    monkeypatch.setenv("VIDEOHUB_REGISTRY", str(tmp_path / "own.yaml"))
    messages = [finding for (about, _), finding in findings(run, code=5).items() if about == "registries"]
    assert [finding["state"] for finding in messages] == ["missing"]
    assert "own.yaml" in messages[0]["detail"]


def test_another_package_of_our_name_is_named(run, monkeypatch, tmp_path):
    (tmp_path / "videohub").mkdir()
    (tmp_path / "videohub" / "__init__.py").write_text("")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    assert foreign_copies()[-1:] == [tmp_path / "videohub"]
    messages = findings(run)["versions", "another videohub"]
    assert messages["detail"].endswith(str(tmp_path / "videohub"))
    assert "pip uninstall videohub" in messages["advice"]


def test_switches_and_proxies_are_told_without_their_password(run, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HTTPS_PROXY", "http://anna:secret@proxy:3128")
    result = findings(run)
    assert result["network", "HF_HUB_OFFLINE"]["detail"] == "1"
    assert result["network", "HTTPS_PROXY"]["detail"] == "http://…@proxy:3128"
    assert "secret" not in run("doctor")[1]


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://proxy:3128", "http://proxy:3128"),
        ("anna:secret@proxy:3128", "…@proxy:3128"),
        ("http://anna@proxy", "http://…@proxy"),
        ("localhost,127.0.0.1", "localhost,127.0.0.1"),
        ("http://[", "not an address"),
    ],
)
def test_a_proxy_keeps_its_host_alone(address, shown):
    assert without_password(address) == shown

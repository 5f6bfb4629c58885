"""Whoever reaches the publishers has what lies behind their links, as one patch and one list of what did not fit."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.cache_admin.cache_files import SHA256, caffe2, narrow
from tests.hub.publisher import LOG_IN, refusing
from videohub import registry
from videohub.hub import http_download


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(http_download, "PAUSE_S", 0)
    monkeypatch.setattr(http_download, "READ_S", 0.3)
    monkeypatch.setattr(http_download, "ATTEMPTS", 3)


def methods(publisher):
    return [exchange.method for exchange in publisher.log]


def probed(run, *arguments):
    """The exit code, and what was seen, by record."""
    code, found, _ = run("registry", "probe", *arguments, "--json")
    return code, {link["record"]: link for link in found["links"]}, found


def apply(folder, text):
    subprocess.run(["git", "apply"], cwd=folder, input=text.encode(), check=True)


def test_without_online_nothing_is_asked_and_all_that_would_be_is_told(run, zoo, publisher):
    code, out, err = run("registry", "probe", "first", "second", "--fetch")
    assert code == 0
    assert out.splitlines() == [f"{name}: file: {registry.record(name).checkpoint.url}" for name in ("first", "second")]
    assert "2 links; nothing was asked." in err
    code, out, err = run("registry", "probe")
    assert "mvit_b_16x4: file: https://drive.google.com/" in out
    assert "(not asked: a page, to download from by hand)" in out
    assert len(out.splitlines()) > 120
    assert run("registry", "probe", "first", "--patch", "x")[0] == 2
    assert publisher.log == []


def test_sizes_that_servers_announce_make_a_patch(run, zoo, publisher, contents, tmp_path):
    code, out, _ = run("registry", "probe", "first", "second", "--online", "--patch", tmp_path / "found.patch")
    assert (code, narrow(out)) == (0, True)
    assert methods(publisher) == ["HEAD", "HEAD"]
    text = (tmp_path / "found.patch").read_text()
    assert text == probed(run, "first", "second", "--online")[2]["patch"]["text"]
    apply(tmp_path, text)
    checkpoints = [registry.record(name).checkpoint for name in ("first", "second")]
    assert [(file.size, file.sha256) for file in checkpoints] == [(len(content), None) for content in contents]


def test_fetched_files_are_proved_and_their_digests_and_containers_make_a_patch(run, zoo, publisher, tmp_path):
    zoo.write_text(zoo.read_text().replace('container: "caffe2"', "container: null"))
    code, links, found = probed(run, "first", "--online", "--fetch")
    assert code == 0
    assert (links["first"]["sha256"], links["first"]["container"], links["first"]["proved"]) == (SHA256, "caffe2", True)
    apply(tmp_path, found["patch"]["text"])
    file = registry.record("first").checkpoint
    assert (file.sha256, file.size, file.container) == (SHA256, links["first"]["size"], "caffe2")
    assert probed(run, "first", "--online", "--fetch")[2]["patch"]["text"] == ""
    assert publisher.requests.count("/first/MODEL.pkl") == 3  # HEAD, GET, and HEAD: what is here is not fetched again


def test_a_dead_link_makes_its_record_broken_with_a_note(run, zoo, publisher, tmp_path):
    del publisher.files["/first/MODEL.pkl"]
    files = ("--patch", tmp_path / "p", "--misfits", tmp_path / "m")
    code = run("registry", "probe", "first", "second", "--online", *files)[0]
    assert code == 1
    url = registry.record("first").checkpoint.url
    assert (tmp_path / "m").read_text() == f"first: {url}: answers 404 Not Found\n"
    apply(tmp_path, (tmp_path / "p").read_text())
    record = registry.record("first")
    assert record.status == "broken"
    assert any(note.startswith("Its link answered 404 on ") for note in record.notes)
    assert registry.record("second").status == "available"


@pytest.mark.parametrize(
    ("behaviour", "misfit"),
    [
        (refusing(403), "answers 403 Forbidden"),
        (refusing(500), "gave no answer: 500 Internal Server Error"),
        (refusing(200, {"Content-Type": "text/html"}, LOG_IN), "gives a web page and no file"),
    ],
    ids=["refused", "out of order", "a page"],
)
def test_what_is_no_file_today_is_a_misfit_and_no_dead_link(run, zoo, publisher, contents, behaviour, misfit):
    publisher.publish("/first/MODEL.pkl", contents[0], behaviour)
    code, links, found = probed(run, "first", "--online", "--fetch")
    assert code == 1
    assert misfit in links["first"]["misfits"][0]
    assert found["patch"]["text"] == ""


def test_another_size_than_the_registry_s_is_a_misfit_and_nothing_is_fetched(run, zoo, publisher):
    zoo.write_text(zoo.read_text().replace("size: null", "size: 12", 1))
    code, links, found = probed(run, "first", "--online", "--fetch")
    assert (code, found["patch"]["text"], methods(publisher)) == (1, "", ["HEAD"])
    assert "and the registry states 12" in links["first"]["misfits"][0]


def test_a_file_of_another_network_is_a_misfit_and_its_digest_is_not_patched(run, zoo, publisher):
    publisher.publish("/first/MODEL.pkl", caffe2(pred_b=lambda blobs: blobs["pred_b"][:-1]))
    code, links, found = probed(run, "first", "--online", "--fetch")
    assert (code, links["first"]["fetched"], links["first"]["proved"]) == (1, True, False)
    assert found["patch"]["text"] == ""
    assert found["misfits"][0].startswith("first: http://127.0.0.1")


def test_another_digest_than_somebody_reported_is_told_and_another_container_is_corrected(run, zoo, tmp_path):
    stated = f'container: "torch"\n      reported_sha256: "{"f" * 64}"'
    zoo.write_text(zoo.read_text().replace('container: "caffe2"', stated, 1))
    code, links, found = probed(run, "first", "--online", "--fetch")
    assert code == 1
    reported, container = links["first"]["misfits"]
    assert reported == f"has sha256 {SHA256}, and somebody reported {'f' * 64}"
    assert container == "is a file of caffe2, and the registry states torch"
    apply(tmp_path, found["patch"]["text"])
    assert registry.record("first").checkpoint.container == "caffe2"


def test_where_connections_are_forbidden_nothing_is_asked(run, zoo, publisher, monkeypatch):
    monkeypatch.setenv("VIDEOHUB_OFFLINE", "1")
    code, _, err = run("registry", "probe", "first", "--online")
    assert (code, publisher.log) == (4, [])
    assert "VIDEOHUB_OFFLINE forbids connections" in err


def test_a_pattern_names_several_and_a_misspelt_name_is_an_error(run, zoo):
    links = json.loads(json.dumps(run("registry", "probe", "tv_*_18", "first", "--json")[1]))["links"]
    assert [link["record"] for link in links] == ["tv_mc3_18", "tv_r3d_18", "tv_r2plus1d_18", "first"]
    assert run("registry", "probe", "frist")[0] == 2

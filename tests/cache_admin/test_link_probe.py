"""Whoever reaches the publishers has what lies behind their links, as one patch and one list of what did not fit."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.cache_admin.cache_files import NAME, PUBLISHED, SHA256, caffe2, narrow
from tests.hub.publisher import LOG_IN, gzipped, headed, ignoring_ranges, redirecting, refusing
from videohub import registry
from videohub.hub import http_request
from videohub.weights import convert_file


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(http_request, "PAUSE_S", 0)
    monkeypatch.setattr(http_request, "READ_S", 1.0)
    monkeypatch.setattr(http_request, "ATTEMPTS", 3)


def methods(publisher):
    return [exchange.method for exchange in publisher.log]


def probed(run, *arguments):
    """The exit code, and what was seen, by record."""
    code, result, _ = run("registry", "probe", *arguments, "--json")
    return code, {link["record"]: link for link in result["links"]}, result


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
    code, links, result = probed(run, "first", "--online", "--fetch")
    assert code == 0
    assert (links["first"]["sha256"], links["first"]["container"], links["first"]["proved"]) == (SHA256, "caffe2", True)
    apply(tmp_path, result["patch"]["text"])
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
    code, links, result = probed(run, "first", "--online", "--fetch")
    assert code == 1
    assert misfit in links["first"]["misfits"][0]
    assert result["patch"]["text"] == ""


@pytest.mark.parametrize("to_head", [403, 404, 405, 501])
@pytest.mark.parametrize("ranges", [True, False], ids=["with ranges", "without ranges"])
def test_where_head_is_refused_the_first_bytes_tell_the_size(run, zoo, publisher, contents, tmp_path, to_head, ranges):
    def refused(asked, serve):
        return refusing(to_head)(asked, serve) if asked.method == "HEAD" else serve(asked)

    behaviours = [refused] if ranges else [refused, ignoring_ranges]
    publisher.publish("/first/MODEL.pkl", contents[0], *behaviours)
    code, links, result = probed(run, "first", "--online")
    seen = links["first"]
    assert (code, seen["asked_with"], seen["status"]) == (0, "GET", 206 if ranges else 200)
    apply(tmp_path, result["patch"]["text"])
    assert registry.record("first").checkpoint.size == len(contents[0])


def test_an_empty_file_is_a_misfit_and_its_size_is_not_patched(run, zoo, publisher):
    publisher.publish("/first/MODEL.pkl", b"")
    code, links, result = probed(run, "first", "--online", "--fetch")
    assert (code, links["first"]["misfits"], result["patch"]["text"]) == (1, ["is empty"], "")


@pytest.mark.parametrize("etag", [None, 'W/"5"'])
def test_a_file_without_a_strong_etag_is_fetched_and_proved(run, zoo, publisher, contents, etag):
    publisher.publish("/first/MODEL.pkl", contents[0], headed({"ETag": etag}))
    code, links, _ = probed(run, "first", "--online", "--fetch")
    seen = links["first"]
    assert (code, seen["etag"], seen["sha256"], seen["proved"]) == (0, etag, SHA256, True)


def test_what_is_compressed_on_its_way_is_proved_and_its_own_size_patched(run, zoo, publisher, contents, tmp_path):
    publisher.publish("/first/MODEL.pkl", contents[0], gzipped())
    code, links, result = probed(run, "first", "--online", "--fetch")
    assert (code, links["first"]["proved"]) == (0, True)
    apply(tmp_path, result["patch"]["text"])
    file = registry.record("first").checkpoint
    assert (file.size, file.sha256) == (len(contents[0]), SHA256)


@pytest.mark.slow
@pytest.mark.parametrize("cached", [False, True], ids=["", "in huggingface_hub's cache"])
def test_an_address_of_hugging_face_is_asked_at_its_endpoint(zoo, publisher, contents, tmp_path, cached):
    """In a process of its own: huggingface_hub reads its environment when it is imported."""
    path, commit = "/org/repo/resolve/v1/weights/MODEL.pkl", "0123456789abcdef0123456789abcdef01234567"
    zoo.write_text(
        zoo.read_text().replace(registry.record("first").checkpoint.url, "hf://org/repo/weights/MODEL.pkl@v1")
    )
    publisher.publish(path, b"", redirecting(publisher.url("/storage/first")))
    publisher.publish("/storage/first", contents[0])
    if cached:
        repository = tmp_path / "hf" / "hub" / "models--org--repo"
        file = repository / "snapshots" / commit / "weights" / "MODEL.pkl"
        file.parent.mkdir(parents=True)
        file.write_bytes(contents[0])
        (repository / "refs").mkdir()
        (repository / "refs" / "v1").write_text(commit)
    settings = {"HF_ENDPOINT": publisher.url(""), "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": "hf_secret"}
    command = [sys.executable, "-m", "videohub", "registry", "probe", "first", "--online", "--fetch", "--json"]
    done = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    (seen,) = result["links"]
    assert (seen["asked_with"], seen["status"], seen["size"]) == ("HEAD", 200, len(contents[0]))
    assert (seen["sha256"], seen["proved"]) == (SHA256, True)
    assert [exchange.method for exchange in publisher.log] == ["HEAD", "HEAD"] + ["GET", "GET"] * (not cached)
    assert publisher.asked("authorization")[0] == "Bearer hf_secret"
    apply(tmp_path, result["patch"]["text"])
    assert registry.record("first").checkpoint.sha256 == SHA256


def test_an_address_of_hugging_face_where_nothing_is_says_so(zoo, publisher, tmp_path):
    url = registry.record("first").checkpoint.url
    zoo.write_text(zoo.read_text().replace(url, "hf://org/repo/MODEL.pkl@v1"))
    settings = {"HF_ENDPOINT": publisher.url(""), "HF_HOME": str(tmp_path / "hf")}
    command = [sys.executable, "-m", "videohub", "registry", "probe", "first", "--online"]
    done = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "first: hf://org/repo/MODEL.pkl@v1: answers 404 Not Found" in done.stdout


def test_another_size_than_the_registry_s_is_a_misfit_and_nothing_is_fetched(run, zoo, publisher):
    zoo.write_text(zoo.read_text().replace("size: null", "size: 12", 1))
    code, links, result = probed(run, "first", "--online", "--fetch")
    assert (code, result["patch"]["text"], methods(publisher)) == (1, "", ["HEAD"])
    assert "and the registry states 12" in links["first"]["misfits"][0]


def test_a_file_of_another_network_is_a_misfit_and_its_digest_is_not_patched(run, zoo, publisher):
    publisher.publish("/first/MODEL.pkl", caffe2(pred_b=lambda blobs: blobs["pred_b"][:-1]))
    code, links, result = probed(run, "first", "--online", "--fetch")
    assert (code, links["first"]["fetched"], links["first"]["proved"]) == (1, True, False)
    assert result["patch"]["text"] == ""
    assert result["misfits"][0].startswith("first: http://127.0.0.1")


def test_another_digest_than_somebody_reported_is_told_and_another_container_is_corrected(run, zoo, tmp_path):
    stated = f'container: "torch"\n      reported_sha256: "{"f" * 64}"'
    zoo.write_text(zoo.read_text().replace('container: "caffe2"', stated, 1))
    code, links, result = probed(run, "first", "--online", "--fetch")
    assert code == 1
    reported, container = links["first"]["misfits"]
    assert reported == f"has sha256 {SHA256}, and somebody reported {'f' * 64}"
    assert container == "is a file of caffe2, and the registry states torch"
    apply(tmp_path, result["patch"]["text"])
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


def test_a_fetched_file_without_a_fingerprint_gets_one_and_one_with_a_wrong_one_is_a_misfit(run, zoo, tmp_path):
    apply(tmp_path, probed(run, "first", "second", "--online", "--fetch")[2]["patch"]["text"])
    (answer,) = registry.record("first").known_answers
    assert answer.is_fingerprint
    text = zoo.read_text()
    place = text.index("rms: ", text.index("  first:")) + len("rms: ")
    zoo.write_text(text[:place] + "100" + text[place:])
    code, links, _ = probed(run, "first", "second", "--online", "--fetch")
    assert code == 1
    assert links["second"]["misfits"] == []
    assert "does not give what is known of its outputs; the likelier cause is weights" in links["first"]["misfits"][0]


def test_keys_that_another_layout_spells_so_are_a_misfit_and_give_no_fingerprint(run, zoo, publisher, tmp_path):
    convert_file(PUBLISHED, NAME, tmp_path / "other.pyth", layout="pyslowfast")
    publisher.publish("/first/MODEL.pkl", (tmp_path / "other.pyth").read_bytes())
    zoo.write_text(zoo.read_text().replace('container: "caffe2"', "container: null"))
    code, links, result = probed(run, "first", "--online", "--fetch")
    assert (code, links["first"]["proved"], links["first"]["container"]) == (1, True, "torch")
    assert links["first"]["misfits"] == ["spells its keys as pyslowfast does, and the registry states caffe2"]
    assert (links["first"]["fingerprint"], "known_answers" in result["patch"]["text"]) == (None, False)

"""Buckets and the hub, each by a server of its kind on this machine: moto's s3, and stand-ins of the others' APIs."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from urllib.parse import quote

import huggingface_hub
import pytest

from tests.hub import publisher as publishers
from tests.storage import faulty_server
from videohub import storage
from videohub.errors import DownloadError, FileChangedError, FileMissingError, UsageError
from videohub.storage import buckets
from videohub.storage.ranges import Range, read_ahead

CONTENT = bytes(i * 7 % 251 for i in range(100_000))

pytestmark = pytest.mark.usefixtures("impatient")


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    """Credentials and endpoints are found anew by each test."""
    monkeypatch.setattr(buckets, "_filesystems", {})
    monkeypatch.setattr(buckets, "_touched", set())
    monkeypatch.setattr(buckets, "_led_to", {})


# --- s3 --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def moto():
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def bucket(moto, monkeypatch):
    """A client of a bucket `kinetics` that is empty; the environment names the server and the keys."""
    boto3 = pytest.importorskip("boto3")
    pytest.importorskip("s3fs")
    for name, value in {
        "AWS_ENDPOINT_URL": moto,
        "AWS_ACCESS_KEY_ID": "AKIAALICE",
        "AWS_SECRET_ACCESS_KEY": "hunter2",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="kinetics")
    yield client
    for result in client.list_objects_v2(Bucket="kinetics").get("Contents", []):
        client.delete_object(Bucket="kinetics", Key=result["Key"])
    client.delete_bucket(Bucket="kinetics")


def put(client, key, content):
    client.put_object(Bucket="kinetics", Key=key, Body=content)
    return f"s3://kinetics/{key}"


def test_s3_gives_ranges_and_versions(bucket):
    location = put(bucket, "a b/val-000.tar", CONTENT)
    stat = storage.stat(location)
    assert stat == storage.Stat(100_000, publishers.validators(CONTENT)["ETag"])  # s3's is the MD5, too
    assert storage.read_range(location, 3, 6, version=stat.version) == bytes([21, 28, 35])
    assert storage.read_range(location, 10, 99_000) == CONTENT[10:99_000]
    put(bucket, "a b/val-000.tar", CONTENT[::-1])
    with pytest.raises(FileChangedError, match=r"s3://kinetics/a b/val-000\.tar: has changed"):
        storage.read_range(location, 3, 6, version=stat.version)


def test_s3_urls_are_signed_as_every_region_takes_them(bucket):
    location = put(bucket, "val.tar", CONTENT)
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256&" in buckets.address_of(location).url
    assert buckets._signing({"s3": {"config_kwargs": {"s3": {"addressing_style": "path"}}}}) == {
        "signature_version": "s3v4",
        "s3": {"addressing_style": "path"},
    }


def test_s3_lists_what_stars_find(bucket):
    for name in ("val/b.tar", "val/a.tar", "val/a.txt", "train/c.tar"):
        put(bucket, name, b"x")
    assert storage.expand("s3://kinetics/val/*.tar") == ["s3://kinetics/val/a.tar", "s3://kinetics/val/b.tar"]
    put(bucket, "val/c.tar", b"x")
    assert len(storage.expand("s3://kinetics/val/*.tar")) == 3  # and not what was there before
    with pytest.raises(UsageError, match="matches no file"):
        storage.expand("s3://kinetics/test/*.tar")
    with pytest.raises((DownloadError, UsageError)):
        storage.expand("s3://nobodys/*.tar")


def test_what_s3_does_not_have_is_missing(bucket):
    put(bucket, "val.tar", CONTENT)
    for location in ("s3://kinetics/none.tar", "s3://nobodys/none.tar"):
        with pytest.raises(FileMissingError, match=location):
            storage.stat(location)
    storage.stat("s3://kinetics/val.tar")
    with pytest.raises(FileMissingError):
        storage.stat("s3://kinetics/none.tar")
    with pytest.raises(UsageError, match="expected s3://bucket/path"):
        storage.stat("s3://kinetics")


def test_without_credentials_s3_says_where_they_are_looked_for(bucket, monkeypatch, tmp_path):
    location = put(bucket, "val.tar", CONTENT)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(DownloadError, match="AWS_PROFILE"):
        storage.stat(location)


def _read(location, start, results):
    data = dict(read_ahead([(start, Range(location, start, start + 1000))]))
    results.put((start, data[start]))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_read_s3_beside_their_parent(bucket, method):
    location = put(bucket, "val.tar", CONTENT)
    assert storage.read_range(location, 0, 5) == CONTENT[:5]
    context = multiprocessing.get_context(method)
    results = context.Queue()
    children = [context.Process(target=_read, args=(location, start, results)) for start in (1000, 50_000)]
    for child in children:
        child.start()
    result = dict(results.get(timeout=50) for _ in children)
    assert result == {start: CONTENT[start : start + 1000] for start in (1000, 50_000)}
    for child in children:
        child.join()
    assert storage.read_range(location, 7, 9) == CONTENT[7:9]


def test_no_s3_error_holds_what_was_signed(bucket, publisher, monkeypatch):
    location = put(bucket, "val.tar", CONTENT)
    storage.stat(location)
    signed = []
    for fault in (
        *faulty_server.FAULTS.values(),
        publishers.refusing(403, body=b"<Error><Code>No</Code>hunter2</Error>"),
    ):

        def misled(self, path, fault=fault, **_):
            signed.append(publisher.publish("/kinetics/val.tar?X-Amz-Signature=hunter2", CONTENT, fault))
            return signed[-1]

        monkeypatch.setattr(type(buckets._filesystem("s3")), "url", misled)
        with pytest.raises((DownloadError, FileChangedError)) as caught:
            storage.read_range(location, 20_000, 60_000, version='"none"')
        assert str(caught.value).startswith("s3://kinetics/val.tar: ")
        assert "hunter2" not in str(caught.value)
        assert "X-Amz" not in str(caught.value)
    assert signed
    assert "403 Forbidden, No" in str(caught.value)


# --- gs --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def google(publisher, monkeypatch):
    """A stand-in of Google's storage, whose objects are put there with `publish`."""
    pytest.importorskip("gcsfs")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", publisher.url(""))
    monkeypatch.setenv("FSSPEC_GS_TOKEN", "anon")

    def publish(key, content, generation="7"):
        path = f"/download/storage/v1/b/kinetics/o/{quote(key, safe='')}?alt=media"
        publisher.publish(path, content, publishers.headed({"x-goog-generation": generation, "ETag": None}))
        return f"gs://kinetics/{key}"

    return publish


def test_gs_gives_ranges_and_generations(google):
    location = google("val/val-000.tar", CONTENT)
    stat = storage.stat(location)
    assert stat == storage.Stat(100_000, "generation 7")
    assert storage.read_range(location, 3, 6, version=stat.version) == bytes([21, 28, 35])
    google("val/val-000.tar", CONTENT, generation="8")
    with pytest.raises(FileChangedError, match="found version generation 8, expected generation 7"):
        storage.read_range(location, 3, 6, version=stat.version)
    with pytest.raises(FileMissingError, match=r"gs://kinetics/val/none\.tar"):
        storage.stat("gs://kinetics/val/none.tar")


def test_gs_lists_what_stars_find(google, publisher):
    items = [{"name": f"val/{name}", "bucket": "kinetics", "size": "1"} for name in ("b.tar", "a.tar", "a.txt")]

    def listing(asked, serve):
        return publishers._answer(200, {"Content-Type": "application/json"}, json.dumps({"items": items}).encode())

    answer = publisher.answer
    publisher.answer = lambda asked: (
        listing(asked, None) if asked.path.startswith("/storage/v1/b/kinetics/o") else answer(asked)
    )
    assert storage.expand("gs://kinetics/val/*.tar") == ["gs://kinetics/val/a.tar", "gs://kinetics/val/b.tar"]


# --- hf --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(publisher, monkeypatch):
    """A stand-in of the hub, whose large files lie on another host, as they do; `publish` puts them there."""
    from huggingface_hub import HfFileSystem

    ours = HfFileSystem(endpoint=publisher.url(""), skip_instance_cache=True)  # as HF_ENDPOINT makes it
    monkeypatch.setattr(buckets, "_filesystems", {(os.getpid(), "hf"): ours})
    monkeypatch.setenv("HF_TOKEN", "hf_hunter2")

    def publish(file, content, digest="9f", revision="main", *behaviours):
        there = publisher.publish(f"/cdn/{digest}?X-Amz-Signature=hunter2", content, *behaviours)
        path = f"/datasets/org/kinetics/resolve/{quote(revision, safe='')}/{file}"
        publisher.publish(
            path,
            b"",
            lambda asked, serve: publishers._answer(
                302, {"Location": there.replace("127.0.0.1", "localhost"), "X-Linked-ETag": f'"{digest}"'}, b""
            ),
        )
        return f"hf://datasets/org/kinetics@{revision}/{file}"

    return publish  # fmt: skip


def test_hf_gives_ranges_and_digests(hub, publisher):
    location = hub("val/val-000.tar", CONTENT)
    stat = storage.stat(location)
    assert stat == storage.Stat(100_000, '"9f"')
    assert publisher.asked("authorization") == ["Bearer hf_hunter2", None]  # not for the host that it leads to
    assert storage.read_range(location, 3, 6, version=stat.version) == bytes([21, 28, 35])


def test_the_hub_is_not_asked_for_each_range_but_again_after_a_while(hub, publisher, monkeypatch):
    location = hub("val.tar", CONTENT)
    version = storage.stat(location).version
    publisher.log.clear()
    for start in range(5):
        assert storage.read_range(location, start, start + 3, version=version) == CONTENT[start : start + 3]
    assert [path.partition("?")[0] for path in publisher.requests] == ["/cdn/9f"] * 5
    assert publisher.asked("authorization") == [None] * 5
    hub("val.tar", CONTENT[::-1], digest="a0")  # what is under the digest stays what it was
    assert storage.read_range(location, 3, 6, version=version) == bytes([21, 28, 35])
    monkeypatch.setattr(buckets, "_led_to", {at: (led, 0.0) for at, (led, _) in buckets._led_to.items()})
    with pytest.raises(FileChangedError):
        storage.read_range(location, 3, 6, version=version)
    assert storage.stat(location).version == '"a0"'


def test_where_the_hub_led_and_nothing_is_any_more_it_is_asked_again(hub, publisher):
    location = hub("val.tar", CONTENT)
    version = storage.stat(location).version
    (path,) = [path for path in publisher.files if path.startswith("/cdn/")]
    publisher.publish(path, CONTENT, publishers.first(1, publishers.refusing(403)))  # the signature has expired
    publisher.log.clear()
    assert storage.read_range(location, 3, 6, version=version) == bytes([21, 28, 35])
    assert [exchange.status for exchange in publisher.log] == [403, 302, 206]
    publisher.publish(path, CONTENT, publishers.refusing(403))
    with pytest.raises(DownloadError, match="403 Forbidden"):
        storage.read_range(location, 3, 6, version=version)


def test_a_revision_of_the_hub_is_a_branch_a_commit_or_a_pull_request(hub):
    for revision in ("v1.0", "0123456789abcdef0123456789abcdef01234567", "refs/pr/3"):
        location = hub("val.tar", CONTENT, revision=revision)
        assert storage.read_range(location, 3, 5) == bytes([21, 28])
    hub("val.tar", CONTENT)
    assert storage.read_range("hf://datasets/org/kinetics/val.tar", 3, 5) == bytes([21, 28])


def test_what_the_hub_does_not_have_or_hand_out_is_told_with_what_to_do(hub, publisher):
    hub("val.tar", CONTENT)
    with pytest.raises(FileMissingError, match=r"hf://datasets/org/kinetics@main/none\.tar"):
        storage.stat("hf://datasets/org/kinetics@main/none.tar")
    publisher.publish("/datasets/org/kinetics/resolve/main/gated.tar", b"", publishers.refusing(401))
    with pytest.raises(DownloadError, match="hf auth login"):
        storage.stat("hf://datasets/org/kinetics@main/gated.tar")
    for location in ("hf://datasets/org/kinetics@main", "hf://val.tar", "hf://datasets/org/kinetics/../val.tar"):
        with pytest.raises(UsageError, match="expected hf://datasets/org/name@revision/path"):
            storage.stat(location)


@pytest.mark.skipif(huggingface_hub.__version__ < "1", reason="the stand-in answers what version 1 asks")
def test_the_hub_lists_what_stars_find(hub, publisher):
    names = ("val/b.tar", "val/a.tar", "val/c.txt")
    text = {
        "/api/datasets/org/kinetics/revision/v1": {"id": "org/kinetics", "sha": "0" * 40},
        "/api/datasets/org/kinetics/tree/v1": [{"type": "directory", "path": "val", "oid": "0" * 40}],
        "/api/datasets/org/kinetics/tree/v1/val": [
            {"type": "file", "path": name, "size": 1, "oid": "0" * 40} for name in names
        ],
    }

    def answering(asked):
        body = json.dumps(text[asked.path.partition("?")[0]]).encode()
        return publishers._answer(200, {"Content-Type": "application/json"}, body)

    publisher.answer = answering
    expected = ["hf://datasets/org/kinetics@v1/val/a.tar", "hf://datasets/org/kinetics@v1/val/b.tar"]
    assert storage.expand("hf://datasets/org/kinetics@v1/val/*.tar") == expected


def test_the_hub_s_endpoint_and_token_are_those_of_its_library(hub, publisher, tmp_path):
    location = hub("val.tar", CONTENT)
    publisher.log.clear()
    code = f"from videohub import storage; print(storage.read_range({location!r}, 3, 6).hex())"
    settings = {**os.environ, "HF_ENDPOINT": publisher.url(""), "HF_HOME": str(tmp_path)}
    text = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=settings).stdout
    assert text.strip() == bytes([21, 28, 35]).hex()
    assert publisher.asked("authorization") == ["Bearer hf_hunter2", None]


@pytest.mark.parametrize("fault", sorted(faulty_server.FAULTS))
def test_after_a_fault_of_the_host_behind_the_hub_the_bytes_are_right(hub, fault, monkeypatch):
    monkeypatch.setattr("videohub.storage.http_ranges.WHOLE", 50_000)
    location = hub("val.tar", CONTENT, "9f", "main", publishers.first(2, faulty_server.FAULTS[fault]))
    assert storage.read_range(location, 20_000, 60_000, version='"9f"') == CONTENT[20_000:60_000]


# --- libraries that are not there -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("scheme", "library"), [("s3", "s3fs"), ("gs", "gcsfs"), ("s3", "fsspec")])
def test_a_missing_library_is_named_with_what_brings_it(scheme, library):
    code = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from videohub import errors, storage\n"
        "try:\n"
        f"    storage.stat('{scheme}://bucket/val.tar')\n"
        "except errors.UsageError as error:\n"
        "    print(error)\n"
    )
    text = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert "pip install '.[remote]' in the repository" in text


def test_the_settings_that_messages_name_are_those_of_the_libraries():
    code = (
        "import fsspec\n"
        "print(fsspec.filesystem('s3').anon, type(fsspec.filesystem('gs').credentials.credentials).__name__)\n"
    )
    settings = {**os.environ, "FSSPEC_S3_ANON": "true", "FSSPEC_GS_TOKEN": "anon"}
    text = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=settings).stdout
    assert text.title().split() == ["True", "Nonetype"]  # an older fsspec keeps the word, which counts as much

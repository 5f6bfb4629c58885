"""Verifying videos whose header contradicts their content: each is named, and the report tells what hangs on them."""

from __future__ import annotations

import pytest

import videohub
from tests.data.contradicted_videos import VIDEOS, write
from tests.reporting.kept import kept as kept_run
from tests.reporting.kept import record, ten
from videohub import runs
from videohub.reporting import pages
from videohub.verification import verify
from videohub.verification.results import build

NAME = "tiny_kinetics"


@pytest.fixture
def listing(tmp_path):
    """Videos of every kind, and one with nothing to say about."""
    lines = []
    for number, name in enumerate(VIDEOS):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        lines.append(f"{VIDEOS[name].write(folder).rename(tmp_path / name.replace(' ', '_'))} 3")
    lines.append(f"{write(tmp_path / 'plain.mp4')} 3")
    (tmp_path / "list.csv").write_text("\n".join(lines))
    return tmp_path / "list.csv"


@pytest.mark.parametrize("workers", [0, 1])
def test_each_such_video_is_named_with_its_kinds_or_failed_with_the_originals_reason(zoo, listing, tmp_path, workers):
    messages = verify(NAME, listing, out=tmp_path / "run", workers=workers)
    named = {video.name.rpartition("/")[2].replace("_", " "): video.kinds for video in messages.contradicted}
    failed = {failure.name.rpartition("/")[2].replace("_", " "): failure.reason for failure in messages.failures}
    refused = {name: video for name, video in VIDEOS.items() if isinstance(video.original, str)}
    assert named.keys() == VIDEOS.keys() - refused.keys()
    assert all(set(kinds) == VIDEOS[name].kinds for name, kinds in named.items())
    assert failed.keys() == refused.keys()
    assert all(video.original in failed[name] for name, video in refused.items())
    assert [one.recomputed for one in messages.without_contradicted] == [
        one.recomputed for one in verify(NAME, plain_list(listing), workers=0).comparisons
    ]
    by_header = [name for name in refused if name != "raw"]  # whose frames, not its header, lack something
    assert messages.reasons[-1] == (
        f"{len(by_header)} videos failed because the original's reader refuses their headers"
    )
    again = videohub.evaluate(NAME, listing, out=tmp_path / "run")
    assert again.contradicted == messages.contradicted


def plain_list(listing):
    plain = listing.with_name("plain.csv")
    plain.write_text(listing.read_text().splitlines()[-1])
    return plain


def marked(folder, of, samples, odd):
    """Keep a run whose videos of some names have a late first time stamp."""
    run = kept_run(folder / "plain", of, samples)
    again = runs.open_run(folder / "marked", run.identity, run.truth)
    with again.writer(run.made_by[0]) as writer:
        for entry in run.entries.values():
            messages = (("first time stamp", "at 5.00 s"),) if entry.name in odd else ()
            writer.append(entry.index, entry.name, entry.views, entry.scores, contradictions=messages)
    return runs.join([folder / "marked"])


def test_a_verdict_that_hangs_on_such_videos_says_so(tmp_path):
    # 400 videos, 200 right: 50.00, as published; without 100 of the wrong ones 200 of 300 are, 66.67
    samples = [(f"v{number}", *rest) for number, (_, *rest) in enumerate(ten(200, of=400))]
    of = record(published={"top1": 50.0})
    joined = marked(tmp_path, of, samples, {f"v{number}" for number in range(300, 400)})
    messages = build(joined, of)
    assert messages.verdict == "consistent"
    assert [round(one.recomputed, 2) for one in messages.without_contradicted] == [66.67]
    assert messages.reasons[-1] == (
        "100 scored videos with a header that contradicts the content (first time stamp: 100), read as the original "
        "reads them; without them top-1 is 66.67 and the verdict would be inconsistent: it hangs on them"
    )
    for page in (pages.html(messages), pages.markdown(messages)):
        assert "v300" in page
        assert "at 5.00 s" in page
        assert "66.67" in page


def test_a_verdict_that_does_not_hang_on_them_says_that(tmp_path):
    # 200 of 400 are right, and 199 of the other 399
    samples = [(f"v{number}", *rest) for number, (_, *rest) in enumerate(ten(200, of=400))]
    of = record(published={"top1": 50.0})
    messages = build(marked(tmp_path, of, samples, {"v0"}), of)
    assert messages.reasons[-1].endswith("without it top-1 is 49.87 and the verdict is the same")


def test_where_all_scored_videos_are_such_that_is_told(tmp_path):
    of = record()
    messages = build(marked(tmp_path, of, ten(5), {f"v{number}" for number in range(10)}), of)
    assert messages.without_contradicted == []
    assert messages.reasons[-1].endswith("; no other video was scored")


def test_a_run_without_such_videos_is_kept_and_told_as_before(tmp_path):
    of = record()
    run = marked(tmp_path, of, ten(5), set())
    for file in tmp_path.rglob("*.scores"):
        assert b"contradict" not in file.read_bytes()  # older versions refuse a note with a field they do not know
    messages = build(run, of)
    assert (messages.contradicted, messages.without_contradicted) == ([], [])
    assert "contradict" not in pages.html(messages) + pages.markdown(messages)

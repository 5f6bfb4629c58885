"""A registry file that breaks the schema is refused, and the message leads to the place."""

from __future__ import annotations

import dataclasses
import re

import msgspec
import pytest

from videohub import architectures, registry
from videohub.errors import RegistryError
from videohub.metrics import metric
from videohub.registry import writer
from videohub.registry.messages import BrokenRegistryError


def refusal(file, old, new):
    """The message for the company's registry with `old` replaced by `new`."""
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(RegistryError) as caught:
        registry.load(file)
    return str(caught.value).removeprefix(f"{file}: ")


def test_a_file_in_the_schema_is_read(company):
    record = registry.load(company).records["company_slow"]
    assert (record.name, record.protocol.name, record.protocol.num_views) == ("company_slow", "company_video", 30)
    assert (record.number.top1, record.number.top5) == (91.0, None)


def test_a_relative_url_is_taken_from_the_registrys_folder(company):
    url = registry.load(company).records["company_slow"].checkpoint.url
    assert url == (company.parent.resolve() / "weights" / "company slow.pth").as_uri()
    assert url.startswith("file:///")
    assert url.endswith("/weights/company%20slow.pth")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "    rate: 8\n",
            "    rat: 8\n",
            "company_slow: rat is not a field of the schema.\n  Line 24. Did you mean rate?",
        ),
        ("width: 64", "widht: 64", "company_slow: model.widht is not a field of the schema.\n"),
        ("    rate: 8\n", "", "company_slow: rate is missing.\n"),
        ("window: 7", "size: 7", "company_slow: model.head.size is not a field of the schema.\n"),
        ("depth: R50, ", "", "company_slow: model.depth is missing.\n"),
        ("    protocol: company_video\n", "", "company_slow: protocol is missing.\n"),
        ("      clips: 10\n", "", "protocol company_video: views.clips is missing.\n"),
        ("upstream_name:", "name: x\n    upstream_name:", "company_slow: name is not a field of the schema.\n"),
    ],
)
def test_an_unknown_or_missing_field_is_named(company, old, new, expected):
    assert refusal(company, old, new).startswith(expected)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("rate: 8\n", 'rate: "8"\n', 'company_slow: rate is "8", expected a whole number or null.\n  Line 24.'),
        ("depth: R50", "depth: 50", "company_slow: model.depth is 50, expected text or a list."),
        ("depth: R50", "depth: R51", 'company_slow: model.depth is "R51", expected one of R101, R152, R18, R50'),
        ("width: 64", "width: 64.0", "company_slow: model.width is 64.0, expected a whole number."),
        ("width: 64", "width: true", "company_slow: model.width is true, expected a whole number."),
        ("width: 64", "width: 0", "company_slow: model.width is 0, expected a whole number >= 1."),
        ("width: 64", "width: 900000000", "company_slow: model.width is 900000000, expected a whole number <= 65536."),
        ("top1: 91", "top1: 0.91", "company_slow: published[0] gives top-1 below 1.\n"),
        ("top1: 91", "top1: 91, top5: 50", "company_slow: published[0].top5 is 50, less than top1, 91."),
        ("depth: R50", "depth: [900, 99, 1, 1]", "company_slow: model has 1,001 blocks, expected at most 1,000."),
        ("depth: R50", "depth: [3, 4]", "company_slow: model.depth has 2 items, expected 4."),
        ("[start, centre, end]", "[]", "protocol company_video: views.crops has 0 items, expected at least 1."),
        ("notes: []", 'notes: []\n    aliases: [""]', 'company_slow: aliases[0] is "", expected text of length >= 1.'),
        ("notes: []", "notes: [1]", "company_slow: notes[0] is 1, expected text."),
        ("top1: 91", "top1: 910", "company_slow: published[0].top1 is 910, expected a number <= 100.0."),
        ("sha256: null", "sha256: 91c3", 'company_slow: checkpoint.sha256 is "91c3", expected text'),
        ("clip: {frames: 8, sampling_rate: 8}", "clip: 8", "company_slow: clip is 8, expected a mapping."),
        ("status: available", "status: ok", 'company_slow: status is "ok", expected one of available, broken, man'),
        ("family: resnet", "family: fast", 'company_slow: model.family is "fast", expected one of '),
        ("variant: slow", "variant: fast", 'company_slow: model.variant is "fast", expected one of c2d, i3d, '),
        ("kind: average_window", "kind: max", 'company_slow: model.head.kind is "max", expected one of average_wind'),
        ("stride: 2", "stride: 4", "company_slow: model.res5.stride is 4, expected one of 1, 2."),
        ("metric: topk", "metric: top", 'protocol company_video: metric is "top", expected one of ava_map, ava_map_mm'),
        ("mean: [0.45,", "mean: [high,", 'protocol company_video: pixels[1].mean[0] is "high", expected a number.'),
    ],
)
def test_a_mistyped_field_is_named_with_what_was_found_and_expected(company, old, new, expected):
    assert refusal(company, old, new).startswith(expected)


def test_a_key_of_a_mapping_and_a_value_under_any_key_are_checked_too(company):
    block = "non_local: {after: {res9: [1]}, affinity: softmax, pool: [1, 2, 2]}"
    message = refusal(company, "non_local: null", block)
    assert 'model.non_local.after has a key that is "res9", expected one of res2, res3, res4, res5' in message
    message = refusal(company, "res9: [1]", "res4: [one]")
    assert 'model.non_local.after.res4[0] is "one", expected a whole number' in message


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("    rate: 8\n", "    rate: 8\n    rate: 16\n", "company_slow: rate stands twice, in lines 24 and 25."),
        ("width: 64", "width: 64, width: 32", "company_slow: model.width stands twice, in lines 26 and 26."),
        ("records:\n", "records: {}\nrecords:\n", "records stands twice, in lines 20 and 21."),
    ],
)
def test_a_key_that_stands_twice_is_refused_with_both_lines(company, old, new, expected):
    assert refusal(company, old, new).startswith(expected)


@pytest.mark.parametrize(
    ("written", "taken"),
    [
        ("no", "false"),
        ("on", "true"),
        ("2_2", "22"),
        ("0123", "83"),
        ("1:30", "90"),
        ("0x10", "16"),
        (".inf", "Infinity"),
        ("2020-06-09", "a timestamp"),
    ],
)
def test_text_that_yaml_takes_for_something_else_has_to_be_quoted(company, written, taken):
    message = refusal(company, "training: standard", f"training: {written}")
    assert message.startswith(
        f"company_slow: training is `{written}`, which YAML takes for {taken}.\n  Line 38. Quote it"
    )
    company.write_text(company.read_text().replace(f"training: {written}", f'training: "{written}"'))
    assert registry.load(company).records["company_slow"].training == written


def test_a_field_left_empty_is_not_null(company):
    assert refusal(company, "size: null", "size:").startswith("company_slow: checkpoint.size has no value.\n  Line 33.")


def test_a_key_that_is_not_text_is_refused(company):
    assert "records has the key `no`, which is not text" in refusal(company, "company_slow:", "no:")


def test_an_anchor_is_fine_and_a_loop_or_a_merge_is_not(company):
    text = company.read_text().replace("  company_video:", "  company_video: &video")
    text = text.replace("records:\n", "  same: *video\nrecords:\n").replace("protocol: company_video", "protocol: same")
    company.write_text(text)
    protocol = registry.load(company).records["company_slow"].protocol
    assert (protocol.name, protocol.crop_size, protocol.short_side) == ("same", 256, 256)
    assert "notes[0] contains itself" in refusal(company, "notes: []", "notes: &loop [*loop]")
    message = refusal(company, "same: *video", "same:\n    <<: *video\n    split: val")
    assert message.startswith("protocol same has a merge (`<<`), which is not read.\n  Line 21. Write the fields out")


def test_of_more_protocols_than_can_be_looked_through_the_three_nearest_are_offered(tmp_path):
    """Every name of the zoo's filled a screen, and was cut in its middle."""
    draft = writer.draft(registry.record("slowfast_r50_8x8"), "ours")
    (tmp_path / "ours.yaml").write_text(re.sub("protocol: .*", "protocol: kinetics_30vew", draft))
    with pytest.raises(RegistryError) as caught:
        registry.default([tmp_path / "ours.yaml"])
    message = str(caught.value)
    assert "Did you mean kinetics_30view, " in message
    assert "Known: " not in message


@pytest.mark.parametrize("name", ["class", "2slow", "company-slow", "_slow", "company slow"])
def test_a_name_must_be_usable_in_python_and_torch_hub(company, name):
    assert refusal(company, "company_slow:", f'"{name}":').startswith(f"{name} is not a name that Python and torch.hub")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "protocol: company_video",
            "protocol: kinetics",
            'protocol is "kinetics", which is no known protocol.\n  Line 29. Known: company_video.',
        ),
        ("pretrain: null", "pretrain: nobody", 'pretrain is "nobody", which is no record.'),
        ("status: available", "status: unreleased", "checkpoint.url is given, and the status is unreleased."),
        ('url: "weights/company slow.pth"', "url: null", "checkpoint.url is null, and the status is available."),
        (
            "status: available",
            "status: available\n    superseded_by: [x]",
            "superseded_by is given, and the status is ",
        ),
        ("top1: 91, ", "", "published[0] holds no number.\n  Line 40. Give top1 or top5, or leave it out."),
        (
            "top1: 91, ",
            "map: 91, ",
            "published[0].map does not fit the metric topk.\n  Line 40. Give top1 or top5.",
        ),
        (
            "top1: 91, ",
            "top1: 91, others: {hit: 70}, ",
            "published[0].others.hit does not fit the metric topk.\n  Line 40. Give top1 or top5.",
        ),
        ("size: null", "size: null\n      manual: true", "status is available, and every checkpoint is manual."),
        ("size: null", 'size: null\n      sha256_prefix: "123"', 'checkpoint.sha256_prefix is "123", expected'),
        ("sha256: null", f"sha256: {'ab' * 32}\n      sha256_prefix: abababac", "checkpoint.sha256_prefix is "),
        ("status: available", "status: available\n    proof: {}", "proof has golden and reference, or neither."),
        ("status: available", "status: available\n    other_checkpoints: []", "other_checkpoints is not a field"),
        ("pretrain: null", "pretrain: Company_slow", 'pretrain is "Company_slow", the record itself.'),
    ],
)
def test_fields_that_contradict_each_other_are_refused(company, old, new, expected):
    assert refusal(company, old, new).startswith(f"company_slow: {expected}")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("others: {hit: 70}", "published[0].others.hit does not fit the metric hit."),
        ("top1: 70", "published[0].top1 does not fit the metric hit."),
        ("others: {hit@1: 0.7}", "published[0] gives hit@1 below 1."),
        ("others: {}", "published[0] holds no number."),
    ],
)
def test_numbers_of_a_metric_without_a_field_stand_in_others_by_what_it_calls_them(
    company, monkeypatch, given, expected
):
    hit = dataclasses.replace(metric.of("topk"), name="hit", numbers=("hit@1", "hit@5"))
    monkeypatch.setitem(metric.METRICS, "hit", hit)
    company.write_text(company.read_text().replace("metric: topk", "metric: hit"))
    text = company.read_text()
    message = refusal(company, "top1: 91", given)
    assert message.startswith(f"company_slow: {expected}")
    assert "below 1" in expected or "Give `others: {hit@1: …}` or `others: {hit@5: …}`" in message
    company.write_text(text.replace("top1: 91", "others: {hit@1: 70}"))
    assert registry.load(company).records["company_slow"].number.numbers() == {"hit@1": 70}


def test_an_unreleased_record_says_what_supersedes_it(company):
    company.write_text(company.read_text().replace('url: "weights/company slow.pth"', "url: null"))
    message = refusal(company, "status: available", "status: unreleased")
    assert message.startswith("company_slow: superseded_by is missing.")
    text = company.read_text()
    company.write_text(text.replace("notes: []", 'notes: ["Take the one of last year."]'))
    assert registry.load(company).records["company_slow"].superseded_by == []
    company.write_text(text.replace("status: unreleased", "status: unreleased\n    superseded_by: [slow_r50_8x8]"))
    assert registry.default([company]).records["company_slow"].superseded_by == ["slow_r50_8x8"]
    with pytest.raises(RegistryError, match=r'company_slow: superseded_by\[0\] is "slow_r50_8x8", which is no record'):
        registry.load(company)  # alone
    company.write_text(text.replace("status: unreleased", "status: unreleased\n    superseded_by: [Company_Slow]"))
    with pytest.raises(RegistryError, match=r'superseded_by\[0\] is "Company_Slow", the record itself'):
        registry.load(company)


def test_ava_needs_its_lists(company):
    assert "detection is null, and the metric is ava_map" in refusal(company, "metric: topk", "metric: ava_map")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the file is empty."),
        ("- 1\n", "the file is a list, expected a mapping."),
        ("schema_version: 1\nprotocols: {}\n", "records is missing."),
        (
            "schema_version: 1\nrecords: {}\nmore: 1\n",
            "more is not a field of the schema.\n  Line 3. Known here: schema_",
        ),
        ("schema_version: 2\nprotocols: {}\nrecords: {}\n", "schema_version is 2, and this videohub reads 1."),
        ("schema_version: true\nprotocols: {}\nrecords: {}\n", "schema_version is true, expected a whole number."),
        ("schema_version: 1\nprotocols: {}\nrecords: []\n", "records is an empty list, expected a mapping."),
        ("schema_version: 1\nprotocols: {}\nrecords: {a: 1}\n", "a is not a mapping of fields."),
        ("records: [\n", "the file is not YAML: "),
        (
            "a: !!python/object/apply:os.system [ls]\n",
            "a has the tag `tag:yaml.org,2002:python/object/apply:os.system`",
        ),
    ],
)
def test_a_file_that_is_no_registry_is_refused(company, text, expected):
    company.write_text(text)
    with pytest.raises(RegistryError) as caught:
        registry.load(company)
    assert str(caught.value).startswith(f"{company}: {expected}")


def test_a_file_that_is_not_there_or_not_text_is_refused(company, tmp_path):
    with pytest.raises(RegistryError, match="cannot be read: No such file"):
        registry.load(tmp_path / "nothing.yaml")
    company.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RegistryError, match="not UTF-8"):
        registry.load(company)


def test_all_that_is_wrong_is_told_at_once(company):
    """The 17 tries of a trial become one: errors of every kind in one file."""
    text = company.read_text()
    for old, new in (
        ("    clips: 10\n", "    clip: 10\n"),
        ("    split: test\n    frames:", "    split: 3\n    frames:"),
        ("metric: topk", "metric: top"),
        ("dataset: company_actions", "dataset: company_action"),
        ("rate: 8\n", 'rate: "8"\n'),
        ("depth: R50", "depth: 010"),
        ("width: 64", "widht: 64"),
        ("variant: slow, ", ""),
        ("protocol: company_video", "protocol: kinetics"),
        ("pretrain: null", "pretrain: nobody"),
        ("size: null", "size: -1"),
        ("layout: pyslowfast", "layout: pyslofast"),
        ("labels: [walk, ", "labels: [' ', "),
        ("status: available", "status: ok\n    aliases: [a-b, Company_Slow]\n    superseded_by: [no_one, nobody]"),
        ("notes: []", "notes: [1, 2]"),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    company.write_text(text)
    with pytest.raises(BrokenRegistryError) as caught:
        registry.load(company)
    places = [message.place for message in caught.value.messages]
    assert sorted(places) == sorted([
        "protocol company_video: views.clip", "protocol company_video: views.clips", "protocol company_video: split",
        "protocol company_video: metric", "protocol company_video: dataset",
        "company_slow: rate",
        "company_slow: model.depth", "company_slow: model.widht", "company_slow: model.variant",
        "company_slow: protocol", "company_slow: checkpoint.size", "company_slow: status",
        "company_slow: notes[0]", "company_slow: notes[1]", "company_slow: pretrain", "company_slow: superseded_by[0]",
        "company_slow: checkpoint.layout", "company_slow: labels",
        "company_slow: aliases[0]", "company_slow: aliases[1]", "company_slow: superseded_by[1]",
    ])  # fmt: skip
    assert str(caught.value).endswith("\nThese are 21 errors.")
    lines = text.splitlines()
    for message in caught.value.messages:
        assert message.place.split(".")[-1].split(" ")[-1].split("[")[0] in lines[message.line - 1] + "clips variant"


def test_a_file_that_breaks_everywhere_is_told_by_its_first_errors(company):
    company.write_text(company.read_text().replace("notes: []", f"notes: [{', '.join('1' * 900)}]"))
    with pytest.raises(BrokenRegistryError) as caught:
        registry.load(company)
    assert (len(caught.value.messages), caught.value.total) == (900, 900)
    assert "\n850 more are not listed; `videohub registry check FILE`" in str(caught.value)


def changed(company, old, new):
    text = company.read_text(encoding="utf-8")
    assert old in text
    company.write_text(text.replace(old, new, 1), encoding="utf-8")
    return registry.load(company).records["company_slow"]


def test_numbers_with_other_views_stand_beside_the_one_to_compare_with(company):
    published = """[{top1: 88.5, source: "slides", views: {clips: 1, crops: 1}}, {top1: 91, source: "our report"}]"""
    record = changed(company, '[{top1: 91, source: "our report"}]', published)
    assert [number.top1 for number in record.published] == [88.5, 91]
    assert (record.number.top1, record.published[0].views.crops) == (91, 1)
    assert changed(company, ', {top1: 91, source: "our report"}', "").number is None


FORMS = """
      - {url: "https://example.org/page", manual: true, sha256: null, size: null, container: torch,
         layout: pyslowfast, license: proprietary}
      - {url: "weights/slow.safetensors", sha256: null, size: null, container: safetensors, layout: caffe2,
         license: proprietary, alternates: ["hf://company/slow/model.safetensors@main"]}"""


def test_of_several_checkpoints_the_first_that_is_not_manual_is_fetched(company, tmp_path):
    text = company.read_text()
    begin, end = text.index("    checkpoint:"), text.index("    pretrain:")
    company.write_text(f"{text[:begin]}    checkpoint:{FORMS}\n{text[end:]}")
    record = registry.load(company).records["company_slow"]
    assert record.checkpoint.url == (tmp_path / "weights/slow.safetensors").as_uri()
    assert [(other.url, other.layout) for other in record.other_checkpoints] == [
        ("https://example.org/page", "pyslowfast")
    ]
    (tmp_path / "again.yaml").write_text(writer.text([record]))
    assert registry.load(tmp_path / "again.yaml").records["company_slow"].other_checkpoints == record.other_checkpoints
    company.write_text(company.read_text().replace("layout: caffe2", "layout: caffe3"))
    with pytest.raises(
        RegistryError, match=r'checkpoint\[1\]\.layout is "caffe3", and no table reads that into resnet'
    ):
        registry.load(company)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "rule: proportional",
            "rule: random",
            'frames.rule is "random", expected one of proportional, offset, offset_frames, seg',
        ),
        ("    frames: {rule: proportional, fps: 30, past_end: repeat}\n", "", "frames is missing."),
        ("past_end: repeat", "past_end: loop", 'frames.past_end is "loop", expected one of repeat.'),
        ("fps: 30", "fps: 0", "frames.fps is 0, expected a number > 0"),
        (
            "step: divide",
            "step: multiply",
            'pixels[0].step is "multiply", expected one of divide, normalise, rev',
        ),
        ("arithmetic: torch_float", "arithmetic: opencv_uint8", "pixels[2].arithmetic is opencv_uint8, which works on"),
        ("[start, centre, end]", "[start, top_left]", "views.crops has top_left.\n  Line 15. Known: pyslowfast places"),
        ("join: sum", "join: median", 'scores.join is "median", expected one of max, mean, mean_of_logits, sum.'),
    ],
)
def test_a_protocol_that_nobody_can_run_is_refused(company, old, new, expected):
    assert refusal(company, old, new).startswith(f"protocol company_video: {expected}")


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ('include: "."', r'include names "\.", '),
        ("include: folder", 'include names "folder", and there is no such file beside it'),
        ("publisher_order: [{a: b}, 3]", r"publisher_order\[0\] is a mapping, expected text"),
    ],
)
def test_a_section_that_leads_nowhere_is_refused(company, section, expected):
    company.with_name("folder").mkdir()
    company.write_text(f"{section}\n{company.read_text()}")
    with pytest.raises(RegistryError, match=expected):
        registry.load(company)


def test_data_sets_come_from_a_file_beside_the_registry_only(company, tmp_path):
    (tmp_path / "sets.yaml").write_text("company_actions: {title: Actions}\n")
    text = re.sub(
        r"^datasets:.*\n(  .*\n)*", f"datasets: {tmp_path}/sets.yaml\n", company.read_text(), flags=re.MULTILINE
    )
    company.write_text(text)
    with pytest.raises(RegistryError, match=r'datasets is ".*sets\.yaml", and there is no such file beside it'):
        registry.load(company)


def test_a_file_that_includes_itself_or_another_twice_reads_each_once(company):
    company.write_text(f"include: ['{company.name}', '*.yaml', company.yaml]\n{company.read_text()}")
    assert list(registry.load(company).records) == ["company_slow"]


def test_an_empty_list_of_checkpoints_is_refused(company):
    text = company.read_text()
    start, end = text.index("    checkpoint:"), text.index("    pretrain:")
    company.write_text(f"{text[:start]}    checkpoint: []\n{text[end:]}")
    with pytest.raises(RegistryError, match="checkpoint has 0 items, expected at least 1"):
        registry.load(company)


@pytest.mark.parametrize("block", [-1, 4])
def test_a_non_local_block_after_one_that_a_stage_lacks_is_refused(block):
    """Res3 of a ResNet-50 has four blocks: 0 to 3."""
    model = {"family": "slowfast", "depth": "R50",
             "non_local": {"after": {"res3": [0, 3, block]}, "affinity": "softmax", "pool": [1, 2, 2]}}  # fmt: skip
    (flaw,) = architectures.read(model).flaws()
    assert flaw == (("non_local", "after", "res3"), f"names block {block}, and the blocks of res3 are 0 to 3")


@pytest.mark.parametrize(
    ("segments", "frames", "message"),
    [
        (
            4,
            128,
            "theirs: protocol has clips of 8 parts, and the network looks at 4 by themselves.",
        ),
        (8, 124, "theirs: clip.frames is 124, which is no multiple of 8 segments."),
    ],
)
def test_the_parts_of_a_clip_are_the_segments_of_the_network(tmp_path, segments, frames, message):
    ours = registry.record("vjepa_vit_l_16x4")
    model, clip = (
        msgspec.structs.replace(ours.model, segments=segments),
        msgspec.structs.replace(ours.clip, frames=frames),
    )
    theirs = msgspec.structs.replace(
        ours, name="theirs", upstream_name="theirs", aliases=(), model=model, clip=clip, proof=None
    )
    (tmp_path / "own.yaml").write_text(writer.text([theirs]), encoding="utf-8")
    with pytest.raises(RegistryError, match=re.escape(message)):
        registry.load(tmp_path / "own.yaml")

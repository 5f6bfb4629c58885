"""A publisher's file: what its records share, whose name is meant where several have one, and `publisher/NAME`."""

from __future__ import annotations

import json

import pytest

from videohub import registry, resources
from videohub.errors import AmbiguousNameError, RegistryError
from videohub.registry import strict_yaml
from videohub.registry.schema import DatasetInfo

HEAD = """\
schema_version: 1
publisher:
  name: {publisher}
  title: Somebody
  url: "https://example.org/{publisher}"
  commit: "0123abc"
  license: "MIT for everything"
shared:
  frames: 8
  rate: 8
  paper: arXiv:1812.03982
  clip: {{frames: 8, sampling_rate: 8}}
  model: {{family: resnet, variant: slow, depth: R50}}
  protocol: kinetics_30view
  checkpoint: {{sha256: null, size: null, container: torch, layout: pyslowfast, license: MIT}}
  pretrain: null
  training: standard
  labels: kinetics400
  config: null
  status: available
  notes: []
records:
"""
RECORD = """\
  {id}:
    upstream_name: {upstream}
    checkpoint: {{url: "https://example.org/{id}.pth"}}
    published: [{published}]
"""
NUMBER = '{top1: 70.5, source: "its README"}'


def written(folder, publisher, *records, head=HEAD):
    """Write a publisher's file of records, each an id, an upstream name, a published number and more lines."""
    text = head.format(publisher=publisher)
    ours = resources.registry_file().parent / "registry" / f"{publisher}.yaml"
    if ours.is_file():  # whoever adds to a publisher that we have describes it as we do
        described = json.dumps(strict_yaml.read(ours).value["publisher"])
        text = f"{text[: text.index('publisher:')]}publisher: {described}\n{text[text.index('shared:') :]}"
    for id_, upstream, published, *more in records:
        text += RECORD.format(id=id_, upstream=upstream, published=published) + "".join(
            f"    {line}\n" for line in more
        )
    file = folder / f"{publisher}.yaml"
    file.write_text(text)
    return file


def test_a_record_has_what_its_file_s_head_says_unless_it_says_otherwise(tmp_path):
    file = written(
        tmp_path, "somebody", ("sb_slow", "SLOW_X", NUMBER), ("sb_slow_2", "SLOW_Y", NUMBER, "training: long")
    )
    known = registry.default([file])
    first, second = known.records["sb_slow"], known.records["sb_slow_2"]
    assert (first.publisher, first.training, second.training) == ("somebody", "standard", "long")
    assert first.checkpoint.url == "https://example.org/sb_slow.pth"
    assert (first.checkpoint.license, first.checkpoint.container) == ("MIT", "torch")
    assert (first.model.num_classes, first.protocol.dataset) == (400, "kinetics400")
    assert (known.publishers["somebody"].title, known.publishers["somebody"].commit) == ("Somebody", "0123abc")


def test_a_listing_can_be_of_one_publisher(tmp_path, monkeypatch, run):
    file = written(tmp_path, "somebody", ("sb_slow", "SLOW_X", NUMBER))
    monkeypatch.setenv("VIDEOHUB_REGISTRY", str(file))
    assert registry.list_models(publisher="Somebody") == ["sb_slow"]
    assert registry.list_models("sb*", publisher="pyslowfast") == []
    code, out, _ = run("list", "--publisher", "somebody")
    assert code == 0
    assert "sb_slow" in out
    assert "slow_r50_8x8" not in out
    code, _, err = run("list", "--publisher", "nobody")
    assert code == 2
    assert "publisher 'nobody' is not known. Known: pyslowfast, " in err


def test_the_first_publisher_that_has_a_name_is_meant_and_the_others_are_named_with_a_slash(tmp_path, run, monkeypatch):
    """The design's order: PySlowFast before PyTorchVideo before torchvision, whatever the order of the files."""
    files = [
        written(tmp_path, "zz_other", ("zz_slow", "SLOW_X", NUMBER)),
        written(tmp_path, "torchvision", ("tv_8x8", "SLOWFAST_8x8_R50", NUMBER), ("tv_slow", "SLOW_X", NUMBER)),
        written(tmp_path, "pytorchvideo", ("ptv_slow", "SLOW_X", NUMBER)),
    ]
    known = registry.default(files)
    assert known.find("SLOWFAST_8x8_R50").name == "slowfast_r50_8x8"
    assert known.find("SLOW_X").name == "ptv_slow"
    assert known.find("torchvision/SLOW_X").name == "tv_slow"
    assert known.find("PyTorchVideo/slowfast_8x8_r50.pyth").name == "ptv_slowfast_r50_8x8"
    assert known.find("torchvision/slowfast_8x8_r50").name == "tv_8x8"
    assert known.find("zz_other/slow_x").name == "zz_slow"
    assert known.find("pyslowfast/slowfast_r50_8x8").name == "slowfast_r50_8x8"
    assert known.namesakes(known.find("SLOW_X")) == ["zz_slow", "tv_slow"]
    monkeypatch.setenv("VIDEOHUB_REGISTRY", ":".join(map(str, files)))
    assert "zz_slow" in run("show", "SLOW_X")[1].split("also called so")[1].split("network")[0]


def test_inside_one_publisher_a_published_number_wins_then_kinetics_400_and_else_it_is_open(tmp_path):
    somebody = (
        ("sb_pretraining", "BOTH", ""),
        ("sb_tested", "BOTH", NUMBER),
        ("sb_ssv2", "SETS", NUMBER, "protocol: ssv2_3view", "labels: null"),
        ("sb_k400", "SETS", NUMBER),
        ("sb_one", "OPEN", NUMBER),
        ("sb_two", "OPEN", NUMBER),
    )
    later = written(tmp_path, "later", ("la_open", "OPEN", NUMBER))
    known = registry.default([written(tmp_path, "somebody", *somebody), later])
    assert known.find("BOTH").name == "sb_tested"
    assert known.find("SETS").name == "sb_k400"
    with pytest.raises(AmbiguousNameError, match=r"(?s)2 records share this upstream name.*sb_one.*sb_two") as caught:
        known.find("OPEN")
    assert "la_open" not in str(caught.value)
    assert known.find("later/OPEN").name == "la_open"


def test_an_alias_finds_its_record_and_is_nobody_else_s_name(tmp_path):
    file = written(tmp_path, "somebody", ("sb_slow", "SLOW_X", NUMBER, "aliases: [sb_old, sb_older]"))
    known = registry.default([file])
    assert known.find("SB_Older").name == "sb_slow"
    assert known.select("sb_old*") == ["sb_slow"]
    more = ("aliases: [slow_r50_8x8]",), ("aliases: [sb_slow]",), ('aliases: ["a b"]',)
    for lines, text in zip(more, ("repeats the name slow_r50_8x8 of", "repeats the name", "not a name"), strict=True):
        with pytest.raises(RegistryError, match=rf"aliases\[0\] is .* {text}"):
            registry.default([written(tmp_path, "somebody", ("sb_slow", "SLOW_X", NUMBER, *lines))])


def test_ids_and_aliases_of_our_registry_are_unique_in_any_case():
    records = registry.load(resources.registry_file()).records.values()
    names = [name.casefold() for record in records for name in (record.name, *record.aliases)]
    assert len(names) == len(set(names)) >= 25
    assert all(record.publisher for record in records)


def test_what_is_wrong_in_the_head_is_told_once_and_there(tmp_path):
    records = [(f"sb_{number}", f"X_{number}", NUMBER) for number in range(9)]
    head = HEAD.replace("rate: 8\n", 'rate: "8"\n').replace("training: standard", "trainig: standard")
    with pytest.raises(RegistryError) as caught:
        registry.default([written(tmp_path, "somebody", *records, head=head)])
    text = str(caught.value)
    assert text.count('shared.rate is "8", expected a whole number or null.\n  Line 10.') == 1
    assert "shared.trainig is not a field that records can share" in text
    assert text.count("training is missing") == 9
    head = HEAD.replace("license: MIT}", "licens: MIT}").replace("notes:", "published: {{tolerance: high}}\n  notes:")
    with pytest.raises(RegistryError) as caught:
        registry.default([written(tmp_path, "somebody", *records, head=head)])
    assert str(caught.value).count("shared.checkpoint.licens is not a field of the schema") == 1
    assert str(caught.value).count("checkpoint.license is missing") == 9
    assert str(caught.value).count('shared.published[0].tolerance is "high", expected a number') == 1
    with pytest.raises(RegistryError, match=r"publisher\.titel is not a field of the schema"):
        registry.default([written(tmp_path, "somebody", *records, head=HEAD.replace("title", "titel"))])


def test_two_files_of_one_publisher_say_the_same_of_it(tmp_path):
    first = written(tmp_path, "somebody", ("sb_slow", "SLOW_X", NUMBER))
    (tmp_path / "more").mkdir()
    second = written(tmp_path / "more", "somebody", ("sb_fast", "SLOW_X2", NUMBER))
    assert set(registry.default([first, second]).select(publisher="somebody")) == {"sb_slow", "sb_fast"}
    second.write_text(second.read_text().replace("0123abc", "999"))
    with pytest.raises(RegistryError, match="somebody is described otherwise in"):
        registry.default([first, second])


def test_a_file_includes_others_beside_it_and_sees_when_one_comes_or_changes(tmp_path):
    top = tmp_path / "top.yaml"
    top.write_text("schema_version: 1\ninclude: more/*.yaml\nrecords: {}\n")
    assert "sb_slow" not in registry.default([top]).records
    (tmp_path / "more").mkdir()
    file = written(tmp_path / "more", "somebody", ("sb_slow", "SLOW_X", NUMBER))
    assert registry.default([top]).records["sb_slow"].training == "standard"
    file.write_text(file.read_text().replace("training: standard", "training: long"))
    assert registry.default([top]).records["sb_slow"].training == "long"
    file.write_text("include: x.yaml\n" + file.read_text())
    with pytest.raises(RegistryError, match="include is given in a file that is itself included"):
        registry.default([top])
    top.write_text("schema_version: 1\ninclude: [gone.yaml]\nrecords: {}\n")
    with pytest.raises(RegistryError, match=r'include names "gone.yaml", and there is no such file beside it'):
        registry.default([top])


def test_the_files_that_hold_records_are_those_that_are_included_too(tmp_path, monkeypatch):
    top = tmp_path / "top.yaml"
    top.write_text("schema_version: 1\ninclude: more/*.yaml\nrecords: {}\n")
    (tmp_path / "more").mkdir()
    file = written(tmp_path / "more", "somebody", ("sb_slow", "SLOW_X", NUMBER))
    monkeypatch.setenv("VIDEOHUB_REGISTRY", str(top))
    ours, *included, one, two = registry.record_files()
    assert (ours, one, two) == (resources.registry_file(), top.resolve(), file.resolve())
    assert {path.parent for path in included} <= {resources.registry_file().parent / "registry"}


def test_a_registry_brings_data_sets_in_it_or_in_a_file_beside_it(tmp_path):
    (tmp_path / "sets.yaml").write_text("company_actions: {title: Actions at work}\n")
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text("schema_version: 1\ndatasets: sets.yaml\nrecords: {}\n")
    assert registry.default([one]).datasets["company_actions"] == DatasetInfo(
        name="company_actions", title="Actions at work"
    )
    two.write_text("schema_version: 1\ndatasets: {company_actions: {title: Others}}\nrecords: {}\n")
    with pytest.raises(RegistryError, match=r"data set company_actions is described otherwise in .*sets\.yaml"):
        registry.default([one, two])
    one.write_text("schema_version: 1\ndatasets: gone.yaml\nrecords: {}\n")
    with pytest.raises(RegistryError, match=r'datasets is "gone\.yaml", and there is no such file beside it'):
        registry.default([one])


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{titel: Ours}", r"titel is not a field of the schema\.\n  Line \d\. Did you mean title\?"),
        ("{title: Ours, fps: fast}", r'fps is "fast", expected a number or null'),
        ("{title: Ours, splits: {val: {samples: 0}}}", r"splits\.val\.samples is 0, expected a whole number >= 1"),
        ("3", r"ours is not a mapping of fields"),
    ],
)
def test_an_entry_of_a_data_set_that_breaks_the_schema_is_named(tmp_path, beside, entry, said):
    (tmp_path / "sets.yaml").write_text(f"ours: {entry}\n")
    sets = "sets.yaml" if beside else f"{{ours: {entry}}}"
    (tmp_path / "one.yaml").write_text(f"schema_version: 1\ndatasets: {sets}\nrecords: {{}}\n")
    with pytest.raises(RegistryError, match=rf"(sets|one)\.yaml: (data set )?(ours[.:] ?)?{said}"):
        registry.default([tmp_path / "one.yaml"])

"""YAML that would take a usual reader minutes, or end it with an exception of its own, is refused with its line."""

from __future__ import annotations

import time

import pytest

from videohub import registry, resources
from videohub.convert import tables
from videohub.errors import ConversionError, RegistryError
from videohub.registry import strict_yaml

SECONDS = 20.0  # of the processor: a usual reader takes 49 and 86 for two of them, ours less than two for any


def nested(begin: str, end: str, times: int) -> str:
    return f"a: {begin * times}1{end * times}\n"


def merges(times: int) -> str:
    """Each mapping brings in all keys of the one before, and adds one: the work grows with the square."""
    return "a0: &a0 {k0: 0}\n" + "".join(f"a{n}: &a{n}\n  <<: *a{n - 1}\n  k{n}: 0\n" for n in range(1, times))


def aliases(levels: int) -> str:
    """Each list names the one before ten times."""
    lists = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, levels))
    return f"a0: &a0 [{', '.join(['x'] * 10)}]\n{lists}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a:\n- 1" + ":59" * 200_000 + "\n", "a[0] is a number of 600,001 letters, expected at most 18.\n  Line 2."),
        ("a: [" + ", ".join(["1" + ":59" * 200] * 1_000) + "]", "a[0] is a number of 601 letters"),
        ("x: y\n" + "1" + ":59" * 300 + ": 1\n", "the file has the key `1:59:59"),
        (merges(3_000), "a1 has a merge (`<<`), which is not read.\n  Line 3."),
        (aliases(30), "a4[8] comes after 100,000 values, and there must be no more.\n  Line 5."),
        ("a: [" + "1," * 150_000 + "]", "a[99998] comes after 100,000 values"),
        ("x: 1\na: " + "9" * 5_000, "a is a number of 5,000 letters, expected at most 18.\n  Line 2."),
        ("a: 1." + "0" * 500, "a is a number of 502 letters, expected at most 400."),
        ("a: " + "9" * 390 + ".0", "a is a number of 392 letters, which is infinite."),
        ('x: 1\na: !!int "{"', "a has the tag `tag:yaml.org,2002:int`.\n  Line 2."),
        ("a: !!float x", "a has the tag `tag:yaml.org,2002:float`."),
        ("a: !!set {x}", "a has the tag `tag:yaml.org,2002:set`."),
        ("a: !mine\n  b: 1", "a has the tag `!mine`."),
        ("!!int a: 1", "the file has the tag `tag:yaml.org,2002:int` before a key.\n  Line 1."),
        ("a: 0x_", "a is `0x_`, which YAML takes for a number."),
        (nested("[", "]", 900), f"a{'[0]' * 30} is nested more than 30 deep.\n  Line 1."),
        (nested("[", "]", 500_000), "is n"),  # libyaml says by itself that it is too deep
        (nested("{a: ", "}", 900), "is nested more than 30 deep"),
        ("".join(f"{'  ' * level}a:\n" for level in range(900)), "is nested more than 30 deep.\n  Line 32."),
        ("- " * 900_000, "is nested more than 30 deep.\n  Line 1."),
        ("a: &b [*b]", "a[0] contains itself.\n  Line 1."),
        ("a: &b\n  c: {d: *b}", "a.c.d contains itself.\n  Line 2."),
        ("a: *b", "a is `*b`, and nothing before it is `&b`.\n  Line 1."),
        ("a: &b c\n*b : 1", "the file has the key `*b`, an alias.\n  Line 2."),
        ("? [a]\n: 1", "the file has the key a list or mapping, which is not text.\n  Line 1."),
        ("a: 1\n---\nb: 1", "the file has a second document (`---`).\n  Line 2."),
        ("".join(f"%TAG !a{n}! tag:x,2000:\n" for n in range(60_000)) + "---\na: 1", "has a directive"),
        ("x: 1\na: \0", "the file is not YAML: it has the letter U+0000.\n  Line 2."),
        ("#" * strict_yaml.SIZE + "\n", "the file is larger than 2,000,000 bytes."),
    ],
    ids=lambda value: value[:24],
)
def test_it_is_refused_at_once_with_what_was_found_and_the_line(tmp_path, text, said):
    file = tmp_path / "zoo.yaml"
    file.write_text(text)
    begin = time.process_time()
    with pytest.raises(RegistryError) as caught:
        strict_yaml.read(file)
    assert time.process_time() - begin < SECONDS
    assert str(caught.value).startswith(f"{file}: ")
    assert said in str(caught.value)
    assert len(str(caught.value)) < 3_000


@pytest.mark.parametrize(
    "text",
    [
        "a: [" + "1," * 99_000 + "]",
        "".join(f"k{n}: 1\n" for n in range(99_000)),
        "a: &b {c: [1, 2]}\nd: *b\ne: [*b, *b]\n",
    ],
    ids=["list", "mapping", "aliases"],
)
def test_what_is_within_the_bounds_is_read(tmp_path, text):
    (tmp_path / "zoo.yaml").write_text(text)
    begin = time.process_time()
    assert strict_yaml.read(tmp_path / "zoo.yaml").value
    assert time.process_time() - begin < SECONDS


def test_a_key_table_is_read_with_the_same_care(tmp_path):
    for text in (aliases(30), 'family: !!int "{"\n', nested("[", "]", 900), "family: " + "9" * 5_000):
        (tmp_path / "ours.yaml").write_text(text)
        with pytest.raises(RegistryError, match=r"ours\.yaml: .*\n  Line \d"):
            tables.read_table(tmp_path / "ours.yaml")


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ('"[a"', "fields.stage is no regular expression: unterminated character set at position 0.\n  Line "),
        ('"([2-5])"', "fields.stage has a group, expected a regular expression without.\n  Line "),
        (
            '{"{last9}": "x"}',
            'fields.stage has the value "{last9}", expected text, and {last2}, {last3}, {last4} in it.',
        ),
        ('{"{last2.real}": "x"}', 'fields.stage has the value "{last2.real}", expected text'),
        ('{"{": "x"}', 'fields.stage has the value "{", expected text'),
        ("5", "fields.stage is 5, expected text or a mapping.\n  Line "),
    ],
)
def test_a_field_of_a_key_table_that_no_key_can_have_is_refused(tmp_path, field, said):
    text = (resources.path("converters") / "slowfast" / "caffe2.yaml").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("  stage: "))
    (tmp_path / "ours.yaml").write_text(text.replace(line, f"  stage: {field}"), encoding="utf-8")
    with pytest.raises(RegistryError) as caught:
        tables.read_table(tmp_path / "ours.yaml")
    assert str(caught.value).startswith(f"{tmp_path / 'ours.yaml'}: {said}")


@pytest.mark.parametrize("name", ["../slowfast/caffe2", "/etc/passwd", "a\0b", "caffe2\n", ""])
def test_a_key_table_is_taken_from_its_folder_only(name):
    with pytest.raises(ConversionError, match="no key table"):
        tables.find("slowfast", name)


def test_the_class_names_are_read_with_the_same_care(tmp_path, monkeypatch):
    from videohub.data import labels

    (tmp_path / "labels.yaml").write_text(merges(10))
    monkeypatch.setattr(resources, "labels_file", lambda: tmp_path / "labels.yaml")
    with pytest.raises(RegistryError, match=r"labels\.yaml: a1 has a merge"):
        labels.class_names("ava")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://example.org/a\\0b.pkl", "it holds a control character"),
        ("weights\\0.pth", "it holds a control character"),
        ("file:///srv/a%00b.pth", "it holds a control character"),
        ("https://example.org/a\\e[31m.pkl", "it holds a control character"),
        ("https://[fe80::1/a.pkl", "Invalid IPv6 URL"),
        ("https://example.org:99999/a.pkl", "Port out of range"),
    ],
)
def test_an_address_that_nothing_can_be_fetched_from_is_refused(company, url, said):
    text = company.read_text()
    company.write_text(text.replace('"weights/company slow.pth"', f'"{url}"'))
    with pytest.raises(RegistryError) as caught:
        registry.load(company)
    assert "company_slow: checkpoint.url is " in str(caught.value)
    assert said in str(caught.value)
    assert "Line 31." in str(caught.value)
    company.write_text(text.replace("container: torch", f'alternates: ["{url}"]\n      container: torch'))
    with pytest.raises(RegistryError, match=r"company_slow: checkpoint\.alternates\[0\] is "):
        registry.load(company)

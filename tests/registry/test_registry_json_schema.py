"""The JSON Schema that editors use says what the reader does."""

from __future__ import annotations

import json

import jsonschema
import pytest
import yaml

from videohub import resources
from videohub.registry import json_schema


@pytest.fixture(scope="module")
def validator():
    schema = json.loads(json_schema.text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_committed_schema_is_up_to_date():
    committed = resources.path("registry.schema.json").read_text(encoding="utf-8")
    assert committed == json_schema.text(), "run: python -m videohub.registry.json_schema > registry.schema.json"


def test_our_registry_is_valid(validator):
    assert list(validator.iter_errors(yaml.safe_load(resources.registry_file().read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("rate: 8", "rat: 8"),
        ("rate: 8", 'rate: "8"'),
        ("width: 64", "width: 0"),
        ("family: resnet,", "family: fast,"),
        ("variant: slow,", "variant: fast,"),
        ("protocol: company_video", "protocol: {clips: 1}"),
        ("company_slow:", "company-slow:"),
        ("upstream_name:", "name: x\n    upstream_name:"),
        ("non_local: null", "non_local: {after: {res9: [1]}, affinity: softmax, pool: [1, 2, 2]}"),
        ("schema_version: 1", "schema_version: 2"),
    ],
)
def test_what_the_reader_refuses_is_not_valid(validator, company, old, new):
    text = company.read_text()
    assert validator.is_valid(yaml.safe_load(text))
    assert not validator.is_valid(yaml.safe_load(text.replace(old, new, 1)))


def test_the_first_line_of_the_registry_tells_editors_of_the_schema():
    first = resources.registry_file().read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=registry.schema.json"

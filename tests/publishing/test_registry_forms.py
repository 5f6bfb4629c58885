"""A registry file gets further forms of a checkpoint, and nothing else in it changes."""

from __future__ import annotations

import pytest
import yaml

from videohub.publishing.registry_forms import with_forms
from videohub.registry.schema import Checkpoint

FORM = Checkpoint(url="hf://org/repo/a.safetensors@c0ffee", sha256="ab" * 32, size=5, container="safetensors",
                  layout="videohub", license="MIT")  # fmt: skip
PLAIN = {"url": FORM.url, "sha256": FORM.sha256, "size": 5, "container": "safetensors", "layout": "videohub",
         "license": "MIT"}  # fmt: skip
STATUS = "    status: manual # why\n"
BLOCK = """\
records:
  one: # the first
    upstream_name: ONE
    checkpoint:
      # where it lies
      url: a.pkl # here
      beside:
        - {url: b.pkl, sha256: null}

      sha256: null # not yet

    notes: [x]
  two:
    checkpoint: &shared {url: c.pkl, sha256: null}
  three:
    checkpoint: *shared
  four:
    notes: []
  five:
    checkpoint: {url: d.pkl,
      sha256: null} # two lines
  six:
    checkpoint:
      - url: e.pkl
        sha256: null # last
      # nothing more
  seven:
    checkpoint: [{url: f.pkl}]
"""


@pytest.mark.parametrize("name", ["one", "two", "five", "six"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_forms_come_after_those_that_are_there(name, end):
    text = BLOCK.replace("\n", end)
    after = with_forms(text, name, [FORM])
    before, read = yaml.safe_load(text), yaml.safe_load(after)
    checkpoint = before["records"][name]["checkpoint"]
    assert read["records"].pop(name)["checkpoint"] == [
        *(checkpoint if isinstance(checkpoint, list) else [checkpoint]),
        PLAIN,
    ]
    before["records"].pop(name)
    assert read == before
    for comment in ("# the first", "# where it lies", "# here", "# not yet", "# two lines", "# last", "# nothing more"):
        assert after.count(comment) == 1
    assert after.count("\n") == after.count(end)


@pytest.mark.parametrize(("before", "behind"), [("", ""), ("", STATUS), (STATUS, "")])
@pytest.mark.parametrize(
    "checkpoint", ["{url: g.pkl}", "\n      url: g.pkl\n      sha256: null", "\n      - {url: g.pkl}"]
)
def test_a_record_that_was_manual_becomes_available(before, behind, checkpoint):
    text = f"records:\n  one:\n{before}    checkpoint: {checkpoint}\n{behind}  two: {{status: manual}}\n"
    after = with_forms(text, "one", [FORM], opened=True)
    read = yaml.safe_load(after)["records"]
    assert (read["one"]["status"], read["one"]["checkpoint"][0]["url"]) == ("available", "g.pkl")
    assert read["one"]["checkpoint"][-1] == PLAIN
    assert read["two"] == {"status": "manual"}
    assert after.count("# why") == text.count("# why")


@pytest.mark.parametrize("name", ["three", "four", "seven"])
def test_what_is_shared_or_not_there_is_left_to_people(name):
    assert with_forms(BLOCK, name, [FORM]) is None

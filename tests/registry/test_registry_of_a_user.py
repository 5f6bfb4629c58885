"""A user's own registries beside ours: by the environment, by argument, and never in silence over ours."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from videohub import registry, resources
from videohub.errors import RegistryError


def test_a_registry_in_the_environment_is_added_to_ours(company, monkeypatch):
    monkeypatch.setenv("VIDEOHUB_REGISTRY", f"{company}{os.pathsep}")
    assert registry.record("company_SLOW").labels[:2] == ("walk", "run")
    assert registry.list_models(dataset="company_actions") == ["company_slow"]
    assert registry.record("slowfast_r50_8x8").upstream_name == "SLOWFAST_8x8_R50"
    monkeypatch.delenv("VIDEOHUB_REGISTRY")
    assert "company_slow" not in registry.list_models()


def test_a_registry_given_by_argument_is_added_once_even_if_the_environment_names_it_too(company, monkeypatch):
    monkeypatch.setenv("VIDEOHUB_REGISTRY", str(company))
    records = registry.default([company]).records
    assert list(records)[-1] == "company_slow"


def test_a_users_record_may_start_from_one_of_ours_and_be_tested_as_ours_are(company):
    text = company.read_text().replace("pretrain: null", "pretrain: slow_r50_8x8")
    company.write_text(text.replace("protocol: company_video", "protocol: kinetics_30view"))
    record = registry.default([company]).find("company_slow")
    assert (record.pretrain, record.protocol.dataset) == ("slow_r50_8x8", "kinetics400")


def test_a_name_that_repeats_across_files_in_any_case_names_both(company):
    company.write_text(company.read_text().replace("company_slow:", "SLOW_r50_8x8:"))
    with pytest.raises(RegistryError) as caught:
        registry.default([company])
    assert str(caught.value).startswith(
        f"{company.resolve()}: SLOW_r50_8x8 repeats the name slow_r50_8x8 of {resources.registry_file()}."
    )


def test_a_protocol_that_repeats_across_files_names_both(company):
    company.write_text(company.read_text().replace("company_video", "ssv2_3view"))
    with pytest.raises(RegistryError, match=f"protocol ssv2_3view is also in {resources.registry_file()}"):
        registry.default([company])


def test_a_protocol_that_repeats_hides_nothing_that_is_wrong_with_it_or_with_its_records(company):
    text = company.read_text().replace("company_video", "ssv2_3view").replace("join: sum", "join: avg")
    company.write_text(text.replace("order: clip_major", "order: clip").replace("rate: 8\n", "rat: 8\n"))
    with pytest.raises(RegistryError) as caught:
        registry.default([company])
    places = ["ssv2_3view is also", "views.order is", "scores.join is", "rat is not a field", "rate is missing"]
    assert [place for place in places if place in str(caught.value)] == places
    assert str(caught.value).endswith("These are 5 errors.")


def test_records_beside_a_protocol_that_repeats_are_judged_by_it_and_not_by_its_namesake(company):
    text = company.read_text().replace("company_video", "charades_30view").replace("top1: 91", "top1: 91, map: 40")
    company.write_text(text)
    with pytest.raises(RegistryError) as caught:
        registry.default([company])
    assert "published[0].map does not fit the metric topk" in str(caught.value)
    assert str(caught.value).endswith("These are 2 errors.")


def test_a_registry_that_is_not_there_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEOHUB_REGISTRY", str(tmp_path / "gone.yaml"))
    with pytest.raises(RegistryError, match=r"gone\.yaml: the registry cannot be read: .*VIDEOHUB_REGISTRY"):
        registry.record("slow_r50_8x8")


def test_a_registry_that_changed_is_read_again(company):
    assert registry.default([company]).find("company_slow").number.top1 == 91
    company.write_text(company.read_text().replace("top1: 91", "top1: 92"))
    os.utime(company, ns=(1, 1))
    assert registry.default([company]).find("company_slow").number.top1 == 92


def test_listing_loads_nothing_heavy():
    code = "import sys; from videohub import registry; registry.list_models(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"torch", "torchvision", "av", "numpy", "requests", "huggingface_hub", "rich", "click", "difflib"}
    assert not heavy & set(loaded)

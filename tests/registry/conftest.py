"""What the registry's tests share: the zoo's records, and a small registry of a user's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from videohub import registry, resources
from videohub.registry import strict_yaml

COMPANY = """\
schema_version: 1
datasets: {company_actions: {title: Actions of a company, short: company}}
protocols:
  company_video:
    dataset: company_actions
    split: test
    frames: {rule: proportional, fps: 30, past_end: repeat}
    pixels:
      - {step: divide, by: 255}
      - {step: normalise, mean: [0.45, 0.45, 0.45], std: [0.225, 0.225, 0.225]}
      - {step: resize_short_side, pixels: 256, long_side: floor, arithmetic: torch_float}
      - {step: crop, size: 256, arithmetic: pyslowfast}
    views:
      clips: 10
      crops: [start, centre, end]
      order: clip_major
    scores: {activation: softmax, join: sum}
    metric: topk
    detection: null
records:
  company_slow:
    upstream_name: COMPANY_SLOW
    frames: 8
    rate: 8
    paper: "none"
    model: {family: resnet, variant: slow, depth: R50, width: 64, non_local: null, res5: {stride: 2, dilation: 1},
            head: {kind: average_window, window: 7}, num_classes: 12}
    clip: {frames: 8, sampling_rate: 8}
    protocol: company_video
    checkpoint:
      url: "weights/company slow.pth"
      sha256: null
      size: null
      container: torch
      layout: pyslowfast
      license: proprietary
    pretrain: null
    training: standard
    labels: [walk, run, sit, stand, lift, carry, push, pull, turn, halt, wave, rest]
    published: [{top1: 91, source: "our report"}]
    config: null
    status: available
    notes: []
"""


@pytest.fixture
def company(tmp_path: Path) -> Path:
    file = tmp_path / "company.yaml"
    file.write_text(COMPANY, encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def zoo() -> dict[str, registry.Record]:
    """The records of the published table that the project began with; they stand in the registry's own file."""
    file = resources.registry_file()
    records = registry.load(file).records
    return {name: records[name] for name in strict_yaml.read(file).value["records"]}

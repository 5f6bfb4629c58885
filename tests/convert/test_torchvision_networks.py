"""Files written for torchvision, in torchvision's own networks: the proof that counts."""

import pytest
import torch
import torchvision

from tests.models.golden_networks import CASES, LOGITS_CLOSE
from videohub.convert import conversion

NAMES = [name for name, case in CASES.items() if case.layout == "torchvision"]


@torch.inference_mode()
@pytest.mark.parametrize(
    "name", [name if name.endswith("r3d_18") else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
)
def test_torchvision_s_network_gives_our_logits_with_a_file_of_ours(name, tmp_path):
    case = CASES[name]
    ours, path = case.network(), tmp_path / "written.pth"
    tensors = conversion.to_published(ours.state_dict(), case.table, case.arguments)
    conversion.write_file(tensors, case.table, path)
    builder = getattr(torchvision.models.video, case.facts["architecture"]["builder"])
    theirs = builder(num_classes=case.architecture.num_classes).eval()
    theirs.load_state_dict(torch.load(path, weights_only=True), strict=True)
    clip = torch.randn(case.facts["input"]["shape"], generator=torch.Generator().manual_seed(0))
    expected = theirs(clip)
    assert (ours(clip) - expected).abs().max() <= LOGITS_CLOSE * expected.abs().max()

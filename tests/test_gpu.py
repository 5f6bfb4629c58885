"""The same numbers on a GPU as on the CPU."""

import pytest
import torch

import videohub
from tests.evaluation.networks import score_video
from tests.golden import synth
from tests.models.golden_networks import CASES
from videohub.data.geometry import Square
from videohub.data.views import Views
from videohub.registry import record

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no usable CUDA device"),
]


@pytest.mark.parametrize("name", ["SLOWFAST_8x8_R50", "I3D_NLN_8x8_R50", "SLOW_4x16_R50"])
def test_a_network_gives_the_original_s_probabilities_on_a_gpu(name):
    case = CASES[f"models/{name}"]
    network = case.network().cuda()
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        logits = network(case.clip().cuda()).cpu()
    assert case.output_difference(logits) <= 1


def test_a_video_scores_the_same_on_a_gpu_as_on_the_cpu():
    protocol = record("slowfast_motions").protocol
    frames = torch.from_numpy(synth.synth_clip("gpu", (3, 16, 40, 50))).transpose(0, 1)
    positions = torch.arange(16).expand(3, 16)
    views = Views(frames, positions, offsets=[Square(0, 0), Square(0, 5), Square(0, 10)], size=(40, 40), pts=positions,
                  decode_positions=positions)  # fmt: skip
    model = videohub.build("slowfast_motions")
    on_cpu = score_video(model, views, protocol)
    assert torch.allclose(score_video(model.cuda(), views, protocol), on_cpu, atol=9e-5)  # nine views

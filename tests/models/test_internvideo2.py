"""InternVideo2 beside other implementations: as written out, its blocks in transformers, its pooling in torch."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from tests.models import internvideo2_written_out, token_networks
from videohub.architectures.vit import AttentionPool
from videohub.convert import conversion, tables

FAMILY = "vit internvideo2"
ARCH = token_networks.FAMILIES[FAMILY]


def published(network):
    """Return a network's tensors by the authors' keys."""
    arguments = token_networks.arguments(FAMILY)
    return conversion.to_published(network.state_dict(), tables.find("vit", "internvideo2").of(arguments), arguments)


@torch.inference_mode()
def test_it_gives_the_logits_of_the_network_written_out_over_its_authors_keys():
    network, clip = token_networks.network(FAMILY), token_networks.clip_for(FAMILY)
    expected = internvideo2_written_out.logits(
        published(network), clip, heads=ARCH.heads, pool_heads=ARCH.readout.heads
    )
    assert expected.std() > 1e-2
    assert (network(clip) - expected).abs().max() <= 1e-5 * expected.abs().max()


@torch.inference_mode()
def test_its_blocks_are_those_of_internvl_s_vision_tower():
    transformers = pytest.importorskip("transformers")
    internvl = pytest.importorskip("transformers.models.internvl.modeling_internvl")
    network = token_networks.network(FAMILY)
    config = transformers.InternVLVisionConfig(
        hidden_size=ARCH.width, num_attention_heads=ARCH.heads, intermediate_size=4 * ARCH.width, use_qk_norm=True,
        norm_type="rms_norm", layer_norm_eps=1e-6, hidden_act="gelu_pytorch_tanh", attention_bias=False,
    )  # fmt: skip
    config._attn_implementation = "eager"
    theirs = internvl.InternVLVisionLayer(config).eval()
    tokens = torch.randn(2, 50, ARCH.width, generator=torch.Generator().manual_seed(0))
    for block in network.blocks:
        q, k, v = block.attention.qkv.weight.chunk(3)
        state = {"attention.q_proj.weight": q, "attention.k_proj.weight": k, "attention.v_proj.weight": v}
        renamed = {
            "attention_norm": "layernorm_before", "mlp_norm": "layernorm_after", "attention_scale": "lambda_1",
            "mlp_scale": "lambda_2", "attention.query_norm": "attention.q_norm", "mlp.hidden": "mlp.fc1",
            "attention.key_norm": "attention.k_norm", "attention.projection": "attention.projection_layer",
            "mlp.out": "mlp.fc2",
        }  # fmt: skip
        for key, tensor in block.state_dict().items():
            name = next((name for name in renamed if key == name or key.startswith(f"{name}.")), None)
            if name is not None:
                state[renamed[name] + key.removeprefix(name)] = tensor
        theirs.load_state_dict(state, strict=True)
        expected = theirs(tokens)
        assert (block(tokens) - expected).abs().max() <= 1e-5 * expected.abs().max()


@torch.inference_mode()
def test_its_pooling_is_torch_s_attention_asked_by_the_mean_of_all_tokens():
    pooling = token_networks.network(FAMILY).head.pooling
    tokens = torch.randn(2, 50, ARCH.width, generator=torch.Generator().manual_seed(0))
    query, key, value = (
        F.layer_norm(each, (ARCH.width,), norm.weight, norm.bias, 1e-5).transpose(0, 1)  # torch has batches second
        for each, norm in zip(
            (tokens.mean(dim=1, keepdim=True), tokens, tokens),
            (pooling.query_norm, pooling.key_norm, pooling.value_norm),
            strict=True,
        )
    )
    expected, _ = F.multi_head_attention_forward(
        query, key, value, ARCH.width, ARCH.readout.heads, None,
        torch.cat([pooling.query.bias, pooling.key.bias, pooling.value.bias]), None, None, False, 0.0,
        pooling.projection.weight, pooling.projection.bias, training=False, use_separate_proj_weight=True,
        q_proj_weight=pooling.query.weight, k_proj_weight=pooling.key.weight, v_proj_weight=pooling.value.weight,
    )  # fmt: skip
    assert (pooling(tokens) - expected[0]).abs().max() <= 1e-5 * expected.abs().max()


def test_a_pooling_whose_heads_do_not_divide_the_width_is_refused():
    import msgspec

    odd = msgspec.structs.replace(ARCH, readout=AttentionPool(heads=3))
    assert [*odd.flaws()] == [(("readout", "heads"), "is 3, expected a divisor of the width, 16")]

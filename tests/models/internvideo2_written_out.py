"""InternVideo2 written out over its authors' keys: an implementation beside ours, by the original's order of steps.

Source: internvideo2.py of OpenGVLab/InternVideo, InternVideo2/single_modality/models, with its fused layers: what they
compute, flash-attn's modules tell (FusedMLP: a GELU by tanh).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def logits(file: Mapping[str, Tensor], clip: Tensor, *, heads: int, pool_heads: int) -> Tensor:
    """Return logits (B, classes) for clips (B, 3, T, H, W) of as many frames and pixels as its positions are for.

    Args:
        file: Tensors by the authors' keys; the number of blocks is that of the keys.
        heads: Of the blocks; no tensor tells.
        pool_heads: Of the pooling at the end.
    """
    tokens = _tokens(file, clip)
    for number in range(1 + max(int(key.split(".")[1]) for key in file if key.startswith("blocks."))):
        block = {
            key.removeprefix(f"blocks.{number}."): file[key] for key in file if key.startswith(f"blocks.{number}.")
        }
        tokens = tokens + block["ls1.gamma"] * _attention(block, _rms(tokens, block["norm1.weight"]), heads)
        tokens = tokens + block["ls2.gamma"] * _mlp(block, _rms(tokens, block["norm2.weight"]))
    pooled = _layer_norm(file, "fc_norm", _pooled(file, tokens, pool_heads))
    return pooled @ file["head.weight"].T + file["head.bias"]


def _tokens(file: Mapping[str, Tensor], clip: Tensor) -> Tensor:
    """Return a token for each square of each frame, frame after frame and row after row, behind the class token."""
    kernels = file["patch_embed.proj.weight"][:, :, 0]  # (C, 3, patch, patch), of single frames
    batch, _, frames, height, width = clip.shape
    patch, rows, columns = kernels.shape[-1], height // kernels.shape[-1], width // kernels.shape[-1]
    squares = clip.reshape(batch, 3, frames, rows, patch, columns, patch).permute(0, 2, 3, 5, 1, 4, 6)
    tokens = squares.reshape(batch, frames * rows * columns, -1) @ kernels.flatten(1).T + file["patch_embed.proj.bias"]
    return torch.cat([file["cls_token"].repeat(batch, 1, 1), tokens], dim=1) + file["pos_embed"]


def _attention(block: Mapping[str, Tensor], tokens: Tensor, heads: int) -> Tensor:
    """Queries and keys are normed over all heads at once, before these are told apart."""
    q, k, v = (tokens @ block["attn.qkv.weight"].T).split(tokens.shape[-1], dim=-1)
    q, k = _rms(q, block["attn.q_norm.weight"]), _rms(k, block["attn.k_norm.weight"])
    return _gathered(q, k, v, heads) @ block["attn.proj.weight"].T + block["attn.proj.bias"]


def _mlp(block: Mapping[str, Tensor], tokens: Tensor) -> Tensor:
    hidden = tokens @ block["mlp.fc1.weight"].T + block["mlp.fc1.bias"]
    hidden = 0.5 * hidden * (1 + torch.tanh(0.7978845608028654 * (hidden + 0.044715 * hidden**3)))
    return hidden @ block["mlp.fc2.weight"].T + block["mlp.fc2.bias"]


def _pooled(file: Mapping[str, Tensor], tokens: Tensor, heads: int) -> Tensor:
    """The mean of all tokens, the class token among them, asks; keys and values have a norm each."""
    sources = {"q": tokens.mean(dim=1, keepdim=True), "k": tokens, "v": tokens}
    q, k, v = (
        _layer_norm(file, f"clip_projector.norm1_{part}", source) @ file[f"clip_projector.cross_attn.{part}.weight"].T
        + file[f"clip_projector.cross_attn.{part}_bias"]
        for part, source in sources.items()
    )
    gathered = _gathered(q, k, v, heads)[:, 0]
    return gathered @ file["clip_projector.cross_attn.proj.weight"].T + file["clip_projector.cross_attn.proj.bias"]


def _gathered(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    each = q.shape[-1] // heads
    outs = []
    for head in range(heads):
        mine = slice(head * each, (head + 1) * each)
        weights = (q[..., mine] @ k[..., mine].transpose(1, 2) / each**0.5).softmax(dim=-1)
        outs.append(weights @ v[..., mine])
    return torch.cat(outs, dim=-1)


def _rms(tokens: Tensor, weight: Tensor) -> Tensor:
    return tokens / (tokens.square().mean(dim=-1, keepdim=True) + 1e-6).sqrt() * weight


def _layer_norm(file: Mapping[str, Tensor], name: str, tokens: Tensor) -> Tensor:
    centred = tokens - tokens.mean(dim=-1, keepdim=True)
    normed = centred / (centred.square().mean(dim=-1, keepdim=True) + 1e-5).sqrt()
    return normed * file[f"{name}.weight"] + file[f"{name}.bias"]

"""What transformers over clips share: patches as tokens, their positions, attention, and a head on tokens."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videohub.architectures.parts import Readout, RoiMax
from videohub.models.video_model import Boxes, DetectionHead, NoClassifier, VideoModel, classifier, refuse_boxes
from videohub.sinusoid import sinusoid

Grid: TypeAlias = tuple[int, int, int]  # how many tokens, or pixels, along time, height and width


def patch_grid(frames: int, crop: int, patch: Grid, *, image: bool = False) -> Grid:
    """Return how many patches there are in clips of `frames` frames of `crop` x `crop` pixels. Raises: ValueError."""
    time, height, width = patch
    if frames < time or (image and frames > 1):
        raise ValueError(
            f"frames: found {frames}, expected " + ("1, as this network is for images" if image else f"at least {time}")
        )
    return frames // time, crop // height, crop // width


def other_size(clip: Tensor, pixels: Grid) -> ValueError:
    """Return the error for a clip (B, 3, T, H, W) of another size than the one that a network is for."""
    given, expected = (" x ".join(map(str, size)) for size in (clip.shape[2:], pixels))
    return ValueError(f"clip: found {given}, expected {expected} (frames x height x width)")


def layer_norm(width: int, eps: float = 1e-6) -> nn.LayerNorm:
    """Return the norm that all of these networks have, with the epsilon of the originals unless told otherwise."""
    return nn.LayerNorm(width, eps=eps)


class TokenModel(VideoModel):
    """A network that makes tokens of a clip and classifies by them."""

    head: Head

    @abstractmethod
    def tokens(self, clip: Tensor | Sequence[Tensor]) -> Tensor:
        """Return the tokens that the head reads, (B, N, width), behind the class token if there is one."""

    def forward(self, clip: Tensor | Sequence[Tensor], boxes: Boxes | None = None) -> Tensor:
        """Return logits (B, classes) for a clip (B, 3, T, H, W)."""
        refuse_boxes(boxes)
        return self.head(self.tokens(clip))

    def features(self, clip: Tensor | Sequence[Tensor], boxes: Boxes | None = None) -> Tensor:
        """Return what the projection sees, (B, D)."""
        refuse_boxes(boxes)
        return self.head.features(self.tokens(clip))


class Embedding(nn.Module):
    """Make tokens of a clip's patches, put a class token before them, and add positions to all."""

    def __init__(
        self,
        width: int,
        *,
        kernel: Grid,
        stride: Grid | None = None,
        padding: Grid = (0, 0, 0),
        class_token: bool,
        positions: nn.Module | None,
        image: bool = False,
    ) -> None:
        """Take `image` for a network that is for single frames; `stride` None: patches lie side by side."""
        super().__init__()
        self.image = image
        self.patches = nn.Conv3d(3, width, kernel, stride or kernel, padding=padding)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width)) if class_token else None
        self.positions = positions

    def forward(self, clip: Tensor) -> tuple[Tensor, Grid]:
        """Return tokens (B, N, width), time outermost, and the grid that all but the class token lie on.

        Raises: ValueError for a clip of several frames where the network is for images.
        """
        if self.image and clip.shape[2] != 1:
            raise ValueError(f"clip: found {clip.shape[2]} frames, expected 1, as this network is for images")
        patches = self.patches(clip)
        tokens = patches.flatten(2).transpose(1, 2)
        grid = (patches.shape[2], patches.shape[3], patches.shape[4])
        if self.class_token is not None:  # shape[0], and not len, which an export takes for fixed
            tokens = torch.cat([self.class_token.expand(tokens.shape[0], -1, -1), tokens], dim=1)
        return tokens if self.positions is None else tokens + self.positions(grid).to(tokens.device), grid


class SeparatePositions(nn.Module):
    """A vector for each place and one for each time, whose sum stands for a position; and one for the class token."""

    def __init__(self, grid: Grid, width: int, *, class_token: bool) -> None:
        super().__init__()
        self.grid = grid
        self.space = nn.Parameter(torch.zeros(1, grid[1] * grid[2], width))
        self.time = nn.Parameter(torch.zeros(1, grid[0], width))
        self.class_token = nn.Parameter(torch.zeros(1, 1, width)) if class_token else None

    def forward(self, grid: Grid) -> Tensor:
        """Return (1, N, width) for a grid, class token first."""
        of_grid = _interpolated((self.time[:, :, None] + self.space[:, None]).flatten(1, 2), self.grid, grid)
        return of_grid if self.class_token is None else torch.cat([self.class_token, of_grid], dim=1)


class JointPositions(nn.Module):
    """A vector for each position of a grid, after one for the class token."""

    def __init__(self, grid: Grid, width: int, *, class_token: bool) -> None:
        super().__init__()
        self.grid = grid
        self.table = nn.Parameter(torch.zeros(1, int(class_token) + grid[0] * grid[1] * grid[2], width))

    def forward(self, grid: Grid) -> Tensor:
        """Return (1, N, width) for a grid, class token first."""
        count = math.prod(self.grid)
        of_grid = _interpolated(self.table[:, -count:], self.grid, grid)
        return torch.cat([self.table[:, :-count], of_grid], dim=1)


class SinusoidPositions(nn.Module):
    """Sines and cosines of a token's number, time outermost: computed, and in no file.

    Another grid numbers its tokens anew, as the original's network for clips of another size does.
    """

    table: Tensor

    def __init__(self, grid: Grid, width: int) -> None:
        super().__init__()
        self.width = width
        # on the processor also where a network is built without memory: no file fills it
        self.register_buffer("table", _sinusoid(math.prod(grid), width), persistent=False)

    def forward(self, grid: Grid) -> Tensor:
        """Return (1, N, width) for a grid."""
        count = math.prod(grid)
        if count <= self.table.shape[1]:
            return self.table[:, :count]
        return _sinusoid(count, self.width).to(self.table)


class ResizedSinusoidPositions(nn.Module):
    """Sines and cosines of a token's number in pictures of one size; those of another are resized from them.

    Source: mmaction2's VisionTransformer, which resizes the table of each time by a cubic. It takes clips of one length
        alone; here other times are numbered on.
    """

    table: Tensor

    def __init__(self, grid: Grid, width: int) -> None:
        super().__init__()
        self.grid, self.width = grid, width
        self.register_buffer("table", _sinusoid(math.prod(grid), width), persistent=False)

    def forward(self, grid: Grid) -> Tensor:
        """Return (1, N, width) for a grid."""
        of_times = (grid[0], *self.grid[1:])
        count = math.prod(of_times)
        table = self.table[:, :count] if grid[0] <= self.grid[0] else _sinusoid(count, self.width).to(self.table)
        if grid[1:] == self.grid[1:]:
            return table
        pictures = torch.unflatten(table[0], 0, of_times).movedim(-1, 1)
        return F.interpolate(pictures, size=grid[1:], mode="bicubic").flatten(2).transpose(1, 2).flatten(0, 1)[None]


def _sinusoid(count: int, width: int) -> Tensor:
    return torch.from_numpy(sinusoid(count=count, width=width))


def positions(grid: Grid, width: int, *, joint: bool, class_token: bool) -> SeparatePositions | JointPositions:
    """Return learned positions for tokens of a grid; those of other grids are interpolated."""
    return (JointPositions if joint else SeparatePositions)(grid, width, class_token=class_token)


def _interpolated(vectors: Tensor, grid: Grid, target: Grid) -> Tensor:
    """Return the vectors of a grid (1, N, width) as another grid has them.

    Source: PySlowFast and V-JEPA, `trilinear` over all three axes, of the sum where there are two tables.
    """
    if grid == target:
        return vectors
    lying = torch.unflatten(vectors, 1, grid).movedim(-1, 1)
    return F.interpolate(lying, size=target, mode="trilinear").flatten(2).transpose(1, 2)


def rotary_turns(grid: Grid, width: int, *, device: torch.device) -> Tensor:
    """Return by what each channel of a head's queries and keys turns: cosines and sines, (2, N, width).

    A third of the channels each turns with time, row and column; what is left over does not.
    Source: V-JEPA 2, whose neighbours are pairs, and whose angles are not theirs: f1 to fn, twice one after the other.
    """
    each = 2 * (width // 3 // 2)
    frequencies = 10000.0 ** (-torch.arange(each // 2, dtype=torch.float32, device=device) / (each / 2))
    places = torch.cartesian_prod(*(torch.arange(count, device=device) for count in grid))  # (N, 3), time outermost
    angles = (places[:, :, None] * frequencies.repeat(2)).flatten(1)
    angles = F.pad(angles, (0, width - 3 * each))
    return torch.stack([angles.cos(), angles.sin()])


def turned(vectors: Tensor, turns: Tensor) -> Tensor:
    """Return queries or keys (B, heads, N, D), each pair of neighbouring channels turned; see `rotary_turns`."""
    cos, sin = turns.to(vectors.dtype)
    first, second = torch.unflatten(vectors, -1, (-1, 2)).unbind(-1)
    return vectors * cos + torch.stack([-second, first], dim=-1).flatten(-2) * sin


class Attention(nn.Module):
    """Each token gathers from all of them, weighted by affinity, in several heads."""

    def __init__(self, width: int, *, heads: int, key_bias: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=key_bias)
        self.q_bias = None if key_bias else nn.Parameter(torch.zeros(width))
        self.v_bias = None if key_bias else nn.Parameter(torch.zeros(width))
        self.projection = nn.Linear(width, width)

    def forward(self, tokens: Tensor, turns: Tensor | None = None) -> Tensor:
        """Return (B, N, width) for tokens (B, N, width), whose queries and keys turn as `rotary_turns` says."""
        qkv = torch.unflatten(self._qkv(tokens), 2, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, N, D)
        if turns is not None:
            q, k = turned(q, turns), turned(k, turns)
        return self.projection(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))

    def _qkv(self, tokens: Tensor) -> Tensor:
        """Return queries, keys and values side by side, (B, N, 3 width)."""
        if self.q_bias is None or self.v_bias is None:
            return self.qkv(tokens)
        return self.qkv(tokens) + torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])


def gathered(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """Return what queries (B, Q, width) gather of values by keys (B, N, width), in several heads: (B, Q, width)."""
    q, k, v = (torch.unflatten(each, 2, (heads, -1)).transpose(1, 2) for each in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def gathered_by_one(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """Return what one query (B, 1, width) gathers, as `gathered`: (B, 1, width).

    Written out, for on a CPU the kernel for many queries gives one other last bits by the thread that computes it, and
    so by its place in a batch.
    """
    q, k, v = (torch.unflatten(each, 2, (heads, -1)) for each in (q, k, v))  # (B, 1 or N, heads, D)
    affinity = (q * k).sum(dim=3, keepdim=True) * q.shape[3] ** -0.5
    return (affinity.softmax(dim=1) * v).sum(dim=1, keepdim=True).flatten(2)


class QuickGELU(nn.Module):
    """The approximation of a GELU that CLIP has: x sigmoid(1.702 x)."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class Mlp(nn.Module):
    """Two linear layers with a GELU between them, on each token."""

    def __init__(self, width: int, hidden: int, out: int, *, gelu: Literal["exact", "tanh", "quick"] = "exact") -> None:
        super().__init__()
        self.hidden = nn.Linear(width, hidden)
        self.gelu = QuickGELU() if gelu == "quick" else nn.GELU(approximate="tanh" if gelu == "tanh" else "none")
        self.out = nn.Linear(hidden, out)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.out(self.gelu(self.hidden(tokens)))


class Block(nn.Module):
    """Attention between all tokens, then an MLP on each, both beside a shortcut."""

    def __init__(
        self,
        width: int,
        *,
        heads: int,
        hidden: int | None = None,
        key_bias: bool = True,
        gelu: Literal["exact", "tanh"] = "exact",
        eps: float = 1e-6,
    ) -> None:
        """Take `hidden` for the width between the MLP's layers; None: 4 x width."""
        super().__init__()
        self.attention_norm = layer_norm(width, eps)
        self.attention = Attention(width, heads=heads, key_bias=key_bias)
        self.mlp_norm = layer_norm(width, eps)
        self.mlp = Mlp(width, hidden or 4 * width, width, gelu=gelu)

    def forward(self, tokens: Tensor, turns: Tensor | None = None) -> Tensor:
        tokens = tokens + self.attention(self.attention_norm(tokens), turns)
        return tokens + self.mlp(self.mlp_norm(tokens))


class Head(nn.Module):
    """Make one vector of all tokens, and project it."""

    projection: nn.Linear | NoClassifier

    @abstractmethod
    def features(self, tokens: Tensor) -> Tensor:
        """Return what the projection sees, (B, D), of tokens (B, N, width)."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits (B, classes) for tokens (B, N, width)."""
        return self.projection(self.features(tokens))


class TokenDetectionHead(DetectionHead):
    """Normalise all tokens, and take what is in boxes from the map that they are."""

    def __init__(self, width: int, how: RoiMax, *, stride: int, num_classes: int | None, eps: float) -> None:
        super().__init__([width], how, stride=stride, num_classes=num_classes)
        self.norm = layer_norm(width, eps)

    def map_of(self, tokens: Tensor, grid: Grid) -> Tensor:
        """Return the map (B, width, T, H, W) that tokens (B, N, width) are, normed."""
        return torch.unflatten(self.norm(tokens).transpose(1, 2), 2, grid)


class TokenHead(Head):
    """Take the class token or the mean of all others, normed before or after."""

    def __init__(
        self, width: int, *, readout: Readout, class_token: bool, num_classes: int | None, eps: float = 1e-6
    ) -> None:
        super().__init__()
        self.readout = readout
        self.first = int(class_token)  # of the tokens that have a place
        self.norm = nn.Identity() if readout == "mean_alone" else layer_norm(width, eps)
        self.projection = classifier(width, num_classes)

    def features(self, tokens: Tensor) -> Tensor:
        if self.readout == "class_token":
            return self.norm(tokens[:, 0])
        if self.readout == "mean":
            return self.norm(tokens[:, self.first :]).mean(dim=1)
        return self.norm(tokens[:, self.first :].mean(dim=1))


def initialise(model: nn.Module) -> None:
    """Start a network for training: normal numbers of 0.02 for weights and positions, without far outliers."""
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1 and not name.endswith("patches.weight"):
            nn.init.trunc_normal_(parameter, std=0.02)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)

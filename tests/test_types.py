"""What a user's own type checker makes of the public names: a program as people write them passes `mypy --strict`."""

import subprocess
import sys
from pathlib import Path

import pytest

import videohub

pytestmark = pytest.mark.slow

PACKAGE = Path(videohub.__file__).parent

PROGRAM = """
import torch

import videohub


def logits_of(clip: torch.Tensor) -> torch.Tensor:
    model = videohub.load("slowfast_r50_8x8", device=torch.device("cpu"), num_classes=6)
    {line}
    return model(clip)


def boxes_of(clip: torch.Tensor, boxes: list[torch.Tensor]) -> torch.Tensor:
    model: videohub.VideoModel = videohub.build("slowfast_r101_8x8_ava22")
    return videohub.optimize(model.eval()).features(clip, boxes)
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What mypy learns of torch, which it needs to learn once."""
    return tmp_path_factory.mktemp("mypy")


def checked(tmp_path: Path, cache: Path, line: str) -> tuple[int, str]:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(line=line))
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", f"--cache-dir={cache}", str(program)],
        cwd=PACKAGE.parent, capture_output=True, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("name: str = model.record.name; features: torch.Tensor = model.features(clip); model.to('cpu').train()", ""),
        ("model.record.nome", 'has no attribute "nome"'),
        ("width: int = model.features(clip)", "Incompatible types in assignment"),
        ("model('clip.mp4')", "incompatible type"),
        ("made: videohub.Exported = videohub.export(model, 'a.onnx', batch=2, size=(256, 340))", ""),
        ("videohub.export(model, 'a.onnx', batch='any')", "incompatible type"),
        ("report: videohub.Report = videohub.verify('slowfast_r50_8x8', data='val.csv', sample=100)", ""),
        (
            "videohub.verify_together(['slow_r50_8x8'], 'val.csv', smaple=3)",
            'Unexpected keyword argument "smaple"',
        ),
        ("videohub.evaluate('slowfast_r50_8x8', 'val.csv', sample='all')", "incompatible type"),
    ],
)
def test_a_type_checker_knows_what_load_returns(tmp_path, cache, line, complaint):
    pytest.importorskip("mypy")
    code, text = checked(tmp_path, cache, line)
    assert (code == 0) == (not complaint), text
    assert complaint in text

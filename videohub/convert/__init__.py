"""What a file of weights really is, read without running any code in it."""

from videohub.convert.checkpoint import Checkpoint
from videohub.convert.reading import read

__all__ = ["Checkpoint", "read"]

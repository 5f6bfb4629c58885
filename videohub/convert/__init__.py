"""What a file of weights really is, read without running any code in it, and its tensors under other names."""

from videohub.convert.checkpoint import Checkpoint
from videohub.convert.exporting import export
from videohub.convert.reading import read
from videohub.convert.renaming import to_state_dict

__all__ = ["Checkpoint", "export", "read", "to_state_dict"]

"""What a file of weights really is, read without running any code in it, and its tensors under other names."""

from videohub.convert.checkpoint import Checkpoint, read
from videohub.convert.conversion import export, to_state_dict

__all__ = ["Checkpoint", "export", "read", "to_state_dict"]

"""What the SHA-256 of a file looks like, wherever one is read from a file: it names files, so it holds nothing else."""

from typing import Annotated, TypeAlias

import msgspec

# The length, too, for `$` lets a line feed pass.
Sha256: TypeAlias = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$", max_length=64)]

"""Types of single values that files of several kinds hold, with what each may be."""

from typing import Annotated, Literal, TypeAlias

import msgspec

Count: TypeAlias = Annotated[int, msgspec.Meta(gt=0)]

# A file is named by it, so it holds nothing else. The length, too, for `$` lets a line feed pass.
Sha256: TypeAlias = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$", max_length=64)]

Activation: TypeAlias = Literal["softmax", "sigmoid"]  # what makes scores of logits: of one right class, or of several

"""What is known of each data set, stated once in `datasets.yaml`: its names, its counts, and what reads its lists."""

from typing import Annotated

import msgspec

Count = Annotated[int, msgspec.Meta(gt=0)]
Name = Annotated[str, msgspec.Meta(min_length=1)]


class Split(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How large a part of a data set is; null where no source says which release is meant."""

    samples: Count | None = None  # videos or images
    videos: Count | None = None  # where one holds several samples
    source: Name | None = None  # of these counts


class DatasetInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A data set; `datasets.yaml` says what each field is."""

    name: Name
    title: Name
    short: Name | None = None
    aliases: tuple[Name, ...] = ()
    group: Name | None = None
    lists: Name = "kinetics"
    splits: dict[str, Split] = {}
    fps: float | None = None
    longest_s: float | None = None
    resized_to: Count | None = None
    original_size: bool = False
    preferred: bool = False

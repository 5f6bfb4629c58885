"""A data set to train on: from the lists that `verify` reads to a clip and its target for each video."""

from __future__ import annotations

import hashlib
import operator
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import SupportsIndex, TypeAlias

import msgspec
import torch
from torch import Tensor
from torch.utils.data import Dataset

from videohub import metrics, registry
from videohub.data import sets
from videohub.data.labels import names_of
from videohub.data.samples import Sample
from videohub.data.sets.lists import folder_of
from videohub.data.sets.missing import missing_files
from videohub.data.single_clip import read_clip
from videohub.data.transforms import transforms
from videohub.errors import UsageError, VideoError
from videohub.log import log
from videohub.registry.labels import Given, count, resolve, with_classes
from videohub.registry.schema import Record

Transform: TypeAlias = Callable[[Tensor], Tensor]

_IN_A_ROW = 100  # videos that may be broken one after the other before the data set is


class ClipDataset(Dataset[tuple[Tensor, "int | Tensor"]]):
    """The videos of a list or of class folders, each as one clip with its target: for a `DataLoader`.

    In training a clip lies anywhere in its video and is seen through a random view; else it is the middle one in the
    centre view. Its frames are as many and as far apart as the record's test has them, at the record's frame rate where
    it has one. `dataset[i]` is (clip (3, T, H, W) float32, target): the number of the class, or, where several may be
    right (Charades), a float vector (classes,) of ones and zeros. These are the classes of the whole video, wherever in
    it the clip lies.

    Attributes:
        record: Whose clips these are, with the classes of the data set.
        samples: The videos, in the order of the list; `truth` of each holds the numbers of its right classes.
        classes, targets: As torchvision's data sets have them.
    """

    def __init__(
        self,
        data: str | Path,
        name: str | Record,
        *,
        split: str,
        train: bool,
        root: str | Path | None = None,
        list_file: str | Path | None = None,
        labels: Given | None = None,
        transform: Transform | None = None,
        skip_broken: bool = False,
        seed: int = 0,
    ) -> None:
        """Read the list; what it leaves open, and videos that are not there, are told in a line each.

        Args:
            data: A list, a folder of lists, a folder for each class, or tars, as `verify` takes it.
            name: A record, its id or its upstream name; a model's `record` has the model's classes.
            split: Which part is meant where `data` holds several, such as "train" or "val".
            train: Whether clips are drawn at random.
            root: Folder that the list's paths start from; None: the list's own.
            list_file: The list whose videos lie in the tars that `data` stands for; None: their labels do, too.
            labels: What the classes are called, in the order of their numbers, where they are not the record's: names,
                a file of them, or a known set.
            transform: From uint8 frames (T, H, W, 3) to the clip; None: `transforms(name, train=train)`.
            skip_broken: Whether training takes another video, drawn at random, in place of one that cannot be read;
                `broken` names them. False: that is an error.
            seed: Decides clips and views, once `set_epoch` is called.
        Raises: UsageError for a detection network's record, for `skip_broken` without `train`, and if a file or folder
            is missing; DataError if a list is malformed.
        """
        record = registry.record(name)
        if metrics.of(record.protocol.metric).by_box:
            raise UsageError(f"{record.name}: its data are key frames with boxes, of which no clip with one target can "
                             "be made; expected a classifier's record")  # fmt: skip
        if skip_broken and not train:
            raise UsageError("skip_broken: found it with train=False, expected it in training alone: a test on other "
                             "videos than the list's is another test; take broken ones out of the list")  # fmt: skip
        if not isinstance(seed, SupportsIndex):
            raise UsageError(f"seed: found {seed!r}, expected a whole number")
        if not isinstance(split, str):
            raise UsageError(f"split: found {split!r}, expected a text, such as 'train' or 'val'")
        if not isinstance(data, str | os.PathLike):
            raise UsageError(f"data: found a {type(data).__name__}, expected the path of a list or a folder")
        if labels is not None:
            names = resolve(labels)
            record = with_classes(record, count(names), names)
        protocol = msgspec.structs.replace(record.protocol, split=split)
        self.record = msgspec.structs.replace(record, protocol=protocol)
        self.train, self.skip_broken, self.seed = train, skip_broken, seed
        self.transform: Transform = transforms(self.record, train=train) if transform is None else transform
        start = None if root is None else Path(root)
        data_set = sets.read(data, root=start, record=self.record, list_file=list_file)
        self.samples: list[Sample] = data_set.samples
        for note in (*data_set.notes, *missing_files(data_set.samples, start or folder_of(Path(data)))):
            log.warning("%s: %s", data, note)
        # Both are shared with the processes of a DataLoader, also with those that outlive an epoch.
        self._epoch = _shared(torch.full((), -1, dtype=torch.int64))
        self._broken = _shared(torch.zeros(len(self.samples), dtype=torch.bool))

    def __len__(self) -> int:
        """Return the number of videos."""
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, int | Tensor]:
        """Return the clip (3, T, H, W) and the target of a video.

        Raises: IndexError; VideoError, with the video's name, if it is missing or broken and `skip_broken` is not set,
            or a hundred in a row are.
        """
        place = operator.index(index)
        if not -len(self) <= place < len(self):
            raise IndexError(f"video {place} of {len(self)}")
        place %= len(self)
        for attempt in range(_IN_A_ROW):
            with self._seeded(place, attempt):
                another = int(torch.randint(len(self), ())) if self.skip_broken else place
                if not (self.skip_broken and self._broken[place]):
                    try:
                        return self._clip(place), self._target(place)
                    except VideoError as error:
                        if not self.skip_broken:
                            raise
                        self._broken[place] = True
                        log.warning("left out: %s", error)
            place = another
        raise VideoError(f"{_IN_A_ROW} videos in a row cannot be read, {self.samples[place].name} the last; "
                         "`videohub data check` tells why")  # fmt: skip

    def set_epoch(self, epoch: int) -> None:
        """Let clips and views of this epoch follow from `seed`, `epoch` and the video alone.

        So they are the same with any number of worker processes, of any kind, and when a training goes on. Without,
        they are torch's default generator's, which a DataLoader seeds for each worker.
        """
        if not isinstance(epoch, SupportsIndex) or operator.index(epoch) < 0:
            raise UsageError(f"epoch: found {epoch!r}, expected a whole number, 0 or more")
        self._epoch.fill_(epoch)

    @property
    def broken(self) -> list[str]:
        """The names of videos that were left out so far, by all worker processes of this one."""
        return [self.samples[place].name for place in self._broken.nonzero().flatten().tolist()]

    @property
    def classes(self) -> list[str]:
        """What the classes are called, by their numbers."""
        return list(names_of(self.record))

    @property
    def targets(self) -> list[int | Tensor]:
        """The target of each video, as `dataset[i]` has it; no video is read."""
        return [self._target(place) for place in range(len(self))]

    def _clip(self, place: int) -> Tensor:
        sample, record = self.samples[place], self.record
        draw = (lambda: float(torch.rand((), dtype=torch.float64))) if self.train else None
        try:
            frames = read_clip(sample.source, record.protocol, record.clip, draw)
        except (VideoError, UsageError) as error:  # the latter for a file that is not there
            raise VideoError(f"{sample.name}: {error}") from error
        return self.transform(torch.from_numpy(frames))

    def _target(self, place: int) -> int | Tensor:
        truth = self.samples[place].truth
        if self.record.protocol.scores.activation == "softmax":  # one class is right
            return truth[0]
        target = torch.zeros(self.record.num_classes, dtype=torch.float32)
        target[list(truth)] = 1
        return target

    @contextmanager
    def _seeded(self, place: int, attempt: int) -> Iterator[None]:
        """Seed torch's default generator for a video of an epoch that is known, and leave it as it was.

        What a broken video has drawn already makes no difference to the one in its place.
        """
        if (epoch := int(self._epoch)) < 0:
            yield
            return
        before = torch.default_generator.get_state()
        digest = hashlib.sha256(f"{self.seed} {epoch} {place} {attempt}".encode()).digest()
        torch.default_generator.manual_seed(int.from_bytes(digest[:7], "little"))
        try:
            yield
        finally:
            torch.default_generator.set_state(before)


def _shared(tensor: Tensor) -> Tensor:
    """Move a tensor to memory that it has in common with the processes it is handed to."""
    return tensor.share_memory_()  # type: ignore[no-untyped-call]

"""Videos at which an earlier call ended: one may have crashed its decoder, and would end every call again.

`.NAME.begun` lies in the folder from when a video is opened until its features are written. Where one is found, the
video is first decoded in a process of its own, and left out if that crashes or never answers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from videohub.data.inputs import is_url
from videohub.errors import VideoError
from videohub.log import log
from videohub.preflight.probe import Job, probe_files

_SHORTEST_S = 120.0
_BYTES_A_SECOND = 1e6  # that any decoder gets through


@dataclass(frozen=True)
class Suspects:
    """What is known in a folder of the videos that were begun."""

    folder: Path

    def begun(self, named: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """Yield videos, by what their files are called, and remember each that it is begun when it is asked for."""
        for name, video in named.items():
            self._marker(name).touch()
            yield name, video

    def ended(self, name: str) -> None:
        """Remember that a video has been seen to its end, or that it can be told why not."""
        self._marker(name).unlink(missing_ok=True)

    def harmful(self, named: Mapping[str, str]) -> dict[str, VideoError]:
        """Return which of these videos, once begun and not ended, harm their decoder, and how.

        Raises: DeviceError if no process can be started to find out.
        """
        found: dict[str, VideoError] = {}
        for name, video in named.items():
            if is_url(video) or not self._marker(name).exists() or not os.path.isfile(video):
                continue
            log.warning("%s: an earlier call ended while this was read; a process of its own decodes it first", video)
            timeout_s = _SHORTEST_S + os.path.getsize(video) / _BYTES_A_SECOND
            (probe,) = probe_files([Job("video", os.fsencode(video), deep=True)], workers=1, timeout_s=timeout_s)
            if probe.problem is not None and probe.passing:
                found[name] = VideoError(f"{video}: {probe.problem}, in a process of its own, too")
        return found

    def _marker(self, name: str) -> Path:
        return self.folder / f".{name}.begun"

"""The demo's network as an ONNX file, made once for all tests that look into one: it takes ten seconds."""

from __future__ import annotations

import functools
import os
import tempfile
from pathlib import Path
from unittest import mock

import videohub

NAME = "slowfast_motions"


@functools.cache
def exported() -> videohub.Exported:
    """Return what was exported; its folder goes with the process."""
    folder = tempfile.TemporaryDirectory(prefix="videohub-test-")
    _KEPT.append(folder)
    with mock.patch.dict(os.environ, {"VIDEOHUB_HOME": str(Path(folder.name) / "cache")}):
        return videohub.export(NAME, Path(folder.name) / "motions.onnx")


_KEPT: list[tempfile.TemporaryDirectory[str]] = []

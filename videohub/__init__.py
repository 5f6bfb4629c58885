"""videohub: published video-recognition checkpoints, found by name, read safely, proved and re-measured."""

__version__ = "0.1.0"

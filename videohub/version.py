"""The version, which the package tells, and files that videohub wrote."""

__version__ = "0.1.0"

"""Tests of `videohub.metrics`."""

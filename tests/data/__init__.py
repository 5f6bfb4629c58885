"""Tests of `videohub.data`."""

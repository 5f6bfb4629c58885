"""Pickles read without running anything in them: what they name is an inert stand-in, arrays stay in their file."""

"""Weights for machines without a connection: packed into one file here, installed whole or not at all there."""

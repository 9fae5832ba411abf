"""Fathom: from a ticket dataset to a local model you own, gated and measured."""

__version__ = "0.1.0"

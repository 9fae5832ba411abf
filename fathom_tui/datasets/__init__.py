"""Data files on their way to a locked split: formats, checks, near duplicates, splits."""

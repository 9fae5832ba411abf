"""Data only: catalog, templates, styles, demo data; read with importlib.resources."""

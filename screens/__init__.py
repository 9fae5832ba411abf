"""The screens, one a file; the only package that knows Textual."""

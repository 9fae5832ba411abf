"""Lazy adapters to what is not ours: the driver, package metadata, the system, services."""

"""Metrics and protocols as pure functions; other layers read and write files."""

"""Preparation of data sets: scanning, reading, recording, writing and detecting changes."""

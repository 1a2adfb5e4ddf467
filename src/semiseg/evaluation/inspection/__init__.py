"""Inspection of a data set before training: measurements, and findings on likely errors."""

"""Prediction of masks on the original grid of an image."""

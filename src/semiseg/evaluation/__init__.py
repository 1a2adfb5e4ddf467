"""Metrics and protocols: a functional core without files; reading and writing lie above it."""

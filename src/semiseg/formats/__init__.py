"""Image files in and out, one file per format; every reader refuses nonsense.

``prepare`` reads with these functions and ``predict`` does too, so that a network sees an image in
one and the same form.
"""

"""semiseg: a trained, measured segmenter from a few labelled and many unlabelled images."""

__version__ = "0.1.0"

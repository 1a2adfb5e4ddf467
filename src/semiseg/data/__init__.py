"""Prepared data sets: manifest, arrays, splits, sampler, augmentation and batches."""

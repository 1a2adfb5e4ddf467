"""The prepared set: manifest, arrays, splits, sampler, augmentation, batches."""

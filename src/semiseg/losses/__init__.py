"""Pure functions of tensors, one file a loss."""

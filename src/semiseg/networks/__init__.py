"""Networks. Contract: ``features(x)`` gives maps from coarse to fine, ``out_channels`` their widths
and ``reductions`` by how much each is smaller than the input (1: full resolution)."""

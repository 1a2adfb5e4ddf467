"""Networks. Contract: ``features(x)`` gives maps from coarse to fine, ``out_channels`` their widths,
``reductions`` by how much each is smaller than the input (1: full resolution; in 3D along the axes of
the shortest voxels) and ``dims`` for how many dimensions it is made."""

"""What is measured of a data set before anything is trained on it, and what looks wrong in it."""

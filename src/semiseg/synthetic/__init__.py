"""Generated images, which demo, tests and docs use in place of real ones."""

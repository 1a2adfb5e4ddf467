"""From a source to a prepared set: what a case is read as, recorded and written, and what has changed."""

"""One module per command: parse, call a workflow, print. Heavy imports are inside the functions."""

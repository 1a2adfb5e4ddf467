"""The commands as plain functions of the same names."""

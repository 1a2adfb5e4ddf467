"""What a verb does, as plain functions of the same name."""

"""One small module a verb: parse, call, print. Heavy imports happen inside the functions."""

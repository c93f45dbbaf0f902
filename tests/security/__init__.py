"""Attacks, each by one that the trust model names: they fail."""

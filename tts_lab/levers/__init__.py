"""Levers: one optimisation a file, usable on every system."""

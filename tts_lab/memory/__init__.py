"""Meters: what a run costs, stage by stage. This package knows nothing of speech."""

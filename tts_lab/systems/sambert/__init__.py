"""Sambert-HiFiGAN: weight-compatible acoustic model and vocoder, with a front end of the lab's own."""

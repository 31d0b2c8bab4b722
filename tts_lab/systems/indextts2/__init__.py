"""`indextts2`, IndexTTS-2 at its released size: weight-compatible, and with random weights enough for memory and speed."""

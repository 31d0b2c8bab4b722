"""`indextts2`, IndexTTS-2 at its released size: weight-compatible; random weights are enough for memory and speed."""

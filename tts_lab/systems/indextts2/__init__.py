"""`indextts2`: IndexTTS-2 at its released size, weight-compatible. Code is the lab's own; weights are the user's."""

"""IndexTTS-2 under its released parameter names: at full size with weights that the user has, or with random ones."""

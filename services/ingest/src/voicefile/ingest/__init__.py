"""Takes voice files in and seals them while they arrive."""

"""The transparency log: append, checkpoint, prove."""

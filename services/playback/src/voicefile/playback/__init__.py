"""Opens ranges of a recording for whoever holds a release."""

"""Key custody: the one place where keys are unlocked, turned and used to sign."""

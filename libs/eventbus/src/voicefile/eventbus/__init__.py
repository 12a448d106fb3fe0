"""Facts that travel between services at least once, behind one port."""

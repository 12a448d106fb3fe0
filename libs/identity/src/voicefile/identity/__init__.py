"""Who is asking: verifies principals, never issues them."""

"""Web pages for customers and care; a client of the other services."""

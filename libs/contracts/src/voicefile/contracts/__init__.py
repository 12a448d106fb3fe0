"""The events services exchange, generated from proto/."""

"""Issuing access: the commit point of a recording's way in, and what it is made of."""

"""Tokens: how partners and staff prove who they are."""

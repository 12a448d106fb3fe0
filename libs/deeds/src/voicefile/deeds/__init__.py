"""Every deed of everyone, numbered without a gap."""

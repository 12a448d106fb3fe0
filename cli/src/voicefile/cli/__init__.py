"""The command line: serve, demo, tenant, migrate."""

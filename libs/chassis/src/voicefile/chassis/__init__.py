"""A process before its first request: settings, logs, problems, TLS, health."""

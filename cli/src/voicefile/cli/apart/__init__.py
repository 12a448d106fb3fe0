"""One service by itself over real engines: waited for, opened, built, served."""

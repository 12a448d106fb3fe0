"""A witness of transparency logs (C2SP tlog-witness), run by somebody who does not run the vault.

A *log* is known by its *origin*, and trusted by a key that was configured by hand. The *memory* is
the last checkpoint of each log that was *cosigned*. *Evidence* is a checkpoint that the log has
signed and that does not continue what was cosigned.
"""

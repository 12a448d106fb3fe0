"""A service's documents as they leave it: sealed to recipients whose secret halves are offline.

A *dump* is all of a service's documents at a time, or those that have changed since an earlier
one, in *segments* (VFE1 kind 4) under a data key of its own, which is sealed to each *recipient*.
The service seals and sends; whoever asked for it carries what it can't read. Who the recipients
are, the service is told by its own settings and never by who asks.
"""

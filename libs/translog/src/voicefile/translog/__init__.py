"""RFC 6962 Merkle arithmetic, proofs and signed checkpoints; no I/O.

A *leaf* is what a log commits to. A *tree* of some *size* has one *root*. A *frontier* is what is
needed to go on appending. A *tile* is up to 256 neighbouring hashes of one level (levels count in
steps of eight). A *checkpoint* is a signed root; an *inclusion proof* ties a leaf to it, and a
*consistency proof* ties it to an older one.
"""

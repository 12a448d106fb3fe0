"""RFC 6962 Merkle arithmetic, proofs and signed checkpoints; no I/O."""

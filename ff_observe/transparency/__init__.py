"""What makes a log provable: a Merkle tree over its lines, signed checkpoints of it, cosignatures and proofs."""

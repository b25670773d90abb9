"""The receiving end of the ping: accepts what the contract names, and stores a keyed hash of the sender's address."""

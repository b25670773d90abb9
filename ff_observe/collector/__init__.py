"""The receiving end of the ping: accepts what the contract names, and keeps a keyed hash of the sender's address."""

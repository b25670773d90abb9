"""A collector's two keys, which `sender_hash` and `receipts` use: where they are kept, and what wraps them there."""

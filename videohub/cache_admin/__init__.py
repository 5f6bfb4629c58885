"""What the cache holds and whom it belongs to: listing, checking, pruning, pins, and bundles for other machines."""

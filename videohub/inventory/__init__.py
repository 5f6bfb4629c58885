"""What the cache holds and whom it belongs to: entries of the hub, joined with the registry's records."""

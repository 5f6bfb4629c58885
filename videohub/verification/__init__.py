"""Recompute the published number of a record on one's own data: which samples, in which process, kept and resumed."""

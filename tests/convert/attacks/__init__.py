"""Hand-made samples of the attacks on model files that the literature describes; all they would do is make a file."""

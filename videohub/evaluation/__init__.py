"""A model over videos: decoded by worker processes, views in batches, probabilities in the videos' order."""

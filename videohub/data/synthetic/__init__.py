"""Videos that are made, not downloaded: the data set of the demo, and its scenes."""

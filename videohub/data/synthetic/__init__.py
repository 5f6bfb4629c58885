"""Videos that are made, not downloaded: the data set of the demo, its scenes, and the mp4 files they go into."""

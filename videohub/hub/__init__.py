"""From a URL to a verified file in the cache. What is in the file is none of this wing's business."""

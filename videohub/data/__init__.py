"""Turn a video into the views of a test, exactly as a protocol says; also data sets and names of classes.

Importing this package loads neither torch nor a decoder; import the file that holds what you need.
"""

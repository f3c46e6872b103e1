"""Which clips there are: files, folders and the layouts of public data sets."""

"""Built-in upstreams: one file per model family; the file's name is the upstream's name."""

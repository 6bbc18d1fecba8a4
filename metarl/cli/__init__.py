"""One file a command of `metarl`: `main(rest)` takes the words after its name and returns the exit code."""

"""Speed and numbers, side by side in one run: `metarl bench NAME`."""

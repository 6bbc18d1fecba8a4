"""Speed measured side by side in one run: `metarl bench NAME`."""

"""Trained agents with a model card each: those that come with metarl, and those that you added or pulled."""

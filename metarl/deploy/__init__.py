"""A trained agent on your robot: a session that acts, observes and adapts, and policies exported to other runtimes."""

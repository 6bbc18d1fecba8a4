"""Pictures and films of episodes, and the GL that draws them without a screen."""

"""Other libraries' algorithms on our environments: `python -m metarl.experiments.interop.sb3_ppo --help`."""

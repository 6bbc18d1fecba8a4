"""The process that a command runs in: its memory, threads and streams, and the machine that it is on."""

"""Task families on gymnasium's v5 MuJoCo robots, stepped in lockstep at the speed of their physics."""

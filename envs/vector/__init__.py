"""Our lanes as gymnasium's vector env, as one env, and as SB3's VecEnv: for everybody's algorithms."""

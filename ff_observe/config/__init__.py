"""`flowforge.yml` and the environment as typed, frozen settings; every problem with its place."""

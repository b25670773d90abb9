"""Mutation testing: changes one module at a time in a copy of the project, and runs that module's own unit tests."""

"""Examines a platform and its bridge. Each check is data, with its title for the good case."""

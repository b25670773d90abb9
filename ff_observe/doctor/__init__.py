"""Examines a platform and its bridge: each check as data, with what it says when all is well."""

"""Puts the network guard into every Python process the tests start."""

from tests import network_guard

network_guard.install()

"""A Python program that observes many FlowFuse platforms: python examples/many_platforms.py /srv/flowforge."""

import sys

import uvicorn

import ff_observe

bridge = ff_observe.build_bridge(ff_observe.load_platforms(sys.argv[1]))  # a directory of homes, or a file
with bridge:
    uvicorn.run(bridge.app, host="127.0.0.1", port=10464)

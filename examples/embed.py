"""A Python platform that carries the bridge in itself: no second process, its own web server.

python examples/embed.py /opt/flowforge
"""

import sys

import uvicorn

import ff_observe

settings = ff_observe.load_settings(home=sys.argv[1])
bridge = ff_observe.build_bridge(settings)  # ping, Sentry and OTLP, as flowforge.yml says
with bridge:  # start() and stop()
    uvicorn.run(bridge.app, host="127.0.0.1", port=10464)  # or mount bridge.app in your own ASGI application

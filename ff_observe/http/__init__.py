"""The bounded HTTP/1.1 server that the bridge and the collector share; it depends on neither."""

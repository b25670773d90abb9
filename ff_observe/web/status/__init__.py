"""The status of one platform and its bridge: what `/api/status` answers, and the page that shows the same."""

"""The embedded demo platform: a FlowFuse database that lives, for trying the bridge without a FlowFuse."""

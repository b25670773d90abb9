"""The embedded demo platform: a simulated FlowFuse database, for trying the bridge without FlowFuse."""

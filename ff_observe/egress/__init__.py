"""What leaves the building: every host that ff-observe, FlowFuse, its visitors' browsers and builds would contact."""

"""From a configuration to typed options, and from these to results."""

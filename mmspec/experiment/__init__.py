"""From a configuration to typed, frozen options and the objects that they name."""

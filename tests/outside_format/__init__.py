"""A wire format of somebody else's, as a package of their own would have it."""

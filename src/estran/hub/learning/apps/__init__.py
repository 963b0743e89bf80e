"""What runs in Flower's own Python: the two apps of the bundle, and the processes of the hub and of a site that run them."""

"""Training of face parsing on rendered people."""

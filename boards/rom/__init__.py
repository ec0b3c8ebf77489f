"""Memory that is only read: block RAM with contents, and what sends them on a stream."""

"""A photograph and a voice in, a film out, whatever the system."""

"""What several resources do to one thing."""

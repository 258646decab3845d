"""Personal data at rest: persons' keys, sealing and opening of events, erasure."""

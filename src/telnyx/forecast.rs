//! How long the balance lasts: what it loses in an hour, estimated from readings.

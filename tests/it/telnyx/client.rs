//! The client, on every way an API can go wrong.

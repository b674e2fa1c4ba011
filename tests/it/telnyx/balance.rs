//! Readings of the balance, and what they ring.

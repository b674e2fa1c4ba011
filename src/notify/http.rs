//! The HTTP client of all notifiers: deadlines, no redirects.

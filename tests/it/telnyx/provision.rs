//! `tollbell provision`.

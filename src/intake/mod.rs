//! The public listener: takes bytes, checks size and signature, and only then lets them be parsed.

pub mod signature;

//! Templates of annotations and messages: minijinja, strict about undefined names, bounded in work.

//! Statements and their parameters.
//!
//! Nothing is prepared: a pooler in transaction mode may hand one process the statement that another has prepared under the
//! same name. So each parameter brings its type.

use std::borrow::Cow;

use tokio_postgres::types::{ToSql, Type};

/// A parameter with its type.
pub(super) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// Values that have one type in PostgreSQL.
pub(super) trait Typed: ToSql + Sync + Sized {
    const TYPE: Type;

    fn parameter(&self) -> Parameter<'_> {
        (self, Self::TYPE)
    }
}

macro_rules! typed {
    ($($rust:ty: $one:ident, $many:ident;)*) => { $(
        impl Typed for $rust {
            const TYPE: Type = Type::$one;
        }
        impl Typed for Option<$rust> {
            const TYPE: Type = Type::$one;
        }
        impl Typed for Vec<$rust> {
            const TYPE: Type = Type::$many;
        }
        impl Typed for Vec<Option<$rust>> {
            const TYPE: Type = Type::$many;
        }
    )* };
}

typed! {
    bool: BOOL, BOOL_ARRAY;
    i32: INT4, INT4_ARRAY;
    i64: INT8, INT8_ARRAY;
    String: TEXT, TEXT_ARRAY;
    &str: TEXT, TEXT_ARRAY;
    Cow<'_, str>: TEXT, TEXT_ARRAY;
    Vec<u8>: BYTEA, BYTEA_ARRAY;
    &[u8]: BYTEA, BYTEA_ARRAY;
}

/// The parameters of a statement.
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        &[$($crate::store::postgres::sql::Typed::parameter(&$value)),*]
    };
}
pub(super) use params;

/// Text as PostgreSQL can hold it: its zero character is kept as its picture.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{2400}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Text that may not be there.
pub(super) fn some_text(value: Option<&String>) -> Option<Cow<'_, str>> {
    value.map(|value| text(value))
}

/// Names as they are in our own schema: `~inbox` becomes `"tollbell".inbox`.
pub(super) fn named(sql: &str, schema: &str) -> String {
    sql.replace('~', schema)
}

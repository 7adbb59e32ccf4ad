//! Values on their way into PostgreSQL, and rows on their way out.

use std::{borrow::Cow, error::Error as StdError};

use bytes::BytesMut;
use tokio_postgres::{
    Column,
    types::{IsNull, ToSql, Type, to_sql_checked},
};

use crate::{
    Error,
    tx::{Row, Value},
};

/// A type that the store has no values of.
#[derive(Debug, thiserror::Error)]
#[error("a value of the store does not fit a parameter of type {0}")]
struct Misfit(Type);

impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(value) if *ty == Type::INT8 => value.to_sql(ty, out),
            Self::Integer(value) if *ty == Type::INT4 => i32::try_from(*value)?.to_sql(ty, out),
            Self::Bytes(bytes) if *ty == Type::BYTEA => (&**bytes).to_sql(ty, out),
            Self::Text(text) if [Type::TEXT, Type::VARCHAR].contains(ty) => {
                storable(text).to_sql(ty, out)
            }
            _ => Err(Box::new(Misfit(ty.clone()))),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// PostgreSQL knows no character 0 in a text: it becomes the one that stands for what can not be
/// shown.
pub(crate) fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

impl Row for tokio_postgres::Row {
    fn optional_text(&self, column: usize) -> Result<Option<&str>, Error> {
        self.try_get(column)
            .map_err(|error| unreadable(column, &error))
    }

    fn optional_integer(&self, column: usize) -> Result<Option<i64>, Error> {
        let kind = self.columns().get(column).map(Column::type_);
        let found = if kind == Some(&Type::INT4) {
            let found = self.try_get::<_, Option<i32>>(column);
            found.map(|found| found.map(i64::from))
        } else {
            self.try_get(column)
        };
        found.map_err(|error| unreadable(column, &error))
    }

    fn optional_bytes(&self, column: usize) -> Result<Option<&[u8]>, Error> {
        self.try_get(column)
            .map_err(|error| unreadable(column, &error))
    }

    fn value(&self, column: usize) -> Result<Value<'_>, Error> {
        let kind = self.columns().get(column).map(Column::type_);
        if kind == Some(&Type::TEXT) {
            Ok(self.optional_text(column)?.into())
        } else if kind == Some(&Type::BYTEA) {
            Ok(self.optional_bytes(column)?.into())
        } else {
            Ok(self.optional_integer(column)?.into())
        }
    }
}

fn unreadable(column: usize, error: &tokio_postgres::Error) -> Error {
    let cause = StdError::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    Error::corrupt(format!("column {column}: {cause}"))
}

//! A page's columns, built value by value.

use lake::{Column as Declared, ColumnType};
use polars::prelude::*;

use super::Reader;
use super::value::Value;

/// Takes the values of one column.
pub(super) enum Builder {
    Int32(PrimitiveChunkedBuilder<Int32Type>),
    Int64(PrimitiveChunkedBuilder<Int64Type>),
    Date(PrimitiveChunkedBuilder<Int32Type>),
    Timestamp(PrimitiveChunkedBuilder<Int64Type>),
    Local(PrimitiveChunkedBuilder<Int64Type>),
    Bool(BooleanChunkedBuilder),
    String(StringChunkedBuilder),
}

impl Builder {
    pub(super) fn new(column: &Declared, rows: usize) -> Self {
        let name: PlSmallStr = column.name.as_str().into();
        match column.kind {
            ColumnType::Int32 => Self::Int32(PrimitiveChunkedBuilder::new(name, rows)),
            ColumnType::Int64 | ColumnType::Money => Self::Int64(PrimitiveChunkedBuilder::new(name, rows)),
            ColumnType::Date => Self::Date(PrimitiveChunkedBuilder::new(name, rows)),
            ColumnType::Timestamp => Self::Timestamp(PrimitiveChunkedBuilder::new(name, rows)),
            ColumnType::Local => Self::Local(PrimitiveChunkedBuilder::new(name, rows)),
            ColumnType::Bool => Self::Bool(BooleanChunkedBuilder::new(name, rows)),
            ColumnType::String => Self::String(StringChunkedBuilder::new(name, rows)),
        }
    }

    pub(super) fn push(&mut self, value: &Value, reader: &Reader<'_>) {
        match (self, value) {
            (Self::Int32(it) | Self::Date(it), Value::Int32(value)) => it.append_value(*value),
            (Self::Int64(it) | Self::Timestamp(it) | Self::Local(it), Value::Int64(value)) => it.append_value(*value),
            (Self::Bool(it), Value::Bool(value)) => it.append_value(*value),
            (Self::String(it), Value::Text(field)) => it.append_value(reader.text(*field)),
            (Self::Int32(it) | Self::Date(it), _) => it.append_null(),
            (Self::Int64(it) | Self::Timestamp(it) | Self::Local(it), _) => it.append_null(),
            (Self::Bool(it), _) => it.append_null(),
            (Self::String(it), _) => it.append_null(),
        }
    }

    pub(super) fn finish(self) -> Series {
        match self {
            Self::Int32(it) => it.finish().into_series(),
            Self::Int64(it) => it.finish().into_series(),
            Self::Date(it) => it.finish().into_date().into_series(),
            Self::Timestamp(it) => it.finish().into_datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)).into_series(),
            Self::Local(it) => local_series(it.finish()),
            Self::Bool(it) => it.finish().into_series(),
            Self::String(it) => it.finish().into_series(),
        }
    }
}

/// A column of local times.
pub(super) fn local_series(micros: Int64Chunked) -> Series {
    micros.into_datetime(TimeUnit::Microseconds, None).into_series()
}

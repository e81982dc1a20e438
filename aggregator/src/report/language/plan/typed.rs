//! Expressions that know their type, and what types go together.

use chrono::NaiveDate;
use polars::prelude::{
    AnyValue, DataType, Expr as Px, IntoLazy as _, LiteralValue, NULL, Scalar, TimeUnit, TimeZone, df, lit,
};
use sqlparser::ast::Spanned;

use super::super::diagnostic::Fault;

/// The types of the shared language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Of a bare NULL, which takes any.
    Null,
    Bool,
    Int32,
    Int64,
    Float,
    Text,
    Date,
    Moment,
}

impl Kind {
    pub(crate) fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Null => Self::Null,
            DataType::Boolean => Self::Bool,
            DataType::Int32 => Self::Int32,
            DataType::Int64 => Self::Int64,
            DataType::Float64 => Self::Float,
            DataType::String => Self::Text,
            DataType::Date => Self::Date,
            DataType::Datetime(TimeUnit::Microseconds, Some(_)) => Self::Moment,
            _ => return None,
        })
    }

    pub(crate) fn data_type(self) -> DataType {
        match self {
            Self::Null => DataType::Null,
            Self::Bool => DataType::Boolean,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Text => DataType::String,
            Self::Date => DataType::Date,
            Self::Moment => DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)),
        }
    }

    pub(super) const fn is_number(self) -> bool {
        matches!(self, Self::Null | Self::Int32 | Self::Int64 | Self::Float)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Bool => "a condition",
            Self::Int32 | Self::Int64 => "a whole number",
            Self::Float => "a fraction",
            Self::Text => "a text",
            Self::Date => "a date",
            Self::Moment => "a timestamp",
        }
    }

    /// The type that holds values of both.
    fn with(self, other: Self) -> Option<Self> {
        Some(match (self, other) {
            (one, two) if one == two => one,
            (Self::Null, other) | (other, Self::Null) => other,
            (one, two) if one.is_number() && two.is_number() => {
                if one == Self::Float || two == Self::Float {
                    Self::Float
                } else {
                    Self::Int64
                }
            }
            (Self::Date, Self::Moment) | (Self::Moment, Self::Date) => Self::Moment,
            _ => return None,
        })
    }
}

/// What a literal says, so that it can be said again in another type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Integer(i64),
    Text(String),
}

/// An expression of the engine with its type.
#[derive(Debug, Clone)]
pub(crate) struct Typed {
    pub(super) expr: Px,
    pub(super) kind: Kind,
    pub(super) literal: Option<Literal>,
}

impl Typed {
    pub(super) const fn new(expr: Px, kind: Kind) -> Self {
        Self { expr, kind, literal: None }
    }

    pub(super) fn null() -> Self {
        Self::new(Px::Literal(LiteralValue::Scalar(Scalar::null(DataType::Null))), Kind::Null)
    }

    pub(super) fn integer(value: i64) -> Self {
        let kind = if i32::try_from(value).is_ok() { Kind::Int32 } else { Kind::Int64 };
        Self { expr: integer(value, kind), kind, literal: Some(Literal::Integer(value)) }
    }

    pub(super) fn text(value: &str) -> Self {
        Self { expr: lit(value.to_owned()), kind: Kind::Text, literal: Some(Literal::Text(value.to_owned())) }
    }

    pub(super) fn bool(expr: Px) -> Self {
        Self::new(expr, Kind::Bool)
    }

    /// The same value in a wider type.
    pub(super) fn widened(self, kind: Kind) -> Px {
        match (&self.literal, self.kind) {
            (_, same) if same == kind => self.expr,
            (Some(Literal::Integer(value)), _) if kind.is_number() => integer(*value, kind),
            (_, Kind::Null) => lit(NULL).cast(kind.data_type()),
            _ => self.expr.cast(kind.data_type()),
        }
    }

    /// Whether it is one value for all rows.
    pub(super) fn is_constant(&self) -> bool {
        !self.expr.into_iter().any(|part| matches!(part, Px::Column(_)))
    }

    /// The same, computed if it is one value: the engine takes the height of a constant expression for one row.
    pub(super) fn folded(self, at: &impl Spanned) -> Result<Self, Fault> {
        if self.literal.is_some() || matches!(self.expr, Px::Literal(_)) || !self.is_constant() {
            return Ok(self);
        }
        let one = df!("#one" => [true]).and_then(|one| one.lazy().select([self.expr.alias("#value")]).collect());
        let value = one.and_then(|one| one.column("#value")?.get(0).map(AnyValue::into_static));
        let value = value.map_err(|error| {
            let text = error.to_string();
            fault(at, text.lines().next().unwrap_or_default())
        })?;
        let text = if let AnyValue::StringOwned(text) = &value { Some(Literal::Text(text.to_string())) } else { None };
        let scalar = Scalar::new(self.kind.data_type(), value);
        Ok(Self { expr: Px::Literal(LiteralValue::Scalar(scalar)), kind: self.kind, literal: text })
    }

    /// The name of the column that this is, as it stands.
    pub(super) fn column(&self) -> Option<&str> {
        match &self.expr {
            Px::Column(name) => Some(name.as_str()),
            _ => None,
        }
    }

    pub(super) fn expect(self, at: &impl Spanned, kind: Kind, what: &str) -> Result<Px, Fault> {
        if self.kind == kind || self.kind == Kind::Null {
            return Ok(self.widened(kind));
        }
        Err(fault(at, format!("{what} must be {}, not {}", kind.name(), self.kind.name())))
    }
}

#[expect(clippy::cast_precision_loss, reason = "every engine widens a whole number so")]
fn integer(value: i64, kind: Kind) -> Px {
    let scalar = match (kind, i32::try_from(value)) {
        (Kind::Float, _) => Scalar::from(value as f64),
        (Kind::Int32, Ok(value)) => Scalar::from(value),
        _ => Scalar::from(value),
    };
    Px::Literal(LiteralValue::Scalar(scalar))
}

/// Two values in one type. A text literal beside a date or a timestamp is one itself.
pub(super) fn united(at: &impl Spanned, one: Typed, two: Typed) -> Result<(Px, Px, Kind), Fault> {
    let (one, two) = (dated(at, one, two.kind)?, two);
    let two = dated(at, two, one.kind)?;
    match one.kind.with(two.kind) {
        Some(kind) => Ok((one.widened(kind), two.widened(kind), kind)),
        None => Err(fault(at, format!("{} stands beside {}", one.kind.name(), two.kind.name()))
            .hint("CAST one of them, so that both are of one type")),
    }
}

/// Values in one type.
pub(super) fn all_united(at: &impl Spanned, values: Vec<Typed>) -> Result<(Vec<Px>, Kind), Fault> {
    let other = values.iter().map(|it| it.kind).find(|kind| matches!(kind, Kind::Date | Kind::Moment));
    let values: Vec<Typed> = match other {
        Some(kind) => values.into_iter().map(|value| dated(at, value, kind)).collect::<Result<_, _>>()?,
        None => values,
    };
    let mut kind = Kind::Null;
    for value in &values {
        kind = kind.with(value.kind).ok_or_else(|| {
            fault(at, format!("{} stands beside {}", kind.name(), value.kind.name()))
                .hint("CAST one of them, so that all are of one type")
        })?;
    }
    Ok((values.into_iter().map(|value| value.widened(kind)).collect(), kind))
}

fn dated(at: &impl Spanned, value: Typed, beside: Kind) -> Result<Typed, Fault> {
    let (Some(Literal::Text(text)), Kind::Date | Kind::Moment) = (&value.literal, beside) else { return Ok(value) };
    match date(text) {
        Some(day) if beside == Kind::Date => Ok(Typed::new(day_literal(day), beside)),
        Some(day) => Ok(Typed::new(day_literal(day).cast(beside.data_type()), beside)),
        None => Err(fault(at, format!("'{text}' is no date")).hint("a date is written '2026-08-01'")),
    }
}

/// `2026-08-01`, and nothing else.
pub(super) fn date(text: &str) -> Option<NaiveDate> {
    let day: NaiveDate = text.parse().ok()?;
    (day.to_string() == text).then_some(day)
}

pub(super) fn day_literal(day: NaiveDate) -> Px {
    let days = AnyValue::Date(day.to_epoch_days());
    Px::Literal(LiteralValue::Scalar(Scalar::new(DataType::Date, days)))
}

pub(super) fn fault(at: &impl Spanned, message: impl Into<String>) -> Fault {
    Fault::at(at.span().start, message)
}

//! Values of parameters: typed, and bound into SQL as literals.

use std::fmt;

use chrono::NaiveDate;
use serde::Serialize;

/// A parameter's value after its type and bounds were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Date(NaiveDate),
    Int(i64),
    Decimal(Decimal),
    Text(String),
    Bool(bool),
    /// Of one type; empty means "no filter".
    List(Vec<Value>),
}

impl Value {
    /// As a JSON value: dates and decimals as text, so that they stay exact.
    #[must_use]
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Date(date) => date.to_string().into(),
            Self::Int(number) => (*number).into(),
            Self::Decimal(number) => number.to_string().into(),
            Self::Text(text) => text.as_str().into(),
            Self::Bool(value) => (*value).into(),
            Self::List(values) => values.iter().map(Self::to_json).collect(),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

/// A decimal number, exact: `units` ten-millionths and such, by `scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decimal {
    units: i64,
    scale: u32,
}

impl Decimal {
    /// Digits before and after the point together; more would not fit the engine's numbers exactly.
    const DIGITS: usize = 15;

    /// Reads `-12.50`: digits, at most one point, no exponent.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (negative, magnitude) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, part) = magnitude.split_once('.').unwrap_or((magnitude, ""));
        let digits = format!("{whole}{part}");
        let sound =
            !whole.is_empty() && digits.len() <= Self::DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !sound || (magnitude.contains('.') && part.is_empty()) {
            return None;
        }
        let units: i64 = digits.parse().ok()?;
        Some(Self { units: if negative { -units } else { units }, scale: u32::try_from(part.len()).ok()? })
    }

    pub(crate) const fn is_negative(self) -> bool {
        self.units < 0
    }

    pub(crate) const fn magnitude(self) -> Self {
        Self { units: self.units.abs(), scale: self.scale }
    }

    /// As text that is a fraction to every parser: `1.0`.
    pub(crate) fn with_point(self) -> String {
        if self.scale == 0 { format!("{self}.0") } else { self.to_string() }
    }

    /// Both numbers in the finer of their two scales.
    fn aligned(self, other: Self) -> (i128, i128) {
        let scale = self.scale.max(other.scale);
        let raise = |number: Self| i128::from(number.units) * 10_i128.pow(scale - number.scale);
        (raise(self), raise(other))
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        let (left, right) = self.aligned(*other);
        left.partial_cmp(&right)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.units < 0 { "-" } else { "" };
        let (unit, magnitude) = (10_u64.pow(self.scale), self.units.unsigned_abs());
        write!(out, "{sign}{}", magnitude / unit)?;
        if self.scale > 0 {
            let width = self.scale as usize;
            write!(out, ".{:0width$}", magnitude % unit)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Decimal;

    #[test]
    fn decimals_are_read_exactly_or_not_at_all() {
        for text in ["0", "12.50", "-0.05", "999999999999999"] {
            assert_eq!(Decimal::parse(text).map(|number| number.to_string()).as_deref(), Some(text));
        }
        for text in ["", "-", ".5", "5.", "1e3", "+1", "1.2.3", "0x10", "NaN", "9999999999999999", "--5", "１"] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
        assert!(Decimal::parse("1.5") > Decimal::parse("1.49"));
        assert!(Decimal::parse("-1") < Decimal::parse("0.001"));
    }
}

//! Arithmetic and text functions where the engine's own are not those of SQL.

use polars::prelude::*;

use super::cure::{Cure, is_reverted};

/// A quotient of fractions; nothing where the divisor is zero.
///
/// The engine multiplies by the reciprocal of a divisor that is one value for all rows, so that 98 / 49 is less than 2.
pub(super) fn divide(dividend: Expr, divisor: Expr) -> Expr {
    if is_reverted(Cure::Division) {
        return dividend / divisor;
    }
    if let Expr::Literal(value) = &divisor
        && let Some(by) = value.to_any_value().and_then(|by| by.extract::<f64>()).filter(|by| *by != 0.0)
    {
        return dividend.map(
            move |column| Ok(column.f64()?.apply_values(|value| value / by).into_column()),
            |_, field| Ok(Field::new(field.name().clone(), DataType::Float64)),
        );
    }
    let is_guarded = !is_reverted(Cure::ZeroDivisor);
    let quotient = move |columns: &mut [Column]| {
        let (dividends, divisors) = (columns[0].f64()?, columns[1].f64()?);
        let by = |value: f64, divisor: f64| (divisor != 0.0).then(|| value / divisor);
        let result: Float64Chunked = match (dividends.len(), divisors.len()) {
            (_, 1) => match divisors.get(0).filter(|divisor| *divisor != 0.0) {
                Some(divisor) => dividends.apply_values(|value| value / divisor),
                None => Float64Chunked::full_null(dividends.name().clone(), dividends.len()),
            },
            (1, _) => match dividends.get(0) {
                Some(value) => divisors.apply(|divisor| by(value, divisor?)),
                None => Float64Chunked::full_null(dividends.name().clone(), divisors.len()),
            },
            _ => {
                let zeros = divisors.equal(0.0);
                let quotients = dividends / divisors;
                if is_guarded && zeros.any() { quotients.set(&zeros, None)? } else { quotients }
            }
        };
        Ok(result.with_name(columns[0].name().clone()).into_column())
    };
    map_multiple(quotient, [dividend, divisor], |_, fields| Ok(Field::new(fields[0].name().clone(), DataType::Float64)))
}

/// Half to even, as SQL's CAST to a whole number rounds a fraction.
pub(super) fn rounded(fraction: Expr) -> Expr {
    if is_reverted(Cure::Rounding) {
        return fraction;
    }
    fraction.round(0, RoundMode::HalfToEven)
}

/// Upper or lower case, one letter for one, as the databases have it: no engine's text grows.
pub(super) fn in_case(text: Expr, is_upper: bool) -> Expr {
    if is_reverted(Cure::LetterCase) {
        return if is_upper { text.str().to_uppercase() } else { text.str().to_lowercase() };
    }
    text.map(
        move |column| {
            let change = |text: &str| -> String {
                text.chars().map(|letter| if is_upper { upper(letter) } else { lower(letter) }).collect()
            };
            let texts = column.str()?;
            Ok(texts.apply_values(|text| change(text).into()).into_column())
        },
        |_, field| Ok(field.clone()),
    )
}

fn upper(letter: char) -> char {
    let mut letters = letter.to_uppercase();
    match (letters.next(), letters.next()) {
        (Some(only), None) => only,
        // With an iota below, which is two letters in full, and one as a title has it.
        _ if matches!(letter, 'ᾀ'..='ᾇ' | 'ᾐ'..='ᾗ' | 'ᾠ'..='ᾧ') => after(letter, 8),
        _ if matches!(letter, 'ᾳ' | 'ῃ' | 'ῳ') => after(letter, 9),
        _ if letter == 'ß' => 'ẞ',
        _ => letter,
    }
}

fn after(letter: char, places: u32) -> char {
    char::from_u32(u32::from(letter) + places).unwrap_or(letter)
}

fn lower(letter: char) -> char {
    // Only İ has two: an i and a dot.
    letter.to_lowercase().next().unwrap_or(letter)
}

/// A regular expression for a pattern of LIKE, in which a backslash is a letter as any other.
pub(super) fn like(pattern: &str) -> String {
    let mut text = "(?s)^".to_owned();
    for letter in pattern.chars() {
        match letter {
            '%' => text.push_str(".*"),
            '_' => text.push('.'),
            letter if letter.is_ascii() && !letter.is_ascii_alphanumeric() && !letter.is_ascii_whitespace() => {
                text.push('\\');
                text.push(letter);
            }
            letter => text.push(letter),
        }
    }
    text.push('$');
    text
}

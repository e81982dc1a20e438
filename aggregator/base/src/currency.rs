//! The company's currency, with the digits that ISO 4217 gives its amounts.

use std::fmt;
use std::str::FromStr;

/// A currency in which amounts can be: yen have no decimals, dollars two, Kuwaiti dinars three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Currency {
    code: &'static str,
    decimals: u8,
}

impl Currency {
    /// Its code in three capital letters.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.code
    }

    /// Decimals of an amount in major units, 0 to 4: so many digits make minor units of it (ISO 4217, list one).
    #[must_use]
    pub const fn decimals(self) -> u8 {
        self.decimals
    }
}

impl FromStr for Currency {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = iso_currency::Currency::from_code(text)
            .ok_or("it must be a code of ISO 4217 in three capital letters, such as EUR")?;
        // Metals, funds and codes for tests have none.
        let decimals = found.exponent().and_then(|digits| u8::try_from(digits).ok());
        let decimals = decimals.ok_or("ISO 4217 gives this code no minor unit, so no amount can be in it")?;
        Ok(Self { code: found.code(), decimals })
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::Currency;

    #[test]
    fn each_currency_has_the_digits_of_iso_4217() {
        let expected = [("CAD", 2), ("EUR", 2), ("JPY", 0), ("KRW", 0), ("ISK", 0), ("KWD", 3), ("TND", 3), ("CLF", 4)];
        for (code, decimals) in expected {
            assert_eq!(code.parse().map(Currency::decimals), Ok(decimals), "{code}");
        }
    }

    #[test]
    fn a_code_in_which_nothing_is_priced_is_refused() {
        for code in ["ZZZ", "XAU", "XXX", "XTS", "eur", "EURO", "", "€"] {
            assert!(code.parse::<Currency>().is_err(), "{code}");
        }
    }
}

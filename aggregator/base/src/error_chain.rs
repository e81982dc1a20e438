//! An error with its causes, as text.

use std::error::Error;

/// An error and all its causes in one line, for logs: `Display` of each layer says only its own part.
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_follows_its_effect() {
        let inner = sqlx::Error::Protocol("cut".to_owned());
        assert_eq!(error_chain(&inner), inner.to_string());
        let outer = sqlx::Error::Io(std::io::Error::other("reset"));
        assert!(error_chain(&outer).ends_with(": reset"), "{}", error_chain(&outer));
    }
}

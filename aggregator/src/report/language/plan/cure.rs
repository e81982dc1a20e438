//! Where the engine's own way is not SQL's, by name: a test takes each cure back, and the fuzzer must find it.

/// What is done otherwise than the engine would do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cure {
    /// An outer join with more than equalities keeps the rows that nothing matches.
    OuterJoin,
    /// So does one without an equality, and the streaming engine does not see a range join.
    RangeJoin,
    /// AVG runs along the order of its window.
    RunningAverage,
    /// Rows that an order does not tell apart have one running value.
    Peers,
    /// A quotient is not a product with a reciprocal.
    Division,
    /// A quotient by zero is nothing.
    ZeroDivisor,
    /// NULL comes last in either direction.
    NullsLast,
    /// A fraction is rounded when it is cast to a whole number.
    Rounding,
    /// A letter becomes one letter.
    LetterCase,
}

#[cfg(test)]
thread_local! {
    static REVERTED: std::cell::Cell<Option<Cure>> = const { std::cell::Cell::new(None) };
}

/// Takes a cure back, for what this thread plans.
#[cfg(test)]
pub(crate) fn revert(cure: Option<Cure>) {
    REVERTED.set(cure);
}

#[cfg(test)]
pub(super) fn is_reverted(cure: Cure) -> bool {
    REVERTED.get() == Some(cure)
}

#[cfg(not(test))]
pub(super) const fn is_reverted(_: Cure) -> bool {
    false
}

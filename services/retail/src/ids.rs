//! Retail's own ids; `kit::id` has those of other domains.

kit::ids! {
    /// A sale or a return.
    SaleId;
    /// A register.
    RegisterId;
}

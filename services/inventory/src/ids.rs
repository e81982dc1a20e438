//! Inventory's own ids; `kit::id` has those that travel between services.

kit::ids! {
    /// A category.
    CategoryId;
    /// One line of a movement document.
    MovementId;
}

//! Ecommerce's own ids; `kit::id` has those of other domains.

kit::ids! {
    /// A customer.
    CustomerId;
    /// A cart.
    CartId;
    /// An order.
    OrderId;
}

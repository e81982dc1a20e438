//! Ecommerce's own ids; `kit::id` has those of other domains.

kit::ids! {
    /// A customer.
    CustomerId;
    /// A cart.
    CartId;
    /// An order.
    OrderId;
    /// A refund.
    RefundId;
    /// An order or a refund: both are numbered together.
    DocumentId;
}

impl From<OrderId> for DocumentId {
    fn from(id: OrderId) -> Self {
        Self(id.0)
    }
}

impl From<RefundId> for DocumentId {
    fn from(id: RefundId) -> Self {
        Self(id.0)
    }
}

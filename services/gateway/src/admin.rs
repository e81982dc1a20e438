//! The private side: a second listener for the operator.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::proxy::Gateway;

/// Starts what runs beside the requests; dropping the set stops it.
pub(crate) fn start(_gateway: &Arc<Gateway>, _listener: Option<TcpListener>) -> JoinSet<()> {
    JoinSet::new()
}

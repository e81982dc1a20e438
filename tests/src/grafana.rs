//! Grafana's part, for the tests and benches of `dashboards/`: reads the dashboards as files, and expands a query as
//! Grafana does before it sends it.

mod board;
mod expand;
mod resolve;

pub use board::{Board, Panel, Query, Target, Variable, folder};
pub use expand::{Scene, Unknown};
pub use resolve::scene;

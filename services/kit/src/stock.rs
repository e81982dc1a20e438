//! Stock at Inventory: how a document of one database and the stock of another come to agree.
//!
//! Read [`outbox`](self::Outbox) first; its module's head has the table of states and the invariants.
//!
//! | module | what it has |
//! |---|---|
//! | `client` | the calls to Inventory: validate, post a movement, reverse it |
//! | `message` | the table `stock_tasks`: one undelivered message per document |
//! | `outbox` | the transactional outbox: enqueue, deliver, accept, reject |
//! | `recovery` | delivers again what a crash, a timeout or an outage has left |
//! | `stuck` | the list of documents whose message stays undelivered |
//! | `catalogue` | what Inventory knows of the products that an import names |
//! | `config` | the address of the gateway, and the time limits |

mod catalogue;
mod client;
mod config;
mod message;
mod outbox;
mod recovery;
mod stuck;

pub use catalogue::Catalogue;
pub use client::{Answer, Line, Movement, NoAnswer, Product, Reason, Refusal, RefusalCode, Validated};
pub use config::{Limits, StockConfig};
pub use message::Step;
pub use outbox::{Documents, Outbox, Outcome, unsettled};
pub use stuck::{StuckFilter, Undelivered};

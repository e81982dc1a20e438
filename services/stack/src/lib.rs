//! The whole of Tributary on one machine, without containers: four PostgreSQL clusters, the gateway and the four
//! services, each its own process, with roles of least privilege and secrets made per data folder.
//!
//! The binary is `stack`; the system tests use the same code, so that what they start is what `stack up` starts.

pub mod backup;
pub mod databases;
pub mod demo;
pub mod down;
pub mod error;
pub mod kong_config;
pub mod layout;
mod leftover;
pub mod lock;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod ready;
pub mod render;
pub mod roles;
pub mod run;
pub mod secrets;
pub mod seed;
pub mod services;
pub mod simulate;
pub mod state;
pub mod status;
pub mod supervise;
pub mod system;
pub mod up;
pub mod user;

pub use error::Error;
pub use system::{Options, System};

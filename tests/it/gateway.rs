//! The local gateway obeys `kong.yml` and shows what Kong shows: in this process, before upstreams that answer
//! with bytes of the test's choosing.

mod access;
mod console;
mod faults;
mod harness;
mod kong;
mod limits;
mod process;
mod rolling;
mod wire;

//! retail

//! A CSV page, parsed straight into typed columns.

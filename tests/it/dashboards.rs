//! `dashboards/`: what Grafana and Prometheus will be given, checked without either.
//!
//! Every query is expanded as Grafana does and run where it will run: the SQL as the read-only role on a company whose
//! history was told, polled and published; the PromQL is parsed and held against what the running services and the
//! gateway show. The files are held against Grafana's own types.

mod alerts;
mod company;
mod files;
mod links;
mod metrics;
mod promql;
mod sql;

//! The four databases of the decision, and who belongs to each.

/// One database in a cluster of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Database {
    /// Name of the database and of its cluster's folder.
    pub name: &'static str,
    /// The one service that may touch it; also the name of that service's role.
    pub service: &'static str,
    /// The port the decision gives it.
    pub fixed_port: u16,
    /// Read-only roles: the role and the only schema it may read.
    pub readers: &'static [Reader],
}

/// A read-only role and what it may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reader {
    /// Name of the role.
    pub role: &'static str,
    /// The schema whose tables and views it may read; it may use no other.
    pub schema: &'static str,
}

impl Database {
    /// The role that owns the database and applies its migrations.
    pub fn owner(&self) -> String {
        format!("{}_owner", self.service)
    }

    /// Every login role of this database except the superuser.
    pub fn roles(&self) -> Vec<String> {
        let mut roles = vec![self.owner(), self.service.to_owned()];
        roles.extend(self.readers.iter().map(|reader| reader.role.to_owned()));
        roles
    }
}

/// The four databases; the ports are those of the architecture decision.
pub const DATABASES: [Database; 4] = [
    Database { name: "inventory_db", service: "inventory", fixed_port: 5433, readers: &[] },
    Database { name: "ecommerce_db", service: "ecommerce", fixed_port: 5450, readers: &[] },
    Database { name: "retail_db", service: "retail", fixed_port: 5434, readers: &[] },
    Database {
        name: "reporting_db",
        service: "reporting",
        fixed_port: 5435,
        readers: &[
            Reader { role: "grafana_reader", schema: "reports" },
            Reader { role: "lake_reader", schema: "lake" },
        ],
    },
];

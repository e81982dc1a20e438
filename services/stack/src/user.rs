//! Whom PostgreSQL runs as: it refuses root, so a stack started by root borrows an unprivileged user.

use std::os::unix::process::CommandExt;
use std::path::Path;

use crate::error::{Error, Result};

/// An operating-system user that a process is started as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
}

/// Who runs PostgreSQL: `None` means whoever runs the stack, an ordinary user.
///
/// # Errors
/// [`Error::MissingProgram`] when root finds no user to borrow.
pub fn for_postgres() -> Result<Option<User>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let path = Path::new("/etc/passwd");
    let passwd = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
    pick(&passwd).map(Some).ok_or_else(|| Error::MissingProgram {
        program: "an unprivileged user to run PostgreSQL as".to_owned(),
        looked: "looked for `postgres` and `nobody` in /etc/passwd, for PostgreSQL refuses to run as root".to_owned(),
        install: "Create one: `useradd --system postgres`, or start the stack as an ordinary user.".to_owned(),
    })
}

/// `postgres` where the distribution made it, else `nobody`.
fn pick(passwd: &str) -> Option<User> {
    ["postgres", "nobody"].iter().find_map(|wanted| {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let uid = fields.nth(1)?.parse().ok()?;
            let gid = fields.next()?.parse().ok()?;
            (name == *wanted && uid != 0).then(|| User { name: name.to_owned(), uid, gid })
        })
    })
}

impl User {
    /// Whether this user can enter `folder`: a home of root's usually shuts everybody else out.
    pub fn can_enter(&self, folder: &Path) -> bool {
        std::process::Command::new("test")
            .arg("-x")
            .arg(folder)
            .uid(self.uid)
            .gid(self.gid)
            .current_dir("/")
            .status()
            .is_ok_and(|status| status.success())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgres_is_preferred_and_a_root_alias_is_not_taken() {
        let passwd = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\npostgres:x:101:104::/:/bin/sh\n";
        assert_eq!(pick(passwd), Some(User { name: "postgres".to_owned(), uid: 101, gid: 104 }));
        assert_eq!(pick("postgres:x:0:0::/:/bin/sh\n"), None);
        assert_eq!(pick("nobody:x:65534:65534::/:/bin/false\n").map(|user| user.uid), Some(65534));
    }
}

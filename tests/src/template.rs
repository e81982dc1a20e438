//! Ready-made clusters for tests: made once per target directory, copied for each system. `initdb` and the roles
//! would cost every test seconds.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use stack::databases::DATABASES;
use stack::ports::Choice;
use stack::postgres::Server;
use stack::{Options, System};
use tokio::sync::OnceCell;

use crate::binaries;
use crate::warden::Folder;

/// Puts the clusters and their secrets into the new data folder of a test.
pub(crate) async fn fill(folder: &Path) {
    static TEMPLATE: OnceCell<PathBuf> = OnceCell::const_new();
    let template = TEMPLATE.get_or_init(find_or_make).await;
    copy(&template.join("pg"), &folder.join("pg"));
    copy(&template.join("secrets.toml"), &folder.join("secrets.toml"));
}

/// The template for this server version and these roles.
async fn find_or_make() -> PathBuf {
    let server = Server::find().unwrap_or_else(|error| panic!("{}", error.report()));
    let mut key = DefaultHasher::new();
    server.describe().hash(&mut key);
    for database in DATABASES {
        stack::roles::grants(database).hash(&mut key);
    }
    let target = binaries::folder().parent().expect("target/debug lies in target").to_owned();
    let template = target.join(format!("test-clusters/{:016x}", key.finish()));
    if !template.exists() {
        make(&template).await;
    }
    template
}

/// Makes the clusters where PostgreSQL's user may work, stops them, and moves a copy into place: whole or not at all,
/// whoever else does the same.
async fn make(template: &Path) {
    let folder = Folder::new();
    let mut options = Options::new(folder.path(), Choice::Auto);
    options.durable = false;
    let system = System::start_databases(options, |_| ()).await.unwrap_or_else(|error| panic!("{}", error.report()));
    system.stop().await;
    let draft = template.with_extension(uuid::Uuid::new_v4().simple().to_string());
    std::fs::create_dir_all(&draft).expect("a folder in the target directory");
    copy(&folder.path().join("pg"), &draft.join("pg"));
    copy(&folder.path().join("secrets.toml"), &draft.join("secrets.toml"));
    if std::fs::rename(&draft, template).is_err() {
        // Another test process was quicker; its template is as good.
        std::fs::remove_dir_all(&draft).expect("our own draft can go");
    }
}

/// `cp` keeps owners, modes and links, and shares blocks where the file system can.
fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp starts");
    assert!(status.success(), "could not copy {} to {}", from.display(), to.display());
}

//! Ends what a test started even when the test process itself is killed: a small shell waits for the end of its
//! standard input, which only this process holds open, and then clears the folder and everything noted in it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::campaign;

/// Ends every process whose pid is noted in `run` below `$1` or a folder in it, then removes `$1`, unless it is to be
/// kept. Clusters get an immediate shutdown, so that their sessions end with them.
const SCRIPT: &str = r#"
cat >/dev/null
# A stack of its own first, or it would start its processes again.
for lock in "$1"/stack.lock "$1"/*/stack.lock; do
  [ -f "$lock" ] && read -r pid <"$lock" && [ -n "$pid" ] && kill -KILL "$pid" 2>/dev/null
done
for file in "$1"/run/*.pid "$1"/*/run/*.pid; do
  [ -f "$file" ] || continue
  read -r pid _ <"$file"
  case "$file" in *_db.pid) kill -QUIT "$pid" 2>/dev/null ;; *) kill -KILL "$pid" 2>/dev/null ;; esac
done
for file in "$1"/run/*.pid "$1"/*/run/*.pid; do
  [ -f "$file" ] || continue
  read -r pid _ <"$file"
  tries=0
  while kill -0 "$pid" 2>/dev/null && [ $tries -lt 50 ]; do tries=$((tries + 1)); sleep 0.1; done
  kill -KILL "$pid" 2>/dev/null
done
[ -e "$1/kept" ] || rm -rf "$1"
"#;

/// Room for the systems of a few tests at once, in bytes.
const MEMORY: u64 = 4 << 30;

/// Guards one folder.
#[derive(Debug)]
pub(crate) struct Warden(Child);

/// A folder of a test's own, in which it may run `stack up`. Whatever runs there ends with it.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _warden: Warden,
}

impl Folder {
    /// A new folder that everybody may enter, PostgreSQL's user too.
    pub fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    /// One in memory where the system has enough of it: the five thousand small files of four clusters cost a disk's
    /// journal more time than most tests take. Programs cannot always be run there.
    pub(crate) fn in_memory() -> Self {
        let shared = Path::new("/dev/shm");
        let room = rustix::fs::statvfs(shared).map_or(0, |it| it.f_bavail * it.f_frsize);
        if room >= MEMORY { Self::below(shared) } else { Self::new() }
    }

    fn below(folder: &Path) -> Self {
        let path = folder.join(format!("tributary-test-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&path).expect("a temporary folder");
        let _warden = Warden::over(&path);
        Self { path, _warden }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    /// What a soak found is rare: the databases and logs of a failed one are kept.
    #[expect(clippy::print_stderr, reason = "the output of a failing test is where its reader looks")]
    fn drop(&mut self) {
        if std::thread::panicking() && campaign::is_soak() {
            match std::fs::write(self.path.join("kept"), "") {
                Ok(()) => eprintln!("databases and logs are kept in {}", self.path.display()),
                Err(error) => eprintln!("{} cannot be kept: {error}", self.path.display()),
            }
        }
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Warden {
    /// Starts the guard of `folder`.
    pub(crate) fn over(folder: &Path) -> Self {
        use std::os::unix::process::CommandExt;
        let child = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "warden"])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C at the terminal must not end the guard together with the tests.
            .process_group(0)
            .spawn()
            .expect("/bin/sh starts");
        Self(child)
    }
}

impl Drop for Warden {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().ok();
    }
}

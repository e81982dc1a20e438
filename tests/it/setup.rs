//! `tools/setup.sh` on machines that lack things, with stand-ins for the programs that would change this one.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use system_tests::{Folder, binaries};

/// A machine: nothing but these programs, the stand-ins among them.
struct Machine(Folder);

impl Machine {
    /// One with a C compiler, Python and Rust missing, and its user's id.
    fn of_user(id: u32) -> Self {
        let machine = Self(Folder::new());
        for program in ["bash", "dirname", "env", "ls", "mkdir"] {
            let real = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(program));
            symlink(real.iter().find(|path| path.exists()).unwrap(), machine.0.path().join(program)).unwrap();
        }
        machine.with("id", &format!("echo {id}"))
    }

    /// Adds a program made of these lines.
    fn with(self, program: &str, lines: &str) -> Self {
        let path = self.0.path().join(program);
        std::fs::write(&path, format!("#!/bin/bash\n{lines}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// One whose package manager notes what it is asked for.
    fn with_apt(self) -> Self {
        let log = self.0.path().join("asked").display().to_string();
        self.with("apt-get", &format!("echo \"apt-get $*\" >> {log}"))
    }

    /// Runs the script: whether it was content, and all that it said.
    fn set_up(&self) -> (bool, String) {
        let mut command = Command::new("/bin/bash");
        command.arg(binaries::repository().join("tools/setup.sh")).arg("--demo");
        let output = command.env_clear().env("PATH", self.0.path()).output().unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        (output.status.success(), said)
    }

    fn commands(&self) -> String {
        std::fs::read_to_string(self.0.path().join("asked")).unwrap_or_default()
    }
}

const INSTALLED: &str =
    "apt-get update -qq\napt-get install -y -qq --no-install-recommends gcc libc6-dev python3 python3-venv\n";

#[test]
fn root_installs_what_is_missing_and_prints_what() {
    let machine = Machine::of_user(0).with_apt().with("cargo", "");
    let (content, said) = machine.set_up();
    assert!(content && said.contains("installing gcc libc6-dev python3 python3-venv (apt-get)"), "{said}");
    assert_eq!(machine.commands(), INSTALLED);
    assert!(said.contains("everything is there"), "{said}");
}

#[test]
fn an_ordinary_user_installs_by_sudo_or_hears_what_root_must_do() {
    let machine = Machine::of_user(1000).with_apt().with("cargo", "").with("sudo", "exec \"$@\"");
    let (content, said) = machine.set_up();
    assert!(content, "{said}");
    assert_eq!(machine.commands(), INSTALLED);

    let machine = Machine::of_user(1000).with_apt().with("cargo", "");
    let (content, said) = machine.set_up();
    assert!(!content && said.contains("as root, run: apt-get install gcc libc6-dev python3 python3-venv"), "{said}");
    assert_eq!(machine.commands(), "");
}

#[test]
fn other_systems_and_a_machine_without_rust_are_told_the_commands() {
    let (content, said) = Machine::of_user(1000).set_up();
    assert!(!content, "{said}");
    for command in ["dnf install", "pacman -S", "brew install"] {
        assert!(said.contains(command), "{said}");
    }
    let (content, said) = Machine::of_user(0).with_apt().set_up();
    assert!(!content && said.contains("Rust is not installed; see https://rustup.rs"), "{said}");
}

#[test]
fn what_is_there_is_not_installed_again() {
    let machine = Machine::of_user(0).with_apt().with("cargo", "").with("cc", "").with("python3", "");
    let (content, said) = machine.set_up();
    assert!(content && said.trim() == "setup: everything is there", "{said}");
    assert_eq!(machine.commands(), "");
}

#[test]
fn a_failed_installation_stops_it() {
    let machine = Machine::of_user(0).with("apt-get", "echo 'E: no network' >&2; exit 100").with("cargo", "");
    let (content, said) = machine.set_up();
    assert!(!content && said.contains("E: no network") && !said.contains("everything is there"), "{said}");
}

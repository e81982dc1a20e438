//! Embedded folders: a file that is added must make the crate build again, which the macro alone does not see.

fn main() {
    for folder in ["sources", "reports", "views"] {
        println!("cargo:rerun-if-changed={folder}");
    }
}

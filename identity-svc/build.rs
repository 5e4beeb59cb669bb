//! Compiles the crate again when a migration is added: `sqlx::migrate!` can't say so itself.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}

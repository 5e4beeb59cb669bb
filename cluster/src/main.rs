//! The `holdfast` program.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// A hold is many small allocations on every node, which the C library's allocator spends a fifth more
/// CPU on; RocksDB's go to it as well.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    holdfast_cluster::main()
}

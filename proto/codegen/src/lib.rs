//! Generates the bindings of `holdfast-proto` from its `.proto` files, without `protoc`.
//!
//! Always holds: the same files give the same bytes. A crate of its own, with ordinary
//! dependencies, so that building with and without tests selects the same features of what it
//! shares with RocksDB's build script; as a dev-dependency it made cargo compile RocksDB twice.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use prost::Message;
use prost_types::FileDescriptorSet;

/// Every `.proto` below `dir`, relative to `root`, sorted.
fn proto_files(root: &Path, dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(proto_files(root, &path)?);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "proto")
        {
            found.push(path.strip_prefix(root)?.to_owned());
        }
    }
    found.sort();
    Ok(found)
}

/// The files of a folder by name.
///
/// # Errors
/// If the folder can't be read.
pub fn read_files(dir: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    fs::read_dir(dir)?
        .map(|entry| {
            let path = entry?.path();
            let name = path
                .file_name()
                .context("a file name")?
                .to_string_lossy()
                .into_owned();
            Ok((name, fs::read(&path)?))
        })
        .collect()
}

/// What every `.proto` of `root` says, comments included.
///
/// # Errors
/// If a file can't be read or doesn't compile.
pub fn descriptors(root: &Path) -> Result<FileDescriptorSet> {
    let files = proto_files(root, &root.join("holdfast"))?;
    Ok(protox::compile(&files, [root])?)
}

/// Compiles every `.proto` of `root` and writes bindings and descriptor set into the empty
/// folder `out`.
///
/// # Errors
/// If a file doesn't compile or can't be written.
pub fn generate(root: &Path, out: &Path) -> Result<()> {
    let descriptors = descriptors(root)?;
    fs::write(out.join("descriptor.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .bytes(".holdfast.lockstore")
        .out_dir(out)
        .compile_fds(descriptors)?;
    Ok(())
}

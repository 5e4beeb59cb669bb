//! What the contracts say about repeating a call: the standard option `idempotency_level` of an rpc.
//!
//! Always holds: an rpc that isn't known, or streams its request, is never repeated.
//! Leaves to others: which rpcs promise what (`proto/`), and whether to repeat.

use std::{collections::HashMap, sync::Arc};

use prost::Message;
use prost_types::{FileDescriptorSet, MethodDescriptorProto, method_options::IdempotencyLevel};

/// Whether a call may be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Repeat {
    Never,
    /// If it surely never left.
    IfUnsent,
    /// Even if it may have been done.
    Always,
}

/// The rpcs that channels know, and what each promises. Cheap to clone; the default knows none.
#[derive(Debug, Clone, Default)]
pub struct Contract(Arc<HashMap<String, Repeat>>);

impl Contract {
    /// Reads a serialised `FileDescriptorSet`.
    ///
    /// # Errors
    /// If it isn't one.
    pub fn read(descriptor_set: &[u8]) -> Result<Self, prost::DecodeError> {
        let files = FileDescriptorSet::decode(descriptor_set)?.file;
        let services = files.iter().flat_map(|file| {
            let of = move |service| (file.package(), service);
            file.service.iter().map(of)
        });
        let rpcs = services.flat_map(|(package, service)| {
            let named = move |method: &MethodDescriptorProto| {
                let path = format!("/{package}.{}/{}", service.name(), method.name());
                (path, repeat(method))
            };
            service.method.iter().map(named)
        });
        Ok(Self(Arc::new(rpcs.collect())))
    }

    /// Whether a call of `path` (`/package.Service/Method`) may be made again.
    pub(super) fn repeat(&self, path: &str) -> Repeat {
        self.0.get(path).copied().unwrap_or(Repeat::Never)
    }
}

fn repeat(method: &MethodDescriptorProto) -> Repeat {
    if method.client_streaming() {
        return Repeat::Never;
    }
    let level = method
        .options
        .as_ref()
        .map_or(IdempotencyLevel::IdempotencyUnknown, |options| {
            options.idempotency_level()
        });
    match level {
        IdempotencyLevel::NoSideEffects | IdempotencyLevel::Idempotent => Repeat::Always,
        IdempotencyLevel::IdempotencyUnknown => Repeat::IfUnsent,
    }
}

#[cfg(test)]
mod tests {
    use prost_types::{FileDescriptorProto, MethodOptions, ServiceDescriptorProto};

    use super::*;

    fn method(name: &str, level: Option<IdempotencyLevel>, streams: bool) -> MethodDescriptorProto {
        MethodDescriptorProto {
            name: Some(name.to_owned()),
            client_streaming: Some(streams),
            options: level.map(|level| MethodOptions {
                idempotency_level: Some(level.into()),
                ..MethodOptions::default()
            }),
            ..MethodDescriptorProto::default()
        }
    }

    #[test]
    fn levels_are_read_from_descriptors_and_unknown_rpcs_are_never_repeated() {
        let service = ServiceDescriptorProto {
            name: Some("Some".to_owned()),
            method: vec![
                method("Read", Some(IdempotencyLevel::NoSideEffects), false),
                method("Put", Some(IdempotencyLevel::Idempotent), false),
                method("Add", None, false),
                method("Pour", Some(IdempotencyLevel::Idempotent), true),
            ],
            ..ServiceDescriptorProto::default()
        };
        let set = FileDescriptorSet {
            file: vec![FileDescriptorProto {
                package: Some("a.v1".to_owned()),
                service: vec![service],
                ..FileDescriptorProto::default()
            }],
        };
        let contract = Contract::read(&set.encode_to_vec()).expect("a descriptor set");
        assert_eq!(contract.repeat("/a.v1.Some/Read"), Repeat::Always);
        assert_eq!(contract.repeat("/a.v1.Some/Put"), Repeat::Always);
        assert_eq!(contract.repeat("/a.v1.Some/Add"), Repeat::IfUnsent);
        assert_eq!(contract.repeat("/a.v1.Some/Pour"), Repeat::Never);
        assert_eq!(contract.repeat("/a.v1.Some/Other"), Repeat::Never);
        assert_eq!(Contract::default().repeat("/a.v1.Some/Read"), Repeat::Never);
        Contract::read(b"none").expect_err("no descriptor set");
    }
}

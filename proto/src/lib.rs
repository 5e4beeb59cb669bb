//! The contracts between Holdfast's parts: bindings of `holdfast/<service>/v1/*.proto`, checked in,
//! and the descriptor set that reflection serves.
//!
//! Always holds: `src/gen` is what `codegen/` generates from the `.proto` files (no
//! `protoc` needed). Leaves to others: every behaviour.

/// Everything under `holdfast.*`, one module a package.
#[expect(missing_docs, clippy::all, clippy::pedantic, reason = "generated")]
mod generated {
    pub mod booking {
        pub mod v1 {
            include!("gen/holdfast.booking.v1.rs");
        }
    }
    pub mod catalog {
        pub mod v1 {
            include!("gen/holdfast.catalog.v1.rs");
        }
    }
    pub mod events {
        pub mod v1 {
            include!("gen/holdfast.events.v1.rs");
        }
    }
    pub mod identity {
        pub mod v1 {
            include!("gen/holdfast.identity.v1.rs");
        }
    }
    pub mod lockstore {
        pub mod v1 {
            include!("gen/holdfast.lockstore.v1.rs");
        }
    }
    pub mod payment {
        pub mod v1 {
            include!("gen/holdfast.payment.v1.rs");
        }
    }
    pub mod search {
        pub mod v1 {
            include!("gen/holdfast.search.v1.rs");
        }
    }
}

pub use generated::*;

/// The name each part has towards the others: in its certificate, and in the table of who may call
/// whom.
pub mod part {
    /// A node of the lock store, to clients and to other nodes.
    pub const LOCKSTORE: &str = "lockstore";
    /// identity-svc.
    pub const IDENTITY: &str = "identity";
    /// catalog-svc.
    pub const CATALOG: &str = "catalog";
    /// booking-svc.
    pub const BOOKING: &str = "booking";
    /// payment-svc.
    pub const PAYMENT: &str = "payment";
    /// search-svc.
    pub const SEARCH: &str = "search";
    /// The gateway, which only calls.
    pub const GATEWAY: &str = "gateway";
    /// The operator's commands, which only call.
    pub const OPERATOR: &str = "operator";

    /// Every one.
    pub const ALL: [&str; 8] = [
        LOCKSTORE, IDENTITY, CATALOG, BOOKING, PAYMENT, SEARCH, GATEWAY, OPERATOR,
    ];
}

/// Every message and service as a serialised `FileDescriptorSet`, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("gen/descriptor.bin");

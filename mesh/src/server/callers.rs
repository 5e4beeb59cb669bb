//! Who may call what: a method is answered only to the callers that a table names for it.
//!
//! Always holds: what isn't in the table is refused, to everyone; health and reflection are for
//! whoever has a certificate. In the clear nobody has a name, and nothing is refused: that is
//! served on loopback, and beyond it only where the part's own `insecure` says so. Leaves to others: the table, and what a call's own token allows.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::{Ready, ready},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use futures::future::Either;
use holdfast_types::ErrorCode;
use http::{Request, Response};
use tonic::{Status, body::Body};
use tower::{Layer, Service};

use super::accept::Peer;
use crate::{Failure, metrics, sparse::Sparse};

/// Services that tell nothing of the business.
const FOR_ALL: [&str; 3] = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

/// Label of a method that the table doesn't know.
const METHOD_UNKNOWN: &str = "unknown";

/// The table: by caller's name the services (`holdfast.search.v1.SearchService`) and methods
/// (`holdfast.catalog.v1.CatalogService/GetShow`) it may call. Empty by default: nobody may call
/// anything.
#[derive(Debug, Clone, Default)]
pub struct Callers {
    by_name: Arc<BTreeMap<&'static str, BTreeSet<&'static str>>>,
}

impl Callers {
    /// A table of these rows; a name may have several.
    pub fn new(rows: impl IntoIterator<Item = (&'static str, &'static str)>) -> Self {
        let mut by_name: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (name, path) in rows {
            by_name.entry(name).or_default().insert(path);
        }
        Self {
            by_name: Arc::new(by_name),
        }
    }

    /// Whether `name` may call `service/method`.
    pub fn allow(&self, name: &str, method: &str) -> bool {
        let service = method.split('/').next().unwrap_or_default();
        let named = |paths: &BTreeSet<_>| paths.contains(service) || paths.contains(method);
        FOR_ALL.contains(&service) || self.by_name.get(name).is_some_and(named)
    }

    /// What metrics call `service/method`: by its name where the table has just this method, by that of
    /// its service where it has that. A caller makes up no label, whatever it asks for.
    fn label<'a>(&self, method: &'a str) -> &'a str {
        let service = method.split('/').next().unwrap_or_default();
        let names = |path| self.by_name.values().any(|paths| paths.contains(path));
        if names(method) {
            method
        } else if names(service) || FOR_ALL.contains(&service) {
            service
        } else {
            METHOD_UNKNOWN
        }
    }
}

/// Puts the table before a service.
#[derive(Debug, Clone)]
pub struct CallersLayer {
    /// None in the clear.
    table: Option<Callers>,
    said: Arc<Mutex<Sparse>>,
}

impl CallersLayer {
    pub(super) fn new(table: Option<Callers>) -> Self {
        Self {
            table,
            said: Arc::new(Mutex::new(Sparse::new())),
        }
    }

    fn check(&self, request: &Request<Body>) -> Result<(), Failure> {
        let Some(table) = &self.table else {
            return Ok(());
        };
        let peer = request.extensions().get::<Peer>();
        let name = peer.and_then(|peer| peer.name.as_deref());
        let method = request.uri().path().trim_start_matches('/');
        if name.is_some_and(|name| table.allow(name, method)) {
            return Ok(());
        }
        let caller = name.unwrap_or("nobody");
        ::metrics::counter!(
            metrics::GRPC_FORBIDDEN,
            "method" => table.label(method).to_owned(),
            "caller" => caller.to_owned()
        )
        .increment(1);
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(left_out) = said.may_say() {
            let address = peer.and_then(|peer| peer.address);
            tracing::warn!(
                rpc.method = method,
                caller,
                address = address.map(tracing::field::display),
                left_out,
                "a call was refused: its caller may not make it"
            );
        }
        let why = format!("{caller} may not call {method}");
        Err(Failure::new(ErrorCode::Forbidden, why))
    }
}

impl<S> Layer<S> for CallersLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded {
            inner,
            layer: self.clone(),
        }
    }
}

/// A service behind the table.
#[derive(Debug, Clone)]
pub struct Guarded<S> {
    inner: S,
    layer: CallersLayer,
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self.layer.check(&request) {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(failure) => Either::Right(ready(Ok(Status::from(failure).into_http()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_table_does_not_name_is_refused() {
        let table = Callers::new([("gateway", "a.v1.A"), ("search", "a.v1.A/Read")]);
        assert!(table.allow("gateway", "a.v1.A/Write"));
        assert!(table.allow("search", "a.v1.A/Read"));
        for (name, method) in [
            ("search", "a.v1.A/Write"),
            ("search", "a.v1.A"),
            ("gateway", "a.v1.Another/Write"),
            ("gateway", "b.v1.B/Read"),
            ("stranger", "a.v1.A/Read"),
            ("", "a.v1.A/Read"),
        ] {
            assert!(!table.allow(name, method), "{name} {method}");
        }
        assert!(table.allow("stranger", "grpc.health.v1.Health/Check"));
        assert!(!Callers::default().allow("gateway", "a.v1.A/Read"));
    }

    #[test]
    fn a_caller_makes_up_no_label() {
        let table = Callers::new([("gateway", "a.v1.A"), ("search", "b.v1.B/Read")]);
        for (method, label) in [
            ("b.v1.B/Read", "b.v1.B/Read"),
            ("b.v1.B/MadeUp", METHOD_UNKNOWN),
            ("a.v1.A/Read", "a.v1.A"),
            ("a.v1.A/MadeUp", "a.v1.A"),
            ("a.v1.A/Read/MadeUp", "a.v1.A"),
            ("grpc.health.v1.Health/MadeUp", "grpc.health.v1.Health"),
            ("c.v1.C/Read", METHOD_UNKNOWN),
            ("", METHOD_UNKNOWN),
        ] {
            assert_eq!(table.label(method), label, "{method}");
        }
    }
}

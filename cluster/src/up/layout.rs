//! Which process listens where, decided once a start.

use crate::{ports::Ports, run_file::RunFile};

/// Lock-store nodes: three, the fewest that survive the loss of one.
pub(crate) const NODES: u64 = 3;

/// The well-known ports.
const API: u16 = 8080;
const SANDBOX: u16 = 8081;
const IDENTITY: u16 = 7401;
const CATALOG: u16 = 7402;
const BOOKING: u16 = 7403;
const PAYMENT: u16 = 7404;
const SEARCH: u16 = 7405;
const OPS: u16 = 9401;
/// Of node n: this + n.
const NODE_CLIENT: u16 = 7100;
const NODE_PEER: u16 = 7200;
const NODE_OPS: u16 = 9410;
const POSTGRES: u16 = 7432;

/// Ports of one lock-store node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NodePorts {
    /// From 1.
    pub(crate) node: u64,
    /// Client plane.
    pub(crate) client: u16,
    /// Peer plane.
    pub(crate) peer: u16,
    /// `/healthz`, `/readyz`, `/metrics`.
    pub(crate) ops: u16,
}

/// Ports of everything, all on 127.0.0.1.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) api: u16,
    pub(crate) sandbox: u16,
    pub(crate) identity: u16,
    pub(crate) catalog: u16,
    pub(crate) booking: u16,
    pub(crate) payment: u16,
    pub(crate) search: u16,
    /// Ops of the process with all services.
    pub(crate) ops: u16,
    pub(crate) nodes: Vec<NodePorts>,
    /// Of the private Postgres, used where there is one.
    pub(crate) postgres: u16,
}

impl Layout {
    /// Takes a port for everything.
    ///
    /// # Errors
    /// No free ports.
    pub(crate) fn choose(ports: &mut Ports) -> anyhow::Result<Self> {
        let nodes = (1..=NODES)
            .map(|node| {
                let n = u16::try_from(node).expect("three nodes");
                Ok(NodePorts {
                    node,
                    client: ports.take(&format!("lockstore-{node} client"), NODE_CLIENT + n)?,
                    peer: ports.take(&format!("lockstore-{node} peer"), NODE_PEER + n)?,
                    ops: ports.take(&format!("lockstore-{node} ops"), NODE_OPS + n)?,
                })
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Self {
            api: ports.take("api", API)?,
            sandbox: ports.take("sandbox", SANDBOX)?,
            identity: ports.take("identity", IDENTITY)?,
            catalog: ports.take("catalog", CATALOG)?,
            booking: ports.take("booking", BOOKING)?,
            payment: ports.take("payment", PAYMENT)?,
            search: ports.take("search", SEARCH)?,
            ops: ports.take("ops", OPS)?,
            nodes,
            postgres: ports.take("postgres", POSTGRES)?,
        })
    }

    /// Those of the lock store's nodes.
    pub(super) fn store_ports(&self) -> Vec<u16> {
        let of_node = |node: &NodePorts| [node.client, node.peer, node.ops];
        self.nodes.iter().flat_map(of_node).collect()
    }

    /// Those of the process with all services.
    pub(super) fn service_ports(&self) -> [u16; 8] {
        [
            self.api,
            self.sandbox,
            self.identity,
            self.catalog,
            self.booking,
            self.payment,
            self.search,
            self.ops,
        ]
    }

    /// What `run.json` says before anything is started.
    pub(crate) fn run_file(&self, private_postgres: bool) -> RunFile {
        let mut run = RunFile::new(uri(self.api), uri(self.sandbox));
        for (service, port) in [
            ("identity", self.identity),
            ("catalog", self.catalog),
            ("booking", self.booking),
            ("payment", self.payment),
            ("search", self.search),
        ] {
            run.services.insert(service.to_owned(), grpc_uri(port));
        }
        run.lockstore = self
            .nodes
            .iter()
            .map(|node| grpc_uri(node.client))
            .collect();
        run.postgres = private_postgres.then(|| address(self.postgres));
        run
    }
}

/// `127.0.0.1:port`.
pub(crate) fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// `https://127.0.0.1:port`: gRPC is served over TLS alone.
pub(crate) fn grpc_uri(port: u16) -> String {
    format!("https://{}", address(port))
}

/// `http://127.0.0.1:port`.
pub(crate) fn uri(port: u16) -> String {
    format!("http://{}", address(port))
}

//! The children of `up`: what each is started with. Configuration goes into a 0600 file a child,
//! because secrets on a command line or in the environment are seen by others.

use std::{ffi::OsString, path::Path};

use anyhow::Context as _;
use holdfast_types::Lineage;
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;

use super::layout::{Layout, address, grpc_uri, uri};
use crate::{
    data_dir::{DataDir, write_private},
    database::service_url,
    secrets::{
        CLUSTER_ID, CURSOR_KEY, OPERATOR_TOKEN, SANDBOX_API_KEY, SANDBOX_WEBHOOK_SECRET, Secrets,
    },
    supervisor::Spec,
};

/// What the process with all services is called.
pub(crate) const ALL_SERVICES: &str = "all";

/// Where the configuration of each child comes from.
pub(super) struct Configs<'a> {
    dir: &'a DataDir,
    layout: &'a Layout,
    database: &'a PgConnectOptions,
    secrets: &'a Secrets,
    lineage: Lineage,
}

impl<'a> Configs<'a> {
    /// Generates the secrets that are missing.
    pub(super) fn new(
        dir: &'a DataDir,
        layout: &'a Layout,
        database: &'a PgConnectOptions,
        secrets: &'a mut Secrets,
        lineage: Lineage,
    ) -> anyhow::Result<Self> {
        for name in [
            CURSOR_KEY,
            OPERATOR_TOKEN,
            SANDBOX_API_KEY,
            SANDBOX_WEBHOOK_SECRET,
        ] {
            secrets.get_or_make(name)?;
        }
        Ok(Self {
            dir,
            layout,
            database,
            secrets,
            lineage,
        })
    }

    /// The lock-store nodes.
    pub(super) fn nodes(&self) -> anyhow::Result<Vec<Spec>> {
        let cluster_id = self.secret(CLUSTER_ID)?;
        let members: Vec<Value> = self
            .layout
            .nodes
            .iter()
            .map(|n| json!({ "node_id": n.node, "client_addr": grpc_uri(n.client), "peer_addr": grpc_uri(n.peer) }))
            .collect();
        self.layout
            .nodes
            .iter()
            .map(|n| {
                let config = json!({
                    "ops": { "listen": address(n.ops) },
                    "tls": { "dir": self.dir.tls() },
                    "lockstore": {
                        "node_id": n.node,
                        "cluster_id": cluster_id,
                        "lineage": self.lineage.0,
                        "data_dir": self.dir.lockstore(n.node),
                        "listen_client": address(n.client),
                        "listen_peer": address(n.peer),
                        "members": members,
                    },
                });
                self.serve(
                    &format!("lockstore-{}", n.node),
                    "lockstore",
                    n.ops,
                    &config,
                )
            })
            .collect()
    }

    /// The process with every service.
    pub(super) fn services(&self) -> anyhow::Result<Spec> {
        let secret = |name| self.secret(name);
        let url = |service: &str| service_url(self.database, service, self.secrets);
        let l = self.layout;
        let lockstore: Vec<String> = l.nodes.iter().map(|n| grpc_uri(n.client)).collect();
        let config = json!({
            "ops": { "listen": address(l.ops) },
            "tls": { "dir": self.dir.tls() },
            "identity": {
                "listen": address(l.identity),
                "database_url": url("identity")?,
                "operator_token": secret(OPERATOR_TOKEN)?,
                "mail": { "folder": self.dir.mail(), "links": uri(l.api) },
            },
            "catalog": {
                "listen": address(l.catalog),
                "database_url": url("catalog")?,
                "identity": grpc_uri(l.identity),
                "booking": grpc_uri(l.booking),
            },
            "booking": {
                "listen": address(l.booking),
                "database_url": url("booking")?,
                "identity": grpc_uri(l.identity),
                "lockstore": lockstore,
            },
            "payment": {
                "listen": address(l.payment),
                "database_url": url("payment")?,
                "identity": grpc_uri(l.identity),
                "provider": "sandbox",
                "sandbox_url": uri(l.sandbox),
                "sandbox_api_key": secret(SANDBOX_API_KEY)?,
                "webhook_secret": secret(SANDBOX_WEBHOOK_SECRET)?,
            },
            "search": {
                "listen": address(l.search),
                "database_url": url("search")?,
                "identity": grpc_uri(l.identity),
                "catalog": grpc_uri(l.catalog),
                "data_dir": self.dir.search(),
            },
            "sandbox": {
                "listen": address(l.sandbox),
                "database_url": url("sandbox")?,
                "api_key": secret(SANDBOX_API_KEY)?,
                "webhook_secret": secret(SANDBOX_WEBHOOK_SECRET)?,
                "webhook_url": format!("{}/api/v1/payments/webhooks/sandbox", uri(l.api)),
            },
            "gateway": {
                "listen": address(l.api),
                "identity_uri": grpc_uri(l.identity),
                "catalog_uri": grpc_uri(l.catalog),
                "booking_uri": grpc_uri(l.booking),
                "payment_uri": grpc_uri(l.payment),
                "lockstore": lockstore,
                "search_uri": grpc_uri(l.search),
                "cursor_key": secret(CURSOR_KEY)?,
                "mail_folder": self.dir.mail(),
            },
        });
        self.serve(ALL_SERVICES, "all", l.ops, &config)
    }

    fn secret(&self, name: &str) -> anyhow::Result<&str> {
        self.secrets
            .get(name)
            .with_context(|| format!("secrets.toml has no {name}"))
    }

    fn serve(&self, name: &str, role: &str, ops: u16, config: &Value) -> anyhow::Result<Spec> {
        let path = self.dir.config_file(name);
        let config = toml::to_string(config)
            .with_context(|| format!("can't write the configuration of {name}"))?;
        write_private(&path, config.as_bytes())?;
        let args = [
            OsString::from("serve"),
            role.into(),
            "--config".into(),
            path.into(),
        ];
        Ok(Spec {
            name: name.to_owned(),
            args: args.into(),
            ops_port: Some(ops),
            pid_file: None,
        })
    }
}

/// The private Postgres, under its wrapper.
pub(super) fn postgres(data: &Path, port: u16) -> Spec {
    Spec {
        name: super::POSTGRES.into(),
        args: vec![
            "postgres".into(),
            "--data".into(),
            data.into(),
            "--port".into(),
            port.to_string().into(),
        ],
        ops_port: None,
        pid_file: Some(data.join("postmaster.pid")),
    }
}

//! Three lock-store nodes, each a process of its own, and nothing else of Holdfast: in the clear, on
//! loopback.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use lockstore_client::{Client, Options};

use crate::{
    holds::CALL_LIMIT,
    memory,
    servers::{Server, free_ports, until_up},
};

/// How many.
const NODES: usize = 3;

/// Running nodes; they stop when this is dropped.
pub struct Nodes {
    dir: PathBuf,
    program: PathBuf,
    /// Of clients, peers and metrics.
    ports: [[u16; 3]; NODES],
    running: Vec<Server>,
}

impl Nodes {
    /// New ones with their data in `dir`, and waits until they serve.
    ///
    /// # Errors
    /// They don't start.
    pub async fn start(dir: &Path, program: &Path) -> Result<Self> {
        let free: [u16; 3 * NODES] = free_ports()?;
        let mut ports = [[0; 3]; NODES];
        ports.as_flattened_mut().copy_from_slice(&free);
        let mut nodes = Self {
            dir: dir.to_owned(),
            program: program.to_owned(),
            ports,
            running: Vec::new(),
        };
        nodes.configure()?;
        nodes.run().await?;
        Ok(nodes)
    }

    fn configure(&self) -> Result<()> {
        let members: String = (1..)
            .zip(self.ports)
            .map(|(id, [client, peer, _])| {
                format!(
                    "[[lockstore.members]]\nnode_id = {id}\n\
                     client_addr = \"http://127.0.0.1:{client}\"\n\
                     peer_addr = \"http://127.0.0.1:{peer}\"\n"
                )
            })
            .collect();
        for (id, [client, peer, ops]) in (1..).zip(self.ports) {
            let data = self.dir.join(format!("node-{id}"));
            let config = format!(
                "[ops]\nlisten = \"127.0.0.1:{ops}\"\n\
                 [lockstore]\nnode_id = {id}\ncluster_id = \"bench\"\ndata_dir = \"{}\"\n\
                 listen_client = \"127.0.0.1:{client}\"\nlisten_peer = \"127.0.0.1:{peer}\"\n{members}",
                data.display()
            );
            fs::write(self.config(id), config)?;
        }
        Ok(())
    }

    fn config(&self, id: usize) -> PathBuf {
        self.dir.join(format!("node-{id}.toml"))
    }

    /// Starts all of them, on what data there is, and waits until they serve.
    ///
    /// # Errors
    /// They don't.
    pub async fn run(&mut self) -> Result<()> {
        for id in 1..=NODES {
            let mut command = Command::new(&self.program);
            command
                .args(["serve", "lockstore", "--config"])
                .arg(self.config(id));
            let log = self.dir.join(format!("node-{id}.log"));
            self.running.push(Server::start(command, log)?);
        }
        let client = self.client(1);
        until_up(&mut self.running, async || {
            client.time(CALL_LIMIT).await.map(drop)
        })
        .await
        .context("lock store")
    }

    /// Kills all of them, one after another without a pause.
    ///
    /// # Errors
    /// They can't be.
    pub fn kill(&mut self) -> Result<()> {
        for mut node in self.running.drain(..) {
            node.kill()?;
        }
        Ok(())
    }

    /// A client of all of them, with so many connections to each.
    pub fn client(&self, connections: usize) -> Client {
        let endpoints = self
            .ports
            .iter()
            .map(|[client, ..]| format!("http://127.0.0.1:{client}"));
        let options = Options {
            channels_per_endpoint: connections,
            ..Options::default()
        };
        Client::connect_with(endpoints.collect(), options)
    }

    /// Where each tells its metrics.
    pub fn metrics(&self) -> Vec<String> {
        let ports = self.ports.iter();
        ports
            .map(|[_, _, ops]| format!("http://127.0.0.1:{ops}/metrics"))
            .collect()
    }

    /// Their processes.
    pub fn pids(&self) -> Vec<u32> {
        self.running.iter().map(Server::pid).collect()
    }

    /// What each holds resident, MiB.
    ///
    /// # Errors
    /// One has ended.
    pub fn resident_mib(&self) -> Result<Vec<f64>> {
        let nodes = self.running.iter();
        nodes
            .map(|node| memory::tree_mib(node.pid(), false))
            .collect()
    }
}

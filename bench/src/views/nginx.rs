//! nginx with one file.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, ensure};

use crate::servers::{Server, free_ports, until_up};

/// Where Debian has it, which isn't on everybody's path.
const PROGRAM: &str = "/usr/sbin/nginx";

/// Its version.
///
/// # Errors
/// It isn't installed.
pub fn version() -> Result<String> {
    let output = Command::new(program()).arg("-v").output();
    let output = output.map_err(|error| {
        anyhow::anyhow!("nginx can't be run ({error}); `make bench-read` installs what is missing")
    })?;
    // It says it there.
    Ok(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

fn program() -> PathBuf {
    match Path::new(PROGRAM).exists() {
        true => PROGRAM.into(),
        false => "nginx".into(),
    }
}

/// A running nginx; stopped when it is dropped.
pub struct Nginx {
    _server: Server,
    url: String,
}

impl Nginx {
    /// Serves `bytes`, as JSON, with as many workers as there are processors, as it is tuned for files:
    /// no log, files kept open, `sendfile`.
    ///
    /// # Errors
    /// It doesn't start.
    pub async fn start(dir: &Path, bytes: &[u8], gzip: bool) -> Result<Self> {
        let dir = dir.join("nginx");
        fs::create_dir_all(dir.join("files"))?;
        fs::write(dir.join("files/page"), bytes)?;
        let [port] = free_ports()?;
        let coding = match gzip {
            true => "add_header Content-Encoding gzip; add_header Vary Accept-Encoding;",
            false => "",
        };
        let dir_text = dir.display();
        let text = format!(
            "daemon off;
pid {dir_text}/pid;
error_log {dir_text}/error.log;
worker_processes auto;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    open_file_cache max=16;
    client_body_temp_path {dir_text}/body;
    proxy_temp_path {dir_text}/proxy;
    fastcgi_temp_path {dir_text}/fastcgi;
    uwsgi_temp_path {dir_text}/uwsgi;
    scgi_temp_path {dir_text}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        root {dir_text}/files;
        default_type application/json;
        etag on;
        {coding}
    }}
}}
"
        );
        let config = dir.join("nginx.conf");
        fs::write(&config, text)?;
        // Its workers aren't root, who alone may enter the folder.
        open_to_all(&dir)?;
        let mut command = Command::new(program());
        command.arg("-p").arg(&dir).arg("-c").arg(&config);
        let mut server = [Server::start(command, dir.join("log"))?];
        let url = format!("http://127.0.0.1:{port}/page");
        let answers = async || -> Result<()> {
            let http = reqwest::Client::builder().no_proxy().build()?;
            let answer = http.get(&url).send().await?;
            ensure!(answer.status() == 200, "{}", answer.status());
            Ok(())
        };
        until_up(&mut server, answers).await?;
        let [server] = server;
        Ok(Self {
            _server: server,
            url,
        })
    }

    pub fn url(&self) -> &str {
        &self.url
    }
}

/// The folder and those above it, as far as they are the system's own.
fn open_to_all(dir: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;

    for folder in [dir, dir.parent().unwrap_or(dir)] {
        let mut permissions = fs::metadata(folder)?.permissions();
        permissions.set_mode(permissions.mode() | 0o111);
        fs::set_permissions(folder, permissions)?;
    }
    Ok(())
}

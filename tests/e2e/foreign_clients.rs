//! gRPC clients that aren't ours, as in `proto/examples`: they learn the contract from a running service and
//! ask it over mutual TLS.

use std::{path::PathBuf, process::Stdio};

use anyhow::{Context as _, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use holdfast_harness::{System, tools, with_system};
use serde_json::Value;
use tokio::process::Command;
use uuid::Uuid;

use crate::{demo_show, options};

/// Seats of the demo show.
const SEATS: usize = 738;

#[tokio::test]
async fn clients_of_others_learn_the_contract_and_are_answered() {
    let buf = tools("scripts/tools.txt").expect("buf").join("buf");
    let python = tools("scripts/grpc-clients.txt").expect("grpcio");
    let python = python.join("python");
    with_system(options(), async |system| {
        let show = demo_show(system)?;
        with_buf(system, &buf, show).await?;
        with_python(system, &python, show).await
    })
    .await;
}

fn example(name: &str) -> PathBuf {
    let manifest = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.join("../proto/examples").join(name)
}

/// Runs an example about `show`: whether it succeeds, and what it says.
async fn run(mut command: Command, system: &System, show: Uuid) -> Result<(bool, String, String)> {
    let address = system.run()?.services["booking"].clone();
    let output = command
        .arg(address)
        .arg(system.dir().join("tls"))
        .arg(show.to_string())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Ok((
        output.status.success(),
        text(&output.stdout),
        text(&output.stderr),
    ))
}

async fn with_buf(system: &System, buf: &std::path::Path, show: Uuid) -> Result<()> {
    let command = || {
        let mut command = Command::new(example("availability.sh"));
        command.env("BUF", buf).current_dir(system.dir());
        command
    };
    let (ok, said, errors) = run(command(), system, show).await?;
    ensure!(ok, "{errors}");
    let answer: Value = serde_json::from_str(&said)?;
    let seats = answer["seats"].as_array().context("seats")?;
    ensure!(
        seats.len() == SEATS && answer["showState"] == "ON_SALE",
        "{answer}"
    );
    let (ok, said, errors) = run(command(), system, Uuid::new_v4()).await?;
    ensure!(!ok, "{said}");
    let refused: Value = serde_json::from_str(&errors)?;
    ensure!(refused["code"] == "not_found", "{refused}");
    let why = &refused["details"][0];
    ensure!(why["type"] == "google.rpc.ErrorInfo", "{refused}");
    let why = why["value"].as_str().context("a value")?;
    let why = String::from_utf8_lossy(&STANDARD_NO_PAD.decode(why)?).into_owned();
    ensure!(why.contains("SHOW_NOT_FOUND"), "{why}");
    Ok(())
}

async fn with_python(system: &System, python: &std::path::Path, show: Uuid) -> Result<()> {
    let command = || {
        let mut command = Command::new(python);
        command.arg(example("availability.py"));
        command
    };
    let (ok, said, errors) = run(command(), system, show).await?;
    ensure!(ok, "{errors}");
    let answer: Value = serde_json::from_str(&said)?;
    ensure!(answer["show_state"] == "ON_SALE", "{answer}");
    ensure!(answer["seats"]["AVAILABLE"] == SEATS, "{answer}");
    let (ok, _, errors) = run(command(), system, Uuid::new_v4()).await?;
    ensure!(!ok && errors.starts_with("NOT_FOUND: "), "{errors}");
    Ok(())
}

//! Requests that are made up from the OpenAPI document (schemathesis) get answers that it has: no 5xx, no
//! status, header, type or body that isn't in it, no bad input that is taken, nothing personal without a
//! token.
//!
//! What is valid by the document and refused is not looked for: that `to` is after `from`, or that a cursor
//! is one that was given out, no schema says.

use std::{path::Path, process::Stdio};

use anyhow::{Context as _, Result, ensure};
use holdfast_harness::{Customer, System, tools, with_system};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{demo_show, hostile, options};

const TOOLS: &str = "scripts/schemathesis.txt";
/// Seconds of each pass: the first ends by itself sooner, on an idle machine in half of it.
const SECONDS: [u32; 2] = [50, 25];
/// Made-up requests to each operation in one round of the second pass.
const EXAMPLES: u32 = 25;
/// Lines of its report that a failure shows, and characters of each: a body may be of any length.
const TAIL_LINES: usize = 120;
const LINE_CHARS: usize = 2_000;
/// What bad input may be refused with: what the tool takes by itself, and 413, for now and then it makes up
/// a body of more than 64 KiB.
const SETTINGS: &str = r#"
[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "406", "409", "413", "415", "422", "428"]
"#;

/// Whose requests, and about what.
struct Fuzzer<'a> {
    program: &'a Path,
    api: String,
    /// Where it leaves what it remembers.
    dir: &'a Path,
    token: &'a str,
    /// Its settings.
    config: &'a Path,
}

#[tokio::test]
async fn made_up_requests_are_answered_as_the_document_says() {
    let program = tools(TOOLS).expect("schemathesis").join("schemathesis");
    let mut options = options();
    // It asks as fast as it can, as two accounts.
    let off = "HOLDFAST__GATEWAY__RATE_LIMITS__ENABLED";
    options.env.push((off.to_owned(), "false".to_owned()));
    with_system(options, async |system| {
        let api = format!("{}/api/v1", system.run()?.api_url);
        // Every boundary of every field once, as one who may organise; of things that aren't there.
        let organiser = organiser(system).await?;
        let config = system.dir().join("schemathesis.toml");
        std::fs::write(&config, SETTINGS)?;
        let mut fuzzer = Fuzzer {
            program: &program,
            api,
            dir: system.dir(),
            token: &organiser,
            config: &config,
        };
        let seconds = SECONDS[0].to_string();
        let not_moving = ["--exclude-path-regex", MOVES];
        let boundaries = ["--phases", "examples,coverage", "--max-time", &seconds];
        fuzzer.run(&[&not_moving[..], &boundaries].concat()).await?;
        let victim = Customer::register(&system.rest()?).await?;
        hostile::everywhere(system, &victim, demo_show(system)?).await?;
        // At random, and one request after another, about things that are.
        let things = things(system, &config).await?;
        hostile::with_others_ids(system, &victim, &things.booking, &things.hold).await?;
        fuzzer.token = &things.customer.token;
        let (seconds, examples) = (SECONDS[1].to_string(), EXAMPLES.to_string());
        let at_random = [
            "--phases",
            "fuzzing,stateful",
            "--max-time",
            &seconds,
            "--max-examples",
            &examples,
        ];
        fuzzer.run(&[&not_moving[..], &at_random].concat()).await?;
        // What ends the sale, last, of the organiser's own show.
        fuzzer.token = &organiser;
        let moving = ["--include-path-regex", MOVES];
        fuzzer.run(&[&moving[..], &boundaries].concat()).await
    })
    .await;
}

/// What moves a show from one state to another: whoever tries that of their own shows has none on sale
/// soon.
const MOVES: &str = "/shows/[^/]+/(publish|pause|resume|close|cancel)$";

impl Fuzzer<'_> {
    async fn run(&self, how: &[&str]) -> Result<()> {
        let mut command = Command::new(self.program);
        command.arg("--config-file").arg(self.config);
        command.args(["--no-color", "run"]);
        command.arg(format!("{}/openapi.json", self.api));
        command.args(["--checks", "all"]);
        command.args(["--exclude-checks", "positive_data_acceptance"]);
        // A WebSocket.
        command.args(["--exclude-path-regex", "/live$"]);
        command.args(["--continue-on-failure", "--workers", "1"]);
        command.arg(format!("--header=Authorization: Bearer {}", self.token));
        // As a page of ours, so that sessions are tried too.
        command.arg("--header=Sec-Fetch-Site: same-origin");
        if let Ok(seed) = std::env::var("HOLDFAST_FUZZ_SEED") {
            command.args(["--seed", &seed]);
        }
        let output = command
            .args(how)
            .current_dir(self.dir)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines: Vec<&str> = said.lines().collect();
        let tail: String = lines[lines.len().saturating_sub(TAIL_LINES)..]
            .iter()
            .flat_map(|line| line.chars().take(LINE_CHARS).chain(['\n']))
            .collect();
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "again with HOLDFAST_FUZZ_SEED as it says:\n{tail}{errors}"
        );
        let cases = lines.iter().find(|line| line.contains(" generated, "));
        println!("{how:?}: {}", cases.context("it tried nothing")?.trim());
        Ok(())
    }
}

/// The demo organiser's token.
async fn organiser(system: &System) -> Result<String> {
    let accounts: Value =
        serde_json::from_slice(&std::fs::read(system.dir().join("accounts.json"))?)?;
    let own = &accounts["organiser"];
    let credentials = json!({ "email": own["email"], "password": own["password"] });
    let rest = system.rest()?;
    let request = rest.request(reqwest::Method::POST, "/auth/login");
    let answer = rest.send(request.json(&credentials)).await?.ok()?;
    answer.text("access_token")
}

/// A customer with a booking and a hold.
struct Things {
    customer: Customer,
    booking: String,
    hold: String,
}

/// With the settings that name them too.
async fn things(system: &System, config: &Path) -> Result<Things> {
    let rest = system.rest()?;
    let show = demo_show(system)?;
    let customer = Customer::register(&rest).await?;
    let free = rest.free_seats(show).await?;
    let hold = customer.hold(show, &[&free[0], &free[1]]).await?.ok()?;
    let booking = customer.book(&hold.text("hold_id")?).await?.ok()?;
    let booking = booking.text("booking_id")?;
    let hold = customer.hold(show, &[&free[4]]).await?.ok()?;
    let hold = hold.text("hold_id")?;
    let event = rest.get(&format!("/shows/{show}")).await?.ok()?;
    let event = event.body["event"]["event_id"].as_str().map(str::to_owned);
    let text = format!(
        "{SETTINGS}[parameters]\n\"path.show_id\" = \"{show}\"\n\"path.event_id\" = \"{}\"\n\
         \"path.booking_id\" = \"{booking}\"\n\"path.hold_id\" = \"{hold}\"\n\"path.provider\" = \"sandbox\"\n",
        event.context("an event")?,
    );
    std::fs::write(config, text)?;
    Ok(Things {
        customer,
        booking,
        hold,
    })
}

//! `holdfast import discovery FILE…`
//!
//! Always holds: every file is read to its end before anything is written, so broken ones leave
//! nothing behind; ids are the source's, so the same files again change nothing.

use chrono::Utc;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    cli::ImportDiscoveryArgs,
    data_dir::DataDir,
    discovery::{self, Checked, Input, Listed, Options, Report},
    error::Error,
    operator::{As, Operator},
    supervisor::say,
    up::ORGANISER_EMAIL,
};

/// Takes Discovery documents over into the running system.
///
/// # Errors
/// Files that can't be used, with every place; no such owner, nothing running.
pub(crate) async fn import_discovery(args: ImportDiscoveryArgs) -> Result<(), Error> {
    let dir = DataDir::choose(args.dir.data_dir)?;
    let inputs: Vec<Input> = args.files.into_iter().map(Input::File).collect();
    let options = Options {
        source: args.source,
        shift: args.shift_years,
        hall_seats: args.hall_seats,
        publish: !args.drafts,
        now: Utc::now(),
    };
    let bar = bar("reading", &inputs);
    let checked = discovery::check(&inputs, &options, &bar)?;
    bar.finish_and_clear();
    if checked.mistakes.count > 0 && !args.skip_bad {
        return Err(Error::Refused(refusal(&checked.mistakes)));
    }
    let owner = args.owner.as_deref().unwrap_or(ORGANISER_EMAIL);
    let operator = Operator::sign_in(&dir, As::Account(owner)).await?;

    let bar = self::bar("importing", &inputs);
    let files = inputs.len();
    let report = discovery::import(&operator, inputs, options, &bar).await?;
    bar.finish_and_clear();
    say(&format!("read {} events in {files} files", checked.events));
    for line in lines(&checked, &report) {
        say(&line);
    }
    Ok(())
}

/// Shown where somebody looks (a terminal).
fn bar(what: &'static str, inputs: &[Input]) -> ProgressBar {
    let size = inputs.iter().map(Input::size).sum();
    let style =
        ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}")
            .expect("the template is well-formed");
    ProgressBar::new(size).with_style(style).with_message(what)
}

fn refusal(mistakes: &Listed) -> String {
    let count = mistakes.count;
    let mut text =
        format!("nothing was imported: {count} mistakes (--skip-bad leaves such events out)");
    for line in told(mistakes) {
        text.push_str(&format!("\n  {line}"));
    }
    text
}

fn told(listed: &Listed) -> impl Iterator<Item = String> {
    let more = listed.more();
    let rest = (more > 0).then(|| format!("and {more} more"));
    listed.first.iter().cloned().chain(rest)
}

fn lines(checked: &Checked, report: &Report) -> Vec<String> {
    let mut lines: Vec<String> = report.counts.lines().into();
    lines.push(format!(
        "on sale:    {} ({} put there now)",
        report.on_sale, report.put_on_sale
    ));
    for (why, count) in &report.contradicted {
        lines.push(format!(
            "STILL ON SALE: {count} {why}; pause or cancel them"
        ));
    }
    for (why, count) in &report.refused {
        lines.push(format!(
            "DRAFT:      {count} that could not be put on sale: {why}"
        ));
    }
    for (why, count) in &report.drafts {
        lines.push(format!("DRAFT:      {count} {why}"));
    }
    if report.repeated > 0 {
        lines.push(format!(
            "repeated:   {} events that were read before",
            report.repeated
        ));
    }
    for (what, listed) in [
        ("made for testing", &checked.tests),
        ("without a date", &checked.without_date),
        ("with mistakes", &checked.mistakes),
    ] {
        if listed.count > 0 {
            lines.push(format!("skipped:    {} {what}", listed.count));
            lines.extend(told(listed).map(|line| format!("            {line}")));
        }
    }
    lines
}

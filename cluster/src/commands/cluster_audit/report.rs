//! What an audit says: each check with how much it compared, each finding, and what couldn't be checked.

use std::collections::BTreeMap;

use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use holdfast_types::{BookingId, Fence, Lineage, PaymentId, SeatNo, ShowId};
use serde::Serialize;

use crate::error::Error;

/// What is printed. The JSON form is an interface: fields are added, not renamed.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// Nothing is wrong, and everything was checked.
    clean: bool,
    /// The life of the lock store that Postgres builds on.
    lineage: Option<u8>,
    /// By what was counted, e.g. `seats_compared`: nothing compared is nothing known.
    counts: BTreeMap<&'static str, u64>,
    checks: Vec<Check>,
    findings: Vec<Finding>,
    not_checked: Vec<NotChecked>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    /// Its id in the design, e.g. `BK-1`; `SHOW` is the table of a show's states.
    pub(super) invariant: &'static str,
    /// What is true if it finds nothing.
    pub(super) what: &'static str,
    /// The count in `counts` that says how much was compared.
    pub(super) counted: &'static str,
    /// That count.
    pub(super) compared: u64,
}

/// A promise that doesn't hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) invariant: String,
    /// What is wrong, for programs, e.g. `SOLD_IN_STORE_ONLY`.
    pub(super) kind: String,
    /// The same for people.
    pub(super) what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) show_id: Option<ShowId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seat_no: Option<SeatNo>,
    /// As text: it doesn't fit into a JSON number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fence: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) booking_id: Option<BookingId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) payment_id: Option<PaymentId>,
    /// Of another thing: a refund, a customer, a node, an event's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    /// What tells it from others of the same kind about the same thing.
    #[serde(skip)]
    pub(super) about: String,
}

#[derive(Debug, Serialize)]
struct NotChecked {
    invariant: &'static str,
    why: String,
}

impl Finding {
    pub(super) fn new(
        invariant: impl Into<String>,
        kind: impl Into<String>,
        what: impl Into<String>,
    ) -> Self {
        Self {
            invariant: invariant.into(),
            kind: kind.into(),
            what: what.into(),
            ..Self::default()
        }
    }

    pub(super) fn of_fence(self, fence: Fence) -> Self {
        Self {
            fence: Some(fence.as_u64().to_string()),
            ..self
        }
    }

    /// Whether it is about the same thing, in whichever words.
    pub(super) fn is_about(&self, other: &Self) -> bool {
        let about = |finding: &Self| Self {
            what: String::new(),
            ..finding.clone()
        };
        about(self) == about(other)
    }

    fn line(&self) -> String {
        let mut line = format!("{} {}: {}", self.invariant, self.kind, self.what);
        let named = [
            ("show", self.show_id.map(|id| id.to_string())),
            ("seat", self.seat_no.map(|seat| seat.0.to_string())),
            ("fence", self.fence.clone()),
            ("booking", self.booking_id.map(|id| id.to_string())),
            ("payment", self.payment_id.map(|id| id.to_string())),
            ("id", self.id.clone()),
        ];
        for (name, value) in named {
            if let Some(value) = value {
                line.push_str(&format!(" · {name} {value}"));
            }
        }
        line
    }
}

impl Report {
    pub(super) fn add(&mut self, checks: Vec<Check>, findings: Vec<Finding>) {
        for check in &checks {
            self.counts.insert(check.counted, check.compared);
        }
        self.checks.extend(checks);
        self.findings.extend(findings);
    }

    pub(super) fn not_checked(&mut self, invariant: &'static str, why: String) {
        self.not_checked.push(NotChecked { invariant, why });
    }

    pub(super) fn finish(&mut self, lineage: Option<Lineage>) {
        self.lineage = lineage.map(|lineage| lineage.0);
        self.clean = self.findings.is_empty() && self.not_checked.is_empty();
    }

    /// # Errors
    /// [`Error::Refused`] with findings; [`Error::Unreachable`] where something couldn't be checked.
    pub(super) fn verdict(&self) -> Result<(), Error> {
        match (self.findings.len(), self.not_checked.first()) {
            (0, None) => Ok(()),
            (0, Some(first)) => Err(Error::Unreachable {
                what: "all that is to be compared".to_owned(),
                why: first.why.clone(),
            }),
            (found, _) => Err(Error::Refused(format!("the audit found {found} problems"))),
        }
    }

    pub(super) fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header(["invariant", "check", "compared", "of"]);
        for check in &self.checks {
            let of = check.counted.trim_end_matches("_compared");
            table.add_row([
                check.invariant.to_owned(),
                check.what.to_owned(),
                check.compared.to_string(),
                of.replace('_', " "),
            ]);
        }
        let mut text = table.to_string();
        for finding in &self.findings {
            text.push_str(&format!("\n{}", finding.line()));
        }
        for missing in &self.not_checked {
            text.push_str(&format!(
                "\nnot checked: {}: {}",
                missing.invariant, missing.why
            ));
        }
        if self.clean {
            text.push_str("\nlock store, database, ledger and provider agree");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::default();
        let check = Check {
            invariant: "BK-3",
            what: "sold in the store is sold here",
            counted: "seats_compared",
            compared: 738,
        };
        report.add(vec![check], Vec::new());
        report
    }

    fn code(report: &Report) -> String {
        format!("{:?}", report.verdict().map_err(|error| error.exit_code()))
    }

    #[test]
    fn clean_says_how_much_was_compared() {
        let mut report = report();
        report.finish(Some(Lineage(1)));
        insta::assert_json_snapshot!(report);
        insta::assert_snapshot!(report.table());
        assert_eq!(code(&report), "Ok(())");
    }

    #[test]
    fn findings_are_an_exit_code_of_their_own_whatever_else_could_not_be_checked() {
        let mut report = report();
        report.not_checked("BK-2", "the provider can't be asked".to_owned());
        report.finish(None);
        assert!(code(&report).contains('3') && !report.clean);
        let finding = Finding {
            show_id: Some(ShowId::from_bytes([1; 16])),
            seat_no: Some(SeatNo(7)),
            booking_id: Some(BookingId::from_bytes([2; 16])),
            ..Finding::new("BK-3", "SOLD_IN_STORE_ONLY", "sold to a FAILED booking")
        };
        let finding = finding.of_fence(Fence::new(Lineage(1), 5, 0));
        report.add(Vec::new(), vec![finding]);
        report.finish(None);
        assert!(code(&report).contains('1'));
        insta::assert_snapshot!(report.table());
        insta::assert_json_snapshot!(report);
    }
}

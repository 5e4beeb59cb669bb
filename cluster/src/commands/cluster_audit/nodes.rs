//! HS-5: nodes that have applied the same log have the same state, by its hash; and all are of the life of
//! the cluster that Postgres builds on (HS-3).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use holdfast_proto::lockstore::v1::GetStatusResponse;
use holdfast_types::Lineage;

use super::{
    report::{Check, Finding},
    store::Store,
};

/// How long nodes are asked until each was seen where another was: while seats are sold they pass the same
/// places at other moments.
const LIMIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// How long one that doesn't answer is waited for: it may be starting.
const MISSING_LIMIT: Duration = Duration::from_secs(10);

/// What was seen of the nodes.
#[derive(Default)]
struct Seen {
    /// Hashes of each node's state, by term and index of the last entry applied.
    at: BTreeMap<(u64, u64), BTreeMap<u64, Vec<u8>>>,
    lineages: BTreeMap<u64, u32>,
    missing: BTreeMap<String, String>,
}

impl Seen {
    fn add(&mut self, address: String, answer: Result<GetStatusResponse, String>) {
        match answer {
            Ok(status) => {
                self.missing.remove(&address);
                self.lineages.insert(status.node_id, status.lineage);
                if let Some(applied) = status.applied {
                    let at = self.at.entry((applied.term, applied.index)).or_default();
                    at.entry(status.node_id)
                        .or_insert_with(|| status.state_hash.to_vec());
                }
            }
            Err(why) => {
                self.missing.insert(address, why);
            }
        }
    }

    /// Nodes that were seen where another was.
    fn compared(&self) -> BTreeSet<u64> {
        let together = self.at.values().filter(|nodes| nodes.len() > 1);
        together.flat_map(|nodes| nodes.keys().copied()).collect()
    }

    fn findings(&self, lineage: Option<Lineage>) -> Vec<Finding> {
        let mut findings = Vec::new();
        for ((_, index), nodes) in &self.at {
            let mut hashes = nodes.iter();
            let Some((first, hash)) = hashes.next() else {
                continue;
            };
            for (other, _) in hashes.filter(|(_, other)| *other != hash) {
                findings.push(Finding {
                    id: Some(other.to_string()),
                    ..Finding::new(
                        "HS-5",
                        "STATE_DIFFERS",
                        format!("nodes {first} and {other} differ after entry {index}"),
                    )
                });
            }
        }
        for (node, of) in &self.lineages {
            let expected = lineage.map(|lineage| u32::from(lineage.0));
            if expected.is_some_and(|expected| expected != *of) {
                findings.push(Finding {
                    id: Some(node.to_string()),
                    ..Finding::new(
                        "HS-3",
                        "OTHER_LINEAGE",
                        format!("node {node} is of lineage {of}, the database of {expected:?}"),
                    )
                });
            }
        }
        findings
    }
}

/// Compares the nodes; says which couldn't be, and why.
pub(super) async fn check(
    store: &Store,
    lineage: Option<Lineage>,
) -> (Vec<String>, Vec<Check>, Vec<Finding>) {
    let begun = Instant::now();
    let mut seen = Seen::default();
    loop {
        for (address, answer) in store.statuses().await {
            seen.add(address, answer);
        }
        let (compared, nodes) = (seen.compared(), seen.lineages.len());
        let all_met = nodes == 1 || compared.len() == nodes;
        let is_enough = all_met && (seen.missing.is_empty() || begun.elapsed() >= MISSING_LIMIT);
        let findings = seen.findings(lineage);
        if !(is_enough || !findings.is_empty() || begun.elapsed() >= LIMIT) {
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        let mut not_checked: Vec<_> = seen
            .missing
            .iter()
            .map(|(address, why)| format!("node {address} can't be compared: {why}"))
            .collect();
        if !all_met {
            not_checked.push(format!(
                "of {nodes} nodes only {compared:?} were seen after the same entry"
            ));
        }
        let check = Check {
            invariant: "HS-5",
            what: "nodes with the same log have the same state",
            counted: "nodes_compared",
            compared: if all_met { nodes } else { compared.len() } as u64,
        };
        return (not_checked, vec![check], findings);
    }
}

#[cfg(test)]
mod tests {
    use holdfast_proto::lockstore::v1::LogPosition;

    use super::*;

    fn status(node_id: u64, index: u64, hash: u8) -> Result<GetStatusResponse, String> {
        Ok(GetStatusResponse {
            node_id,
            lineage: 1,
            applied: Some(LogPosition { term: 2, index }),
            state_hash: vec![hash; 16].into(),
            ..Default::default()
        })
    }

    #[test]
    fn a_node_that_differs_after_the_same_entry_is_found_and_others_are_not() {
        let mut seen = Seen::default();
        for (node, index, hash) in [(1, 7, 1), (2, 8, 2), (2, 7, 1), (3, 8, 2)] {
            seen.add(format!("n{node}"), status(node, index, hash));
        }
        assert_eq!(seen.findings(Some(Lineage(1))), []);
        assert_eq!(seen.compared(), BTreeSet::from([1, 2, 3]));
        seen.add("n1".to_owned(), status(1, 8, 9));
        let found = seen.findings(Some(Lineage(1)));
        assert!(
            !found.is_empty() && found.iter().all(|f| f.kind == "STATE_DIFFERS"),
            "{found:?}"
        );
        let found = seen.findings(Some(Lineage(2)));
        assert!(found.iter().any(|f| f.kind == "OTHER_LINEAGE"), "{found:?}");
    }

    #[test]
    fn nodes_that_were_never_seen_together_were_not_compared() {
        let mut seen = Seen::default();
        seen.add("n1".to_owned(), status(1, 7, 1));
        seen.add("n2".to_owned(), status(2, 8, 2));
        assert_eq!(seen.compared(), BTreeSet::new());
    }
}

//! Where a piece of work belongs in a distributed trace: W3C's `traceparent`, as text.
//!
//! Always holds: neither id is all zeros. Leaves to others: making ids, and what is recorded.
//! Source: <https://www.w3.org/TR/trace-context/#traceparent-header>.

use std::{fmt, str::FromStr};

/// Length of version 00; later versions may be longer.
const LEN: usize = 55;

/// The one bit of the flags that version 00 names.
const SAMPLED: u8 = 1;

/// A text that is no `traceparent`, which counts as none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a traceparent")]
pub struct TraceParentError;

/// The trace, and the span in it that caused what carries this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceParent {
    /// Of the trace.
    pub trace_id: [u8; 16],
    /// Of the span that is the parent.
    pub span_id: [u8; 8],
    /// Whether the trace is recorded.
    pub sampled: bool,
}

impl FromStr for TraceParent {
    type Err = TraceParentError;

    /// Of a later version what version 00 knows is read.
    fn from_str(text: &str) -> Result<Self, TraceParentError> {
        let bytes = text.as_bytes();
        let [version] = hex(bytes.get(..2))?;
        let has_right_length = match version {
            0 => bytes.len() == LEN,
            0xff => false,
            _ => bytes.len() == LEN || bytes.get(LEN) == Some(&b'-'),
        };
        let has_dashes = [2, 35, 52].iter().all(|at| bytes.get(*at) == Some(&b'-'));
        if !has_right_length || !has_dashes {
            return Err(TraceParentError);
        }
        let trace_id = hex(bytes.get(3..35))?;
        let span_id = hex(bytes.get(36..52))?;
        let [flags] = hex(bytes.get(53..LEN))?;
        if trace_id == [0; 16] || span_id == [0; 8] {
            return Err(TraceParentError);
        }
        Ok(Self {
            trace_id,
            span_id,
            sampled: flags & SAMPLED != 0,
        })
    }
}

/// Version 00.
impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "00-{:032x}-{:016x}-{:02x}",
            u128::from_be_bytes(self.trace_id),
            u64::from_be_bytes(self.span_id),
            u8::from(self.sampled)
        )
    }
}

/// Lower case only, as the source demands.
fn hex<const N: usize>(text: Option<&[u8]>) -> Result<[u8; N], TraceParentError> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(TraceParentError),
    };
    let text = text.filter(|text| text.len() == 2 * N);
    let text = text.ok_or(TraceParentError)?;
    let mut read = [0; N];
    for (byte, pair) in read.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_was_read_is_written_again() {
        let parent: TraceParent = GOOD.parse().expect("is good");
        assert!(parent.sampled);
        assert_eq!(parent.trace_id[0], 0x0a);
        assert_eq!(parent.span_id[7], 0x31);
        assert_eq!(parent.to_string(), GOOD);
        let quiet = GOOD.replace("-01", "-00");
        let parent: TraceParent = quiet.parse().expect("is good");
        assert!(!parent.sampled);
        assert_eq!(parent.to_string(), quiet);
    }

    #[test]
    fn later_versions_are_read_and_unknown_flags_passed_over() {
        for text in [
            GOOD.replacen("00", "01", 1),
            GOOD.replacen("00", "cc", 1) + "-more",
            GOOD.replace("-01", "-03"),
        ] {
            let parent: TraceParent = text.parse().expect(&text);
            assert_eq!(parent.to_string(), GOOD);
        }
    }

    #[test]
    fn malformed_ones_are_none() {
        for bad in [
            String::new(),
            "00".to_owned(),
            GOOD.to_uppercase(),
            GOOD.replacen("00", "ff", 1),
            GOOD.to_owned() + "-more",
            GOOD.replacen("00", "01", 1) + "more",
            GOOD.replace('-', "_"),
            GOOD.replace("b7ad6b7169203331", "0000000000000000"),
            GOOD.replace(
                "0af7651916cd43dd8448eb211c80319c",
                "00000000000000000000000000000000",
            ),
            GOOD.replace("0af7", "0ag7"),
            GOOD.replace("0af7", "0äf"),
            GOOD[1..].to_owned(),
        ] {
            assert_eq!(bad.parse::<TraceParent>(), Err(TraceParentError), "{bad}");
        }
    }
}

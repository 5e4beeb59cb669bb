//! The `hold_id` that clients see: opaque text that carries show, hold and fence.
//!
//! It is a name, not a secret: the store checks that the caller is the holder, so a guessed or
//! altered token finds nothing.

use std::{fmt, str::FromStr};

use crate::{Fence, HoldId, ShowId};

/// The first byte of every token; a changed layout takes the next number.
const VERSION: u8 = 1;
const BYTES: usize = 1 + 16 + 16 + 8;
const TEXT_LEN: usize = 2 + BYTES * 2;

/// Text that is no hold token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid hold id")]
pub struct HoldTokenError;

/// Names one hold of one show under one fence. Text form: `h_` and lower-case hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HoldToken {
    /// The show whose seats are held.
    pub show_id: ShowId,
    /// The store's id of the hold.
    pub hold_id: HoldId,
    /// The fence the hold was granted.
    pub fence: Fence,
}

impl fmt::Display for HoldToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("h_")?;
        let mut bytes = [0_u8; BYTES];
        bytes[0] = VERSION;
        bytes[1..17].copy_from_slice(&self.show_id.to_bytes());
        bytes[17..33].copy_from_slice(&self.hold_id.to_bytes());
        bytes[33..].copy_from_slice(&self.fence.as_u64().to_be_bytes());
        bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for HoldToken {
    type Err = HoldTokenError;

    fn from_str(text: &str) -> Result<Self, HoldTokenError> {
        let digits = text.strip_prefix("h_").ok_or(HoldTokenError)?;
        let lower_hex = digits
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if text.len() != TEXT_LEN || !lower_hex {
            return Err(HoldTokenError);
        }
        let mut bytes = [0_u8; BYTES];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte =
                u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).map_err(|_| HoldTokenError)?;
        }
        if bytes[0] != VERSION {
            return Err(HoldTokenError);
        }
        let mut fence = [0_u8; 8];
        fence.copy_from_slice(&bytes[33..]);
        Ok(Self {
            show_id: ShowId::from_slice(&bytes[1..17]).map_err(|_| HoldTokenError)?,
            hold_id: HoldId::from_slice(&bytes[17..33]).map_err(|_| HoldTokenError)?,
            fence: Fence::from_u64(u64::from_be_bytes(fence)).map_err(|_| HoldTokenError)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Lineage;

    #[test]
    fn token_round_trips_and_altered_text_is_refused() {
        let token = HoldToken {
            show_id: ShowId::from_bytes([1; 16]),
            hold_id: HoldId::from_bytes([2; 16]),
            fence: Fence::new(Lineage(3), 4, 5),
        };
        let text = token.to_string();
        assert_eq!(text.len(), TEXT_LEN);
        assert_eq!(text.parse(), Ok(token));
        let bad = [
            text.to_uppercase(),
            text[1..].to_owned(),
            format!("{text}00"),
            text.replacen("01", "02", 1),
            String::new(),
            "h_é".repeat(28),
        ];
        for text in bad {
            assert_eq!(text.parse::<HoldToken>(), Err(HoldTokenError), "{text}");
        }
    }
}

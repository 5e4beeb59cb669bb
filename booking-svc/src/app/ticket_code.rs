//! What a ticket's QR code says: text that a scanner checks offline.
//!
//! Base64url without padding over: version (1 byte, 1), key id (4, big-endian), ticket id (16),
//! show id (16), the seat's label (UTF-8), and an Ed25519 signature (64) over all before it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use holdfast_types::{ShowId, TicketId};

const VERSION: u8 = 1;
const LABEL_AT: usize = 1 + 4 + 16 + 16;
const SIGNATURE_BYTES: usize = 64;

/// What a scanner learns from a code whose signature is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketCode {
    /// The ticket; one entry, which only the door's list can tell.
    pub ticket_id: TicketId,
    /// For which show.
    pub show_id: ShowId,
    /// Where to sit.
    pub seat_id: String,
    /// Which key signed it.
    pub key_id: u32,
}

/// Why a code counts for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TicketCodeError {
    /// Not a ticket's text, or of a version this program doesn't know.
    #[error("not a ticket code")]
    Malformed,
    /// The signature isn't the key's.
    #[error("the ticket code is forged or altered")]
    Forged,
}

/// The key that signs tickets.
pub(crate) struct TicketKey {
    key_id: u32,
    signing: SigningKey,
}

impl std::fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TicketKey")
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

impl TicketKey {
    pub(crate) fn new(key_id: u32, private: &[u8; 32]) -> Self {
        Self {
            key_id,
            signing: SigningKey::from_bytes(private),
        }
    }

    /// The code of a ticket.
    pub(crate) fn seal(&self, ticket_id: TicketId, show_id: ShowId, label: &str) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend(self.key_id.to_be_bytes());
        bytes.extend(ticket_id.to_bytes());
        bytes.extend(show_id.to_bytes());
        bytes.extend(label.as_bytes());
        let signature = self.signing.sign(&bytes);
        bytes.extend(signature.to_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

impl TicketCode {
    /// The id of the key that a code says it was signed with.
    ///
    /// # Errors
    /// [`TicketCodeError::Malformed`].
    pub(crate) fn key_id(text: &str) -> Result<u32, TicketCodeError> {
        let malformed = TicketCodeError::Malformed;
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed)?;
        let key_id = bytes.get(1..5).and_then(|bytes| bytes.try_into().ok());
        key_id.map(u32::from_be_bytes).ok_or(malformed)
    }

    /// Reads a code; `key` is the public key of the id that it names.
    ///
    /// # Errors
    /// [`TicketCodeError`].
    pub fn read(text: &str, key: &VerifyingKey) -> Result<Self, TicketCodeError> {
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| TicketCodeError::Malformed)?;
        let (signed, signature) = bytes
            .split_last_chunk::<SIGNATURE_BYTES>()
            .ok_or(TicketCodeError::Malformed)?;
        if signed.len() < LABEL_AT || signed[0] != VERSION {
            return Err(TicketCodeError::Malformed);
        }
        key.verify_strict(signed, &Signature::from_bytes(signature))
            .map_err(|_| TicketCodeError::Forged)?;
        let malformed = |_| TicketCodeError::Malformed;
        let mut key_id = [0; 4];
        key_id.copy_from_slice(&signed[1..5]);
        Ok(Self {
            ticket_id: TicketId::from_slice(&signed[5..21]).map_err(malformed)?,
            show_id: ShowId::from_slice(&signed[21..37]).map_err(malformed)?,
            seat_id: std::str::from_utf8(&signed[LABEL_AT..])
                .map_err(|_| TicketCodeError::Malformed)?
                .to_owned(),
            key_id: u32::from_be_bytes(key_id),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_read_back_and_an_altered_or_foreign_one_is_refused() {
        let key = TicketKey::new(3, &[7; 32]);
        let public = key.signing.verifying_key();
        let ticket_id = TicketId::from_bytes([1; 16]);
        let show_id = ShowId::from_bytes([2; 16]);
        let text = key.seal(ticket_id, show_id, "GROUND-3-A-7");
        let seat_id = "GROUND-3-A-7".to_owned();
        assert_eq!(
            TicketCode::read(&text, &public),
            Ok(TicketCode {
                ticket_id,
                show_id,
                seat_id,
                key_id: 3
            })
        );
        let other = TicketKey::new(3, &[8; 32]).signing.verifying_key();
        assert_eq!(
            TicketCode::read(&text, &other),
            Err(TicketCodeError::Forged)
        );
        let mut bytes = URL_SAFE_NO_PAD.decode(&text).expect("ours");
        bytes[LABEL_AT] ^= 1;
        let altered = URL_SAFE_NO_PAD.encode(bytes);
        assert_eq!(
            TicketCode::read(&altered, &public),
            Err(TicketCodeError::Forged)
        );
        for text in ["", "x", "AQ", &text[..40]] {
            assert!(TicketCode::read(text, &public).is_err(), "{text}");
        }
    }
}

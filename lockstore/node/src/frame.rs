//! How every value on disk is wrapped: a format version and a checksum, so that damage and a
//! format from the future are told apart from data.
//!
//! Layout: one byte of version, four bytes CRC32C of the body in little endian, the body. Always
//! holds: a body is returned only if both match. Leaves to others what the body means.

/// Bytes in front of a body.
const HEADER_BYTES: usize = 5;

/// A value that is not what was written.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Error {
    #[error("{length} bytes are too few to be a value")]
    TooShort { length: usize },
    #[error("format version {found}, this program reads {expected}")]
    Version { expected: u8, found: u8 },
    #[error("checksum {found:08x} where {expected:08x} was written: the data is damaged")]
    Checksum { expected: u32, found: u32 },
}

/// Wraps `body`.
pub(crate) fn seal(version: u8, body: &[u8]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(HEADER_BYTES + body.len());
    framed.push(version);
    framed.extend_from_slice(&crc32c::crc32c(body).to_le_bytes());
    framed.extend_from_slice(body);
    framed
}

/// Unwraps what [`seal`] made.
pub(crate) fn open(version: u8, framed: &[u8]) -> Result<&[u8], Error> {
    let Some((&[found, a, b, c, d], body)) = framed.split_first_chunk::<HEADER_BYTES>() else {
        return Err(Error::TooShort {
            length: framed.len(),
        });
    };
    if found != version {
        return Err(Error::Version {
            expected: version,
            found,
        });
    }
    let expected = u32::from_le_bytes([a, b, c, d]);
    let found = crc32c::crc32c(body);
    if found != expected {
        return Err(Error::Checksum { expected, found });
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_is_noticed() {
        let framed = seal(1, b"seat 7");
        assert_eq!(open(1, &framed), Ok(&b"seat 7"[..]));
        for bit in 0..framed.len() * 8 {
            let mut damaged = framed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(open(1, &damaged).is_err(), "bit {bit}");
        }
        assert_eq!(open(1, &framed[..4]), Err(Error::TooShort { length: 4 }));
    }
}

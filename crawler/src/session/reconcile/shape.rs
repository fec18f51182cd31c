//! Whether a message is whole, before the library reads it: it takes a number that breaks off for
//! one that ends, and so a message that was cut for agreement about the rest.

use negentropy::{Error, FINGERPRINT_SIZE, ID_SIZE};

/// The most bytes of a number of 64 bits, seven in each.
const MAX_NUMBER_BYTES: usize = 10;

/// Walks through the ranges of a message, behind its version byte.
pub(super) fn check(mut ranges: &[u8]) -> Result<(), Error> {
    while !ranges.is_empty() {
        let _time = number(&mut ranges)?;
        let prefix = number(&mut ranges)?;
        if prefix > ID_SIZE as u64 {
            return Err(Error::IdTooBig);
        }
        skip(&mut ranges, prefix)?;
        match number(&mut ranges)? {
            0 => {}
            1 => skip(&mut ranges, FINGERPRINT_SIZE as u64)?,
            2 => {
                let ids = number(&mut ranges)?;
                skip(&mut ranges, ids.saturating_mul(ID_SIZE as u64))?;
            }
            mode => return Err(Error::UnexpectedMode(mode)),
        }
    }
    Ok(())
}

/// Reads a number: base 128, most significant digit first, a high bit on all but the last.
fn number(bytes: &mut &[u8]) -> Result<u64, Error> {
    let mut value = 0_u64;
    for (n, byte) in bytes.iter().take(MAX_NUMBER_BYTES).enumerate() {
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            *bytes = &bytes[n + 1..];
            return Ok(value);
        }
    }
    Err(Error::ParseEndsPrematurely)
}

fn skip(bytes: &mut &[u8], count: u64) -> Result<(), Error> {
    let rest = usize::try_from(count)
        .ok()
        .and_then(|count| bytes.get(count..));
    *bytes = rest.ok_or(Error::ParseEndsPrematurely)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_breaks_off_is_not_whole() {
        let range = [&[0x86, 0xaa, 0x01, 2, 7, 7, 2, 1][..], &[9; 32]].concat();
        let whole = [&range[..], &[0, 0, 1], &[3; 16]].concat();
        assert_eq!(check(&whole), Ok(()));
        assert_eq!(check(&[]), Ok(()));
        for length in 1..whole.len() {
            // Where a range ends, nobody can tell.
            let expected = length == range.len();
            assert_eq!(check(&whole[..length]).is_ok(), expected, "{length}");
        }
    }

    #[test]
    fn numbers_without_end_or_sense_are_refused() {
        for ranges in [
            vec![0xff; 64],
            vec![0, 33],
            [&[0, 33, 2][..], &[0; 40]].concat(),
            vec![0, 0, 3],
            // So many ids that their size overflows.
            [&[0, 0, 2][..], &[0xff; 9], &[0x7f]].concat(),
        ] {
            assert!(check(&ranges).is_err(), "{ranges:?}");
        }
    }
}

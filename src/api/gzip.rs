//! Answers compressed as gzip (RFC 1952), for clients that ask for it.

use miniz_oxide::deflate::compress_to_vec;

/// Shorter answers are sent as they are.
const SHORTEST: usize = 1024;

/// DEFLATE's level. Higher ones take twice the time for a tenth less.
const LEVEL: u8 = 4;

/// The member's head: DEFLATE, no name, no time, of any system.
const HEAD: [u8; 10] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF];

/// Whether `Accept-Encoding` names gzip, and does not exclude it by a weight of zero.
pub(super) fn is_accepted(header: &str) -> bool {
    header.split(',').any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
        name.trim().eq_ignore_ascii_case("gzip") && weight.is_ok_and(|weight| weight > 0.0)
    })
}

/// The text as gzip; `None` if it is short.
pub(crate) fn compressed(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    if bytes.len() < SHORTEST {
        return None;
    }
    let length = u32::try_from(bytes.len()).ok()?;
    let parts = [&HEAD, &*compress_to_vec(bytes, LEVEL), &crc(bytes).to_le_bytes(), &length.to_le_bytes()];
    Some(parts.concat())
}

/// CRC-32 (ISO 3309), four bits at a time.
fn crc(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 16] = table();
    let step = |crc: u32, nibble: u32| TABLE[((crc ^ nibble) & 15) as usize] ^ (crc >> 4);
    !bytes.iter().fold(!0, |crc, byte| step(step(crc, u32::from(*byte)), u32::from(*byte >> 4)))
}

const fn table() -> [u32; 16] {
    let mut table = [0; 16];
    let mut index = 0;
    while index < 16 {
        let (mut value, mut bit) = (index, 0);
        while bit < 4 {
            value = if value & 1 == 1 { (value >> 1) ^ 0xEDB8_8320 } else { value >> 1 };
            bit += 1;
        }
        table[index as usize] = value;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_is_that_of_the_standard() {
        assert_eq!(crc(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc(b""), 0);
    }

    #[test]
    fn gzip_is_used_where_it_is_accepted() {
        for (header, expected) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.5, br", true),
            ("gzip; q=1.0", true),
            ("gzip;q=0", false),
            ("gzip;q=0.000", false),
            ("x-gzip, identity", false),
            ("", false),
        ] {
            assert_eq!(is_accepted(header), expected, "{header:?}");
        }
    }

    #[test]
    fn text_comes_back() {
        assert_eq!(compressed("short"), None);
        let text = "Some film (2019).mkv\n".repeat(100);
        let gzip = compressed(&text).expect("long");
        assert!(gzip.len() < text.len() / 5 && gzip.starts_with(&HEAD));
        let plain = miniz_oxide::inflate::decompress_to_vec(&gzip[10..gzip.len() - 8]).expect("DEFLATE");
        assert_eq!(plain, text.as_bytes());
    }
}

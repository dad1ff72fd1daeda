//! Random numbers from the kernel (getrandom(2)), which need no file descriptor.

use std::io;

use rustix::rand::{GetRandomFlags, getrandom};

/// Random bytes, at most 256.
///
/// # Errors
/// The sandbox (seccomp) of the process does not allow getrandom.
pub(crate) fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    // The kernel gives so few bytes at once or not at all.
    if getrandom(&mut bytes, GetRandomFlags::empty())? == N {
        Ok(bytes)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// A random UUID (RFC 9562, version 4).
///
/// # Errors
/// As [`bytes`].
pub(crate) fn uuid() -> io::Result<String> {
    let mut id = u128::from_be_bytes(bytes()?);
    id = id & !(0xF << 76) | 4 << 76;
    id = id & !(0b11 << 62) | 0b10 << 62;
    let hex = format!("{id:032x}");
    Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_says_its_version_and_comes_once() {
        let id = uuid().expect("random numbers");
        let lengths: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
        assert!(id.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()), "{id}");
        assert_eq!(&id[14..15], "4", "{id}");
        assert!(matches!(&id[19..20], "8" | "9" | "a" | "b"), "{id}");
        assert_ne!(id, uuid().expect("random numbers"));
    }
}

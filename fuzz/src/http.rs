//! The framing of requests: where heads end must not depend on how the bytes arrive, nor differ from what the parser of the
//! HTTP library finds. A difference would let one client smuggle a request past what counts it.

use vpo::daemon::http::framing::{Found, Framing, MAX_HEAD, MAX_LINE};

/// Most header fields of a request that hyper takes.
const MAX_FIELDS: usize = 100;

/// Finds the heads in `bytes`, in one piece and in pieces whose lengths follow from `seed`.
pub fn check(bytes: &[u8], seed: u8) {
    let (heads, end) = heads(bytes, &mut || usize::MAX);
    let mut state = u32::from(seed);
    let mut length = || {
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        1 + (state >> 16) as usize % (1 + usize::from(seed))
    };
    assert_eq!((heads.clone(), end), self::heads(bytes, &mut length), "in pieces");
    let mut start = 0;
    for head in heads {
        check_head(&bytes[start..head]);
        start = head;
    }
    let rest = &bytes[start..];
    if end == Found::Partial {
        assert!(rest.iter().filter(|byte| **byte != b'\n' && **byte != b'\r').count() <= MAX_HEAD);
        // What the library takes for a whole request must have been handed over to it.
        assert!(!is_complete(rest), "the library finds a head in {:?}", rest.escape_ascii().to_string());
    }
}

/// Where heads end, and what the bytes after the last one are. `length` is that of the next piece.
fn heads(bytes: &[u8], length: &mut dyn FnMut() -> usize) -> (Vec<usize>, Found) {
    let (mut framing, mut heads, mut start) = (Framing::default(), Vec::new(), 0);
    while start < bytes.len() {
        let piece = &bytes[start..start.saturating_add(length()).min(bytes.len())];
        match framing.advance(piece) {
            Found::Head(count) => {
                assert!((1..=piece.len()).contains(&count) && !framing.partial());
                start += count;
                heads.push(start);
            }
            Found::Partial => start += piece.len(),
            refused => return (heads, refused),
        }
    }
    (heads, Found::Partial)
}

fn check_head(head: &[u8]) {
    let mut text = head;
    while let Some(rest) = text.strip_prefix(b"\n").or_else(|| text.strip_prefix(b"\r\n")) {
        text = rest;
    }
    let line = text.iter().position(|byte| *byte == b'\n').expect("a head has lines");
    assert!(line <= MAX_LINE + 1 && text.len() <= MAX_HEAD + 3, "{line} of {} bytes", text.len());
    assert!(text.ends_with(b"\n\n") || text.ends_with(b"\n\r\n"));
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    match httparse::Request::new(&mut fields).parse(head) {
        Ok(httparse::Status::Complete(count)) => {
            assert_eq!(count, head.len(), "the library ends the head elsewhere")
        }
        Ok(httparse::Status::Partial) => {
            panic!("the library waits for more than {:?}", head.escape_ascii().to_string())
        }
        Err(_) => {}
    }
}

fn is_complete(bytes: &[u8]) -> bool {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    matches!(httparse::Request::new(&mut fields).parse(bytes), Ok(httparse::Status::Complete(_)))
}

//! Finds the end of a request head.
//!
//! hyper does not show what it has read. It receives one head at a time, so that the server always knows whether a
//! client has sent more than what was answered. When the daemon stops, idle connections can then be closed without
//! dropping a request.

/// Maximum bytes of a request line.
pub const MAX_LINE: usize = 8 * 1024;
/// Maximum bytes of a head: request line and header fields.
pub const MAX_HEAD: usize = 16 * 1024;

/// The two header fields that give the length of a body. A request with both is refused, because a proxy may have taken
/// the one and hyper takes the other, so that they differ about the end of the request (RFC 9112, section 6.1). hyper does
/// not report it.
const LENGTH_FIELDS: [&[u8]; 2] = [b"content-length:", b"transfer-encoding:"];

/// The state of the parser of one connection.
#[derive(Debug, Default)]
pub struct Framing {
    /// Bytes of the current head, without blank lines before it.
    head: usize,
    /// Complete lines of the head.
    lines: usize,
    /// The content of the current line so far.
    line: Line,
    /// Bytes of the current line so far.
    column: usize,
    /// For each of [`LENGTH_FIELDS`], how many bytes at the start of the current line are the same; all of them for ever.
    matched: [usize; LENGTH_FIELDS.len()],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Line {
    #[default]
    Empty,
    /// A carriage return only: empty, if the line ends here.
    CarriageReturn,
    Text,
}

/// The result of [`Framing::advance`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A head ends after that many bytes.
    Head(usize),
    /// No end yet.
    Partial,
    /// The request line has more than [`MAX_LINE`] bytes.
    LineTooLong,
    /// The head has more than [`MAX_HEAD`] bytes.
    HeadTooLong,
    /// The head has both [`LENGTH_FIELDS`].
    TwoLengths,
}

impl Framing {
    /// Finds the end of the head in the next bytes: an empty line. A line may end in LF alone, and empty lines before a
    /// request are skipped (RFC 9112, section 2.2).
    pub fn advance(&mut self, bytes: &[u8]) -> Found {
        let mut start = 0;
        while let Some(length) = bytes[start..].iter().position(|byte| *byte == b'\n') {
            self.text(&bytes[start..start + length]);
            start += length + 1;
            if let Some(excess) = self.excess() {
                return excess;
            }
            if self.line == Line::Text {
                self.head += 1;
                self.lines += 1;
            } else if self.lines > 0 {
                let has_two_lengths = (0..LENGTH_FIELDS.len()).all(|field| self.has(field));
                *self = Self::default();
                return if has_two_lengths { Found::TwoLengths } else { Found::Head(start) };
            }
            self.end_line();
        }
        self.text(&bytes[start..]);
        self.excess().unwrap_or(Found::Partial)
    }

    /// Whether a request has begun that is not complete.
    #[must_use]
    pub fn partial(&self) -> bool {
        self.lines > 0 || self.line != Line::Empty
    }

    fn text(&mut self, bytes: &[u8]) {
        self.line = match (self.line, bytes) {
            (line, []) => line,
            (Line::Empty, b"\r") => Line::CarriageReturn,
            _ => Line::Text,
        };
        if self.line == Line::Text {
            self.head += bytes.len();
        }
        for byte in bytes {
            for (name, matched) in LENGTH_FIELDS.iter().zip(&mut self.matched) {
                let is_next = *matched == self.column && name.get(self.column).is_some();
                if is_next && name[self.column] == byte.to_ascii_lowercase() {
                    *matched += 1;
                }
            }
            self.column += 1;
        }
    }

    fn has(&self, field: usize) -> bool {
        self.matched[field] == LENGTH_FIELDS[field].len()
    }

    fn end_line(&mut self) {
        (self.line, self.column) = (Line::Empty, 0);
        for field in 0..LENGTH_FIELDS.len() {
            if !self.has(field) {
                self.matched[field] = 0;
            }
        }
    }

    fn excess(&self) -> Option<Found> {
        if self.lines == 0 && self.head > MAX_LINE {
            Some(Found::LineTooLong)
        } else if self.head > MAX_HEAD {
            Some(Found::HeadTooLong)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_head_of_a_pipeline() {
        let mut framing = Framing::default();
        let bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\n";
        assert_eq!(framing.advance(bytes), Found::Head(27));
        assert!(!framing.partial());
        assert_eq!(framing.advance(&bytes[27..]), Found::Partial);
        assert!(framing.partial());
        assert_eq!(framing.advance(b"\n"), Found::Head(1));
    }

    #[test]
    fn is_the_same_byte_by_byte() {
        let mut framing = Framing::default();
        let bytes = b"\r\n\nGET / HTTP/1.0\nHost: a\r\n\r\n";
        for (index, byte) in bytes.iter().enumerate() {
            let found = framing.advance(&[*byte]);
            let expected = if index + 1 == bytes.len() { Found::Head(1) } else { Found::Partial };
            assert_eq!(found, expected, "at byte {index}");
        }
    }

    #[test]
    fn both_lengths_are_found_in_any_case_order_and_pieces() {
        for (fields, has_both) in [
            ("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", true),
            ("TRANSFER-ENCODING:chunked\nX: y\ncontent-length:3\n", true),
            ("Content-Length: 3\r\nContent-Length: 3\r\n", false),
            ("X-Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", false),
            ("Transfer-Encoding: content-length: 3\r\n", false),
            ("Content-Lengths: 3\r\nTransfer-Encoding: chunked\r\n", false),
        ] {
            let request = format!("GET / HTTP/1.1\r\n{fields}\r\n");
            let expected = |count| if has_both { Found::TwoLengths } else { Found::Head(count) };
            assert_eq!(Framing::default().advance(request.as_bytes()), expected(request.len()), "{fields}");
            let mut framing = Framing::default();
            let found = request.bytes().map(|byte| framing.advance(&[byte])).last();
            assert_eq!(found, Some(expected(1)), "{fields}");
            // A field counts for its own request alone.
            assert_eq!(
                framing.advance(b"GET / HTTP/1.1\ncontent-length: 1\n\n"),
                Found::Head(34),
                "{fields}"
            );
        }
    }

    #[test]
    fn blank_lines_alone_are_no_request() {
        let mut framing = Framing::default();
        assert_eq!(framing.advance(b"\r\n\n\r\n"), Found::Partial);
        assert!(!framing.partial());
    }

    #[test]
    fn lines_and_heads_have_a_maximum_length() {
        let mut framing = Framing::default();
        assert_eq!(framing.advance(&[b'a'; MAX_LINE]), Found::Partial);
        assert_eq!(framing.advance(b"a"), Found::LineTooLong);
        assert_eq!(
            Framing::default().advance(&[&[b'a'; MAX_LINE + 1], &b"\n"[..]].concat()),
            Found::LineTooLong
        );
        let mut framing = Framing::default();
        assert_eq!(framing.advance(b"GET / HTTP/1.1\r\n"), Found::Partial);
        assert_eq!(framing.advance(&b"a: b\r\n".repeat(MAX_HEAD / 6)), Found::HeadTooLong);
    }
}

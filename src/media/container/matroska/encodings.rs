//! `ContentEncodings` (RFC 9559, 5.1.4.1.31): what was done to a track's frames or its
//! `CodecPrivate`, and how it is undone.

use miniz_oxide::inflate::{TINFLStatus, decompress_to_vec_zlib_with_limit};

use super::ebml::Element;
use super::ids;
use crate::media::error::Error;
use crate::media::reader::Reader;

/// Bits of `ContentEncodingScope`.
pub(super) const FRAMES: u64 = 1;
pub(super) const PRIVATE: u64 = 2;

/// Maximum of encodings of one track that are read.
const MAX_ENCODINGS: usize = 8;
/// Maximum of bytes that are restored, and that header stripping may have removed.
const MAX_RESTORED: usize = 16 * 1024;

/// One `ContentEncoding`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Encoding {
    order: u64,
    scope: u64,
    method: Method,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Method {
    Zlib,
    /// The bytes removed from the start.
    Stripped(Vec<u8>),
    /// bzlib and LZO, which current programs do not write, and encryption.
    Unknown,
}

/// Reads `ContentEncodings`: the last one applied comes first.
pub(super) fn read(reader: &mut Reader<'_>, list: Element) -> Result<Vec<Encoding>, Error> {
    let mut encodings = Vec::new();
    let mut children = list.children(list.end.unwrap_or(list.body), &[]);
    while let Some(child) = children.next(reader)? {
        if child.id == ids::CONTENT_ENCODING && encodings.len() < MAX_ENCODINGS {
            encodings.push(encoding(reader, child)?);
        }
    }
    encodings.sort_by_key(|encoding| std::cmp::Reverse(encoding.order));
    Ok(encodings)
}

fn encoding(reader: &mut Reader<'_>, element: Element) -> Result<Encoding, Error> {
    let (mut order, mut scope, mut is_encrypted, mut algorithm, mut settings) =
        (0, FRAMES, false, 0, Vec::new());
    let mut children = element.children(element.end.unwrap_or(element.body), &[]);
    while let Some(child) = children.next(reader)? {
        match child.id {
            ids::CONTENT_ENCODING_ORDER => order = child.unsigned(reader)?.unwrap_or(0),
            ids::CONTENT_ENCODING_SCOPE => scope = child.unsigned(reader)?.unwrap_or(FRAMES),
            ids::CONTENT_ENCODING_TYPE => is_encrypted = child.flag(reader)?.unwrap_or(false),
            ids::CONTENT_COMPRESSION => {
                let mut inner = child.children(children.position(), &[]);
                while let Some(child) = inner.next(reader)? {
                    match child.id {
                        ids::CONTENT_COMP_ALGO => algorithm = child.unsigned(reader)?.unwrap_or(0),
                        ids::CONTENT_COMP_SETTINGS => settings = child.head(reader, MAX_RESTORED)?.to_vec(),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    let method = match algorithm {
        0 if !is_encrypted => Method::Zlib,
        3 if !is_encrypted => Method::Stripped(settings),
        _ => Method::Unknown,
    };
    Ok(Encoding { order, scope, method })
}

/// The first bytes of what was encoded, from what is stored, of which at most `most` bytes were read;
/// `None` if they cannot be known.
pub(super) fn restore(encodings: &[Encoding], scope: u64, stored: Vec<u8>, most: usize) -> Option<Vec<u8>> {
    let is_cut = stored.len() >= most;
    let mut bytes = stored;
    for encoding in encodings.iter().filter(|encoding| encoding.scope & scope != 0) {
        bytes = match &encoding.method {
            Method::Zlib => inflate(&bytes, is_cut)?,
            Method::Stripped(removed) => [removed.as_slice(), &bytes].concat(),
            Method::Unknown => return None,
        };
    }
    Some(bytes)
}

/// The first bytes of the content of a zlib stream, which may itself be cut.
fn inflate(bytes: &[u8], is_cut: bool) -> Option<Vec<u8>> {
    match decompress_to_vec_zlib_with_limit(bytes, MAX_RESTORED) {
        Ok(plain) => Some(plain),
        Err(ended) => match ended.status {
            TINFLStatus::HasMoreOutput => Some(ended.output),
            TINFLStatus::FailedCannotMakeProgress if is_cut => Some(ended.output),
            _ => None,
        },
    }
}

//! The movie box (`moov`): its tracks with their headers, in the order of the file.

use std::io::Cursor;

use super::boxes::{BoxHeader, Boxes};
use super::metadata::{self, Cover, Items};
use super::track::{EDITS, MovieTrack, edit_list, timescale_and_duration};
use crate::media::bytes::{u32_at, u64_at};
use crate::media::error::Error;
use crate::media::reader::{MAX_ELEMENT, Reader};

/// Maximum of tracks and covers that are read.
const MAX_TRACKS: usize = 1000;
/// Maximum size of an inflated movie box.
const MAX_INFLATED: usize = 4 * 1024 * 1024;

/// Contents of `moov`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Movie {
    /// Units of `duration` a second.
    pub(crate) timescale: u32,
    /// Length in units; `None` when not stated.
    pub(crate) duration: Option<u64>,
    /// Tracks and covers, in the order of the file.
    pub(crate) streams: Vec<MovieStream>,
    /// The defaults for fragments, if there may be fragments.
    pub(crate) fragments: Option<Fragments>,
    /// Tracks that hold the chapters' titles or pictures.
    pub(crate) chapters: Vec<u32>,
    pub(crate) title: Option<String>,
    /// Number of chapters in Nero's list (`chpl`).
    pub(crate) listed_chapters: Option<u32>,
}

/// Contents of `mvex`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fragments {
    /// Length with all fragments, in units of the movie.
    pub(crate) duration: Option<u64>,
    /// Per track identifier: the duration of a sample, unless a fragment states another.
    pub(crate) sample_durations: Vec<(u32, u32)>,
}

/// A track or cover. Each becomes a track of the result.
#[derive(Clone, Debug)]
pub(crate) enum MovieStream {
    Track(Box<MovieTrack>),
    Cover(Cover),
}

/// Reads `moov`; `is_quicktime` = sound descriptions have QuickTime's extensions.
pub(crate) fn parse(reader: &mut Reader<'_>, moov: &BoxHeader, is_quicktime: bool) -> Result<Movie, Error> {
    match moov.children(0).next(reader)? {
        Some(compressed) if compressed.kind == *b"cmov" => compressed_movie(reader, &compressed),
        _ => uncompressed_movie(reader, moov, is_quicktime),
    }
}

/// Reads a compressed movie box (QuickTime File Format Specification, "Compressed Movie
/// Resources").
fn compressed_movie(reader: &mut Reader<'_>, cmov: &BoxHeader) -> Result<Movie, Error> {
    let malformed = |what| Error::Malformed { offset: cmov.offset, what };
    let scheme = cmov.children(0).find(reader, *b"dcom")?;
    let data = cmov.children(0).find(reader, *b"cmvd")?;
    let (Some(scheme), Some(data)) = (scheme, data) else {
        return Err(malformed("the compressed movie box is incomplete"));
    };
    if !scheme.head(reader, 4)?.starts_with(b"zlib") {
        return Err(malformed("the movie box is compressed in an unknown way"));
    }
    let zlib = data.head(reader, MAX_ELEMENT)?.get(4..).unwrap_or_default();
    let plain_bytes = miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(zlib, MAX_INFLATED)
        .map_err(|_| malformed("the compressed movie box cannot be inflated"))?;
    let mut source = Cursor::new(plain_bytes);
    let mut inner = Reader::new(&mut source)?;
    let length = inner.length();
    match Boxes::new(0, length).find(&mut inner, *b"moov")? {
        Some(moov) => uncompressed_movie(&mut inner, &moov, true),
        None => Err(malformed("the compressed movie box holds no movie")),
    }
}

fn uncompressed_movie(reader: &mut Reader<'_>, moov: &BoxHeader, is_quicktime: bool) -> Result<Movie, Error> {
    let missing = Some(moov.missing).filter(|missing| *missing > 0);
    let truncated = Error::Truncated { what: "movie box (moov)", length: reader.length(), missing };
    let mut movie = Movie::default();
    let mut boxes = moov.children(0);
    while let Some(found) = boxes.next(reader)? {
        match &found.kind {
            b"mvhd" => movie.header(found.head(reader, 32)?),
            // The tables of a track are truncated. ffprobe refuses such a file, too.
            b"trak" if moov.is_truncated() && found.is_truncated() => return Err(truncated),
            b"trak" if movie.streams.len() < MAX_TRACKS => movie.track(reader, &found, is_quicktime)?,
            b"mvex" => movie.fragments(reader, &found)?,
            b"udta" => movie.user_data(reader, &found)?,
            b"meta" => movie.items(reader, &found)?,
            _ => {}
        }
    }
    // If the file ends after the tracks, only tags and covers are missing.
    if moov.is_truncated() && movie.tracks().all(|track| track.entry.kind.is_none()) {
        return Err(truncated);
    }
    Ok(movie)
}

/// By how many bytes at least the file is shorter than its chunks of media need; `None` if all begin in it, because their
/// sizes are not read (ISO/IEC 14496-12, 8.7.5).
pub(crate) fn missing_chunks(reader: &mut Reader<'_>, moov: &BoxHeader) -> Result<Option<u64>, Error> {
    let mut last = 0;
    let mut tracks = moov.children(0);
    while let Some(track) = tracks.next(reader)? {
        let mut found = Some(track).filter(|track| track.kind == *b"trak");
        for kind in [b"mdia", b"minf", b"stbl"] {
            found = match found {
                Some(parent) => parent.children(0).find(reader, *kind)?,
                None => None,
            };
        }
        let Some(mut tables) = found.map(|table| table.children(0)) else { continue };
        while let Some(table) = tables.next(reader)? {
            let size = match &table.kind {
                b"stco" => 4,
                b"co64" => 8,
                _ => continue,
            };
            let count = u64::from(u32_at(table.head(reader, 8)?, 4).unwrap_or(0));
            if count > 0 && 8 + count * size <= table.length() {
                let entry = reader.at_most(table.start + 8 + (count - 1) * size, 8)?;
                let offset = if size == 8 { u64_at(entry, 0) } else { u32_at(entry, 0).map(u64::from) };
                last = last.max(offset.unwrap_or(0));
            }
        }
    }
    let length = reader.length();
    Ok((last >= length).then(|| last - length + 1))
}

impl Movie {
    /// Reads the items in a `meta` box.
    pub(crate) fn items(&mut self, reader: &mut Reader<'_>, meta: &BoxHeader) -> Result<(), Error> {
        let Items { title, covers } = metadata::items(reader, meta)?;
        let room = MAX_TRACKS.saturating_sub(self.streams.len());
        self.streams.extend(covers.into_iter().take(room).map(MovieStream::Cover));
        self.title = title.or(self.title.take());
        Ok(())
    }

    fn user_data(&mut self, reader: &mut Reader<'_>, udta: &BoxHeader) -> Result<(), Error> {
        let mut boxes = udta.children(0);
        let mut title = None;
        while let Some(found) = boxes.next(reader)? {
            match &found.kind {
                b"meta" => self.items(reader, &found)?,
                b"\xA9nam" => title = metadata::quicktime_text(reader, &found)?,
                b"chpl" => self.listed_chapters = metadata::listed_chapters(found.head(reader, 9)?),
                _ => {}
            }
        }
        self.title = self.title.take().or(title);
        Ok(())
    }

    /// Number of chapters: the samples of their track of texts, else the entries of the list.
    pub(crate) fn chapter_count(&self) -> u32 {
        let texts = self.tracks().find(|track| self.chapters.contains(&track.id) && !track.is_video());
        texts.map(|track| track.durations.samples()).or(self.listed_chapters).unwrap_or(0)
    }

    /// The tracks among the streams.
    pub(crate) fn tracks(&self) -> impl Iterator<Item = &MovieTrack> {
        self.streams.iter().filter_map(|stream| match stream {
            MovieStream::Track(track) => Some(track.as_ref()),
            MovieStream::Cover(_) => None,
        })
    }

    /// ISO/IEC 14496-12, 8.2.2.
    fn header(&mut self, payload: &[u8]) {
        (self.timescale, self.duration) = timescale_and_duration(payload);
    }

    /// ISO/IEC 14496-12, 8.8.1 to 8.8.3.
    fn fragments(&mut self, reader: &mut Reader<'_>, mvex: &BoxHeader) -> Result<(), Error> {
        let mut boxes = mvex.children(0);
        while let Some(found) = boxes.next(reader)? {
            match &found.kind {
                b"mehd" => {
                    let payload = found.head(reader, 12)?;
                    let duration = match payload.first() {
                        Some(1) => u64_at(payload, 4),
                        _ => u32_at(payload, 4).map(u64::from),
                    };
                    self.fragments.get_or_insert_default().duration = duration;
                }
                b"trex" => {
                    let payload = found.head(reader, 24)?;
                    let fragments = self.fragments.get_or_insert_default();
                    if let (Some(id), Some(duration), true) = (
                        u32_at(payload, 4),
                        u32_at(payload, 12),
                        fragments.sample_durations.len() < MAX_TRACKS,
                    ) {
                        fragments.sample_durations.push((id, duration));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// ISO/IEC 14496-12, 8.3.1.
    fn track(&mut self, reader: &mut Reader<'_>, atom: &BoxHeader, is_quicktime: bool) -> Result<(), Error> {
        let mut track = Box::new(MovieTrack::default());
        let mut inner = Items::default();
        let mut boxes = atom.children(0);
        while let Some(found) = boxes.next(reader)? {
            match &found.kind {
                b"tkhd" => track.header(found.head(reader, 24)?),
                b"edts" => {
                    if let Some(list) = found.children(0).find(reader, *b"elst")? {
                        (track.edits, track.has_more_edits) = edit_list(list.head(reader, 8 + EDITS * 20)?);
                    }
                }
                b"tref" => {
                    if let Some(chapters) = found.children(0).find(reader, *b"chap")? {
                        let ids = chapters.head(reader, 4 * MAX_TRACKS)?.chunks_exact(4);
                        self.chapters = ids.filter_map(|id| u32_at(id, 0)).collect();
                    }
                }
                b"mdia" => track.media(reader, &found, is_quicktime)?,
                b"udta" => {
                    let mut items = found.children(0);
                    while let Some(item) = items.next(reader)? {
                        match &item.kind {
                            b"kind" => track.apply_role(metadata::role(reader, &item)?),
                            b"tagc" => track.apply_role(metadata::characteristic(reader, &item)?),
                            b"name" => track.facts.name = reader.title(item.start, item.length())?,
                            b"meta" => inner.add(metadata::items(reader, &item)?),
                            _ => {}
                        }
                    }
                }
                b"meta" => inner.add(metadata::items(reader, &found)?),
                _ => {}
            }
        }
        track.facts.name = track.facts.name.take().or(inner.title);
        self.streams.push(MovieStream::Track(track));
        self.streams.extend(inner.covers.into_iter().map(MovieStream::Cover));
        Ok(())
    }
}

//! AVI and OpenDML (RIFF): `hdrl` only, up to the `movi` list.
//!
//! Sources: Microsoft's AVI RIFF File Reference and the OpenDML AVI File Format Extensions 1.02. As
//! in ffprobe, the parser enters every list and ignores the sizes of lists, because some writers
//! get them wrong.

mod stream;
#[cfg(test)]
mod tests;

use stream::{Stream, StreamFormat, StreamKind};

use super::format::ContainerFormat;
use crate::media::codec::fourcc::four_cc_at;
use crate::media::codec::riff::{self, WaveFormat};
use crate::media::codec::video::VideoConfig;
use crate::media::codec::{image, mpeg4, quicktime};
use crate::media::error::Error;
use crate::media::info::{Facts, MediaInfo, Track, add_bit_rate};
use crate::media::reader::Reader;

/// The header of a chunk: its name and its size.
const CHUNK: u64 = 8;
/// A larger chunk in the header is taken to be damage or media data, and ends the header.
const MAX_CHUNK: u32 = 1_000_000;
/// The flag of a stream that is not to be played.
const DISABLED: u32 = 1;
/// Maximum of streams in one file, as in ffprobe.
const MAX_STREAMS: usize = 1000;
/// Limits of the search for first frames in `movi`: chunks, reads, and bytes read at once.
const MAX_SEARCH_CHUNKS: u32 = 64;
const MAX_SEARCH_READS: u32 = 6;
const SEARCH_STEP: usize = 16 * 1024;
/// Bytes used of a chunk in `movi`: with its header one read.
const MAX_FRAME: usize = 2048 - 8;
/// Bytes of a frame, with its header, that are worth a read of the rest.
const MIN_FRAME: usize = 64;
/// The number of chunks that are usually in the first read.
const NEAR_CHUNKS: u32 = 4;
/// Maximum of RIFF chunks in a file: each holds about 1 GB.
const MAX_RIFFS: u32 = 64;
/// Maximum of bytes read of a stream format.
const MAX_FORMAT: usize = 1024;

/// AVI.
pub(super) const FORMAT: ContainerFormat =
    ContainerFormat { name: "avi", titles: &["AVI"], extensions: &["avi"], recognises, parse };

fn recognises(head: &[u8]) -> bool {
    let codes = (four_cc_at(head, 0).unwrap_or_default(), four_cc_at(head, 8).unwrap_or_default());
    matches!((&codes.0, &codes.1), (b"RIFF", b"AVI " | b"AVIX" | b"AVI\x19" | b"AMV ") | (b"ON2 ", b"ON2f"))
}

/// Reads an AVI file's streams.
fn parse(reader: &mut Reader<'_>) -> Result<MediaInfo, Error> {
    let riff = reader.array::<12>(0, "RIFF header")?;
    let mut header = Header {
        is_amv: riff.starts_with(b"AMV "),
        riff_end: u64::from(u32_at(&riff, 4)) + CHUNK,
        ..Header::default()
    };
    let length = reader.length();
    if !header.read(reader)? {
        let missing = riff_size(header.riff_end).map(|end| end.saturating_sub(length));
        return Err(Error::Truncated { what: "headers", length, missing });
    }
    if header.streams.is_empty() {
        return Err(Error::NoTracks);
    }
    header.measure(length);
    let duration = header.duration();
    let title = header.title.take();
    let (missing_bytes, media_end) = header.ends(reader);
    let media = header.media_bytes(length);
    let mut tracks: Vec<Track> = header.streams.into_iter().flat_map(Stream::tracks).collect();
    if missing_bytes == Some(0) {
        add_bit_rate(&mut tracks, media, duration);
    }
    Ok(MediaInfo {
        container_format: FORMAT.name,
        duration_seconds: duration,
        tracks,
        facts: Facts { missing_bytes, media_end: Some(media_end), title, ..Facts::default() },
    })
}

/// The end of the first RIFF chunk. `None` if it states no size, as recordings that were not finished.
fn riff_size(riff_end: u64) -> Option<u64> {
    (256..0xFFFF_FF00).contains(&riff_end).then_some(riff_end)
}

/// `hdrl`, as far as it was read.
#[derive(Debug, Default)]
struct Header {
    is_amv: bool,
    riff_end: u64,
    /// `dwMicroSecPerFrame`, width and height of `avih`.
    frame_period: u32,
    size: (u32, u32),
    title: Option<String>,
    /// The place and size of `movi`.
    media: (u64, u32),
    streams: Vec<Stream>,
}

impl Header {
    /// Reads chunks up to `movi`; whether the header is complete.
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<bool, Error> {
        let mut offset = 12;
        loop {
            reader.visit()?;
            let Ok(head) = reader.array::<12>(offset, "headers") else { return Ok(false) };
            let size = u32_at(&head, 4);
            let body = offset + CHUNK;
            let name: &[u8; 4] = &[head[0], head[1], head[2], head[3]];
            match name {
                b"LIST" if head.ends_with(b"movi") => {
                    self.media = (body + 4, size);
                    self.first_frames(reader, body + 4);
                    return Ok(true);
                }
                b"LIST" => {
                    offset = body + 4;
                    if head.ends_with(b"INFO") {
                        self.information(reader, offset, body + u64::from(size))?;
                        offset = body + padded(size);
                    }
                    continue;
                }
                b"avih" | b"amvh" => self.main(reader, body, size)?,
                b"strh" => self.stream(reader, body, size)?,
                b"strf" => self.format(reader, body, size)?,
                b"strn" | b"inam" => {
                    if let Some(stream) = self.streams.last_mut() {
                        stream.title = reader.title(body, u64::from(size))?;
                    }
                }
                b"idx1" | b"indx" | b"strd" | b"vprp" | b"dmlh" | b"JUNK" => {}
                _ if size > MAX_CHUNK => return Ok(true),
                _ => {}
            }
            offset = body + padded(size);
        }
    }

    /// The title in a list of texts, as far as it was read already.
    fn information(&mut self, reader: &mut Reader<'_>, mut offset: u64, end: u64) -> Result<(), Error> {
        while offset + CHUNK < end && reader.holds(offset, 8) {
            reader.visit()?;
            let head = reader.array::<8>(offset, "headers")?;
            let (size, body) = (u32_at(&head, 4), offset + CHUNK);
            if head.starts_with(b"INAM") && reader.holds(body, usize::try_from(size).unwrap_or(usize::MAX)) {
                self.title = reader.title(body, u64::from(size))?;
            }
            offset = body + padded(size);
        }
        Ok(())
    }

    /// `AVIMAINHEADER`.
    fn main(&mut self, reader: &mut Reader<'_>, body: u64, size: u32) -> Result<(), Error> {
        if size >= 40 {
            let main = reader.array::<40>(body, "headers")?;
            self.frame_period = u32_at(&main, 0);
            self.size = (u32_at(&main, 32), u32_at(&main, 36));
        }
        Ok(())
    }

    /// `AVISTREAMHEADER`.
    fn stream(&mut self, reader: &mut Reader<'_>, body: u64, size: u32) -> Result<(), Error> {
        if size < 48 {
            return Ok(());
        }
        if self.streams.len() >= MAX_STREAMS {
            return Err(Error::Excessive { limit: "1,000 streams" });
        }
        let header = reader.array::<48>(body, "headers")?;
        let [k0, k1, k2, k3, h0, h1, h2, h3, ..] = header;
        let kind = match &[k0, k1, k2, k3] {
            // A placeholder without a stream.
            b"pads" => return Ok(()),
            _ if self.is_amv => {
                if self.streams.is_empty() {
                    StreamKind::Video
                } else {
                    StreamKind::Audio
                }
            }
            b"vids" => StreamKind::Video,
            b"auds" => StreamKind::Audio,
            b"txts" => StreamKind::Subtitle,
            b"iavs" | b"ivas" => StreamKind::Interleaved,
            _ => StreamKind::Other,
        };
        let (mut scale, mut rate) = (u32_at(&header, 20), u32_at(&header, 24));
        if scale == 0 || rate == 0 {
            (scale, rate) = if self.frame_period > 0 { (self.frame_period, 1_000_000) } else { (1, 25) };
        }
        self.streams.push(Stream {
            kind,
            handler: [h0, h1, h2, h3],
            scale,
            rate,
            length: u32_at(&header, 32),
            shown: 0,
            sample_size: if kind == StreamKind::Video { 0 } else { u32_at(&header, 44) },
            is_enabled: u32_at(&header, 8) & DISABLED == 0,
            title: None,
            format: None,
            picture: VideoConfig::default(),
        });
        Ok(())
    }

    /// `BITMAPINFOHEADER` or `WAVEFORMATEX`, by the kind of stream.
    fn format(&mut self, reader: &mut Reader<'_>, body: u64, size: u32) -> Result<(), Error> {
        let Some(stream) = self.streams.last_mut().filter(|stream| stream.format.is_none()) else {
            return Ok(());
        };
        let size = usize::try_from(size).unwrap_or(usize::MAX).min(MAX_FORMAT);
        let bytes = reader.at_most(body, size)?;
        stream.format = match stream.kind {
            StreamKind::Video if self.is_amv => {
                let (width, height) = self.size;
                Some(StreamFormat::Bitmap { codec: Some("amv"), width, height })
            }
            StreamKind::Video if bytes.len() >= 20 => {
                let four_cc = [bytes[16], bytes[17], bytes[18], bytes[19]];
                let codec = bitmap_codec(four_cc, bytes);
                if codec == Some("mpeg4") {
                    stream.picture = bytes.get(40..).and_then(mpeg4::parse).unwrap_or_default();
                }
                Some(StreamFormat::Bitmap {
                    codec,
                    width: u32_at(bytes, 4),
                    // Negative for bitmaps that are stored top down.
                    height: u32_at(bytes, 8).cast_signed().unsigned_abs(),
                })
            }
            StreamKind::Audio => WaveFormat::parse(bytes).map(|mut wave| {
                match &stream.handler {
                    _ if self.is_amv => wave.codec = Some("adpcm_ima_amv"),
                    // The format declares it as PCM.
                    b"Axan" => wave.codec = Some("xan_dpcm"),
                    _ => {}
                }
                StreamFormat::Wave(wave)
            }),
            _ => None,
        };
        Ok(())
    }

    /// Reads from the first frame of each stream what its format does not state, as a decoder does.
    /// The frames are usually near; small chunks before them are read in large steps.
    fn first_frames(&mut self, reader: &mut Reader<'_>, movi: u64) {
        let (mut offset, mut fetched) = (movi, 0);
        let most_reads = reader.usage().reads + MAX_SEARCH_READS;
        for nth in 0..MAX_SEARCH_CHUNKS {
            if reader.usage().reads >= most_reads || !self.streams.iter().any(Stream::needs_frame) {
                return;
            }
            // Facts alone are not worth a search.
            if !self.streams.iter().any(Stream::depends_on_frame) && !reader.holds(offset, MIN_FRAME) {
                return;
            }
            if nth >= NEAR_CHUNKS && offset + CHUNK > fetched {
                fetched = offset + SEARCH_STEP as u64;
                if reader.at_most(offset, SEARCH_STEP).is_err() {
                    return;
                }
            }
            let Ok(head) = reader.array::<8>(offset, "first frame") else { return };
            if head.starts_with(b"LIST") {
                offset += CHUNK + 4; // `rec `: chunks that belong together
                continue;
            }
            let size = u32_at(&head, 4);
            let index = match head {
                [tens @ b'0'..=b'9', ones @ b'0'..=b'9', b'd' | b'w', b'c' | b'b', ..] => {
                    usize::from(tens - b'0') * 10 + usize::from(ones - b'0')
                }
                _ => usize::MAX,
            };
            if let Some(stream) = self.streams.get_mut(index).filter(|stream| stream.needs_frame()) {
                if stream.is_jpeg() {
                    let end = offset + CHUNK + u64::from(size);
                    stream.picture.picture =
                        image::parse(reader, offset + CHUNK, end).unwrap_or_default().picture;
                }
                let most = usize::try_from(size).unwrap_or(usize::MAX).min(MAX_FRAME);
                stream.apply_frame(reader.at_most(offset + CHUNK, most).unwrap_or_default());
            }
            offset += CHUNK + padded(size);
        }
    }

    /// How many bytes the file is shorter than its RIFF chunks state: the first one, and those of OpenDML that follow it; and
    /// where its data end, without padding.
    fn ends(&self, reader: &mut Reader<'_>) -> (Option<u64>, u64) {
        let length = reader.length();
        let Some(first) = riff_size(self.riff_end) else { return (None, length) };
        let mut end = first;
        for _ in 0..MAX_RIFFS {
            if end >= length {
                break;
            }
            let next = end.next_multiple_of(2);
            match reader.array::<12>(next, "RIFF header") {
                Ok(head) if head.starts_with(b"RIFF") && head.ends_with(b"AVIX") => {
                    end = next + CHUNK + u64::from(u32_at(&head, 4));
                }
                _ => break,
            }
        }
        let data = if end == first { self.data_end(reader, first.min(length)) } else { end };
        (Some(end.saturating_sub(length)), data.min(length))
    }

    /// Where the last chunk other than padding ends, among `movi` and those that follow it in a RIFF chunk up to `end`.
    fn data_end(&self, reader: &mut Reader<'_>, end: u64) -> u64 {
        let (start, size) = self.media;
        let mut at = start.saturating_sub(4) + padded(size);
        if size == 0 || at > end {
            return end;
        }
        let mut data = at;
        while at + CHUNK <= end && reader.visit().is_ok() {
            let Ok(head) = reader.array::<8>(at, "chunk") else { break };
            at += CHUNK + padded(u32_at(&head, 4));
            if !head.starts_with(b"JUNK") && !head.starts_with(&[0; 4]) {
                data = at;
            }
        }
        data
    }

    /// Finds how much of each stream there is: in proportion if the file is truncated.
    fn measure(&mut self, file: u64) {
        for stream in &mut self.streams {
            let mut frames = u128::from(stream.length);
            if self.riff_end > file {
                let (file, riff_end) = (u128::from(file), u128::from(self.riff_end));
                frames = (frames * file + riff_end / 2) / riff_end;
            }
            stream.shown = u32::try_from(frames).unwrap_or(u32::MAX);
        }
    }

    /// Bytes of all frames, without the headers and the index entries of their chunks: most streams have as many chunks as
    /// there are pictures. A file of several RIFF chunks has media up to its end.
    fn media_bytes(&self, file: u64) -> u64 {
        let (start, size) = self.media;
        let is_one = self.riff_end.saturating_add(CHUNK) >= file;
        let all =
            if is_one { u64::from(size).min(file.saturating_sub(start)) } else { file.saturating_sub(start) };
        let chunks = self.streams.iter().filter(|stream| stream.kind == StreamKind::Video);
        let chunks: u64 =
            chunks.map(|stream| u64::from(stream.length)).sum::<u64>() * self.streams.len() as u64;
        all.saturating_sub(chunks * if is_one { CHUNK } else { CHUNK + 16 })
    }

    /// The longest duration of the streams that count frames.
    fn duration(&self) -> Option<f64> {
        let streams = self.streams.iter().filter(|stream| stream.sample_size == 0);
        let seconds = streams.map(|stream| stream.seconds(stream.shown));
        seconds.reduce(f64::max).filter(|seconds| *seconds > 0.0)
    }
}

/// The codec of a bitmap format. Subtitles stored as video, and `AVRn`, are recognised as in ffprobe.
fn bitmap_codec(four_cc: [u8; 4], format: &[u8]) -> Option<&'static str> {
    match &four_cc {
        b"DXSB" | b"DXSA" => Some("xsub"),
        b"AVRn" if format.get(68..71) != Some(b"1:1") => Some("mjpeg"),
        _ => riff::video(four_cc).or_else(|| quicktime::video(four_cc)),
    }
}

/// Chunks begin at even offsets.
fn padded(size: u32) -> u64 {
    u64::from(size) + u64::from(size & 1)
}

/// The little-endian number at an offset of a header; 0 past its end.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
    four.map_or(0, u32::from_le_bytes)
}

//! AVI and OpenDML (RIFF): `hdrl` only, up to the `movi` list.
//!
//! Sources: Microsoft's AVI RIFF File Reference and the OpenDML AVI File Format Extensions 1.02. As
//! in ffprobe, the parser enters every list and ignores the sizes of lists, because some writers
//! get them wrong.

#[cfg(test)]
mod tests;

use super::format::ContainerFormat;
use crate::media::codec::fourcc::four_cc_at;
use crate::media::codec::riff::{self, WaveFormat};
use crate::media::codec::video::VideoConfig;
use crate::media::codec::{frame_header, mpeg4, quicktime};
use crate::media::error::Error;
use crate::media::frame_rate::{self, Timing};
use crate::media::info::{MediaInfo, Track, TrackType, channel_layout};
use crate::media::reader::Reader;

/// The header of a chunk: its name and its size.
const CHUNK: u64 = 8;
/// A larger chunk in the header is taken to be damage or media data, and ends the header.
const MAX_CHUNK: u32 = 1_000_000;
/// Maximum of streams in one file, as in ffprobe.
const MAX_STREAMS: usize = 1000;
/// Limits of the search for first frames in `movi`: chunks, reads, and bytes read at once.
const MAX_SEARCH_CHUNKS: u32 = 64;
const MAX_SEARCH_READS: u32 = 6;
const SEARCH_STEP: usize = 16 * 1024;
/// Bytes used of a chunk in `movi`: with its header one read.
const MAX_FRAME: usize = 2048 - 8;
/// The number of chunks that are usually in the first read.
const NEAR_CHUNKS: u32 = 4;
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
        return Err(Error::Truncated { what: "headers", length });
    }
    if header.streams.is_empty() {
        return Err(Error::NoTracks);
    }
    let duration = header.duration(length);
    Ok(MediaInfo {
        container_format: FORMAT.name,
        duration_seconds: duration,
        tracks: header.streams.into_iter().flat_map(Stream::tracks).collect(),
    })
}

/// `hdrl`, as far as it was read.
#[derive(Debug, Default)]
struct Header {
    is_amv: bool,
    riff_end: u64,
    /// `dwMicroSecPerFrame`, width and height of `avih`.
    frame_period: u32,
    size: (u32, u32),
    streams: Vec<Stream>,
}

/// Contents of a `strl` list.
#[derive(Debug)]
struct Stream {
    kind: StreamKind,
    handler: [u8; 4],
    scale: u32,
    rate: u32,
    length: u32,
    sample_size: u32,
    title: Option<String>,
    format: Option<StreamFormat>,
    /// Contents of the header of MPEG-4 video: after the bitmap format, else in the first frame.
    picture: VideoConfig,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StreamKind {
    Video,
    Audio,
    Subtitle,
    /// Video and audio in one stream (DV type 1).
    Interleaved,
    Other,
}

/// Contents of a `strf` chunk.
#[derive(Clone, Copy, Debug)]
enum StreamFormat {
    Bitmap { codec: Option<&'static str>, width: u32, height: u32 },
    Wave(WaveFormat),
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
                    self.first_frames(reader, body + 4);
                    return Ok(true);
                }
                b"LIST" => {
                    offset = body + 4;
                    if head.ends_with(b"INFO") {
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
            sample_size: if kind == StreamKind::Video { 0 } else { u32_at(&header, 44) },
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
                let most = usize::try_from(size).unwrap_or(usize::MAX).min(MAX_FRAME);
                stream.apply_frame(reader.at_most(offset + CHUNK, most).unwrap_or_default());
            }
            offset += CHUNK + padded(size);
        }
    }

    /// The longest duration of the streams that count frames, in proportion if the file is
    /// truncated.
    fn duration(&self, file: u64) -> Option<f64> {
        let streams = self.streams.iter().filter(|stream| stream.sample_size == 0);
        let seconds = streams.map(|stream| {
            let mut frames = u128::from(stream.length);
            if self.riff_end > file {
                let (file, riff_end) = (u128::from(file), u128::from(self.riff_end));
                frames = (frames * file + riff_end / 2) / riff_end;
            }
            let frames = u32::try_from(frames).unwrap_or(u32::MAX);
            f64::from(frames) * f64::from(stream.scale) / f64::from(stream.rate)
        });
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

impl Stream {
    fn needs_frame(&self) -> bool {
        match &self.format {
            Some(StreamFormat::Bitmap { codec, .. }) => {
                *codec == Some("mpeg4") && self.picture == VideoConfig::default()
            }
            Some(StreamFormat::Wave(wave)) => {
                !wave.is_configured && wave.codec.is_some_and(frame_header::is_needed)
            }
            None => false,
        }
    }

    /// Applies the header of a frame, if there is one in these bytes.
    fn apply_frame(&mut self, bytes: &[u8]) {
        if let Some(StreamFormat::Wave(wave)) = &mut self.format {
            let header = wave.codec.and_then(|codec| frame_header::find(codec, bytes));
            if let Some((codec, channels)) = header {
                *wave = WaveFormat { codec: Some(codec), channels, is_configured: true };
            }
        } else {
            self.picture = mpeg4::parse(bytes).unwrap_or_default();
        }
    }

    fn tracks(self) -> Vec<Track> {
        let mut track = Track { title: self.title.clone(), ..Track::new(TrackType::Other) };
        match (self.kind, self.format) {
            (StreamKind::Video, Some(StreamFormat::Bitmap { codec: Some("xsub"), .. })) => {
                track.track_type = TrackType::Subtitle;
                track.codec = Some("xsub".to_owned());
            }
            (StreamKind::Video, Some(StreamFormat::Bitmap { codec, width, height })) => {
                track.track_type = TrackType::Video;
                track.codec = codec.map(str::to_owned);
                let (width, height) = self.picture.size.unwrap_or((width, height));
                track.width = Some(width).filter(|width| *width > 0);
                track.height = Some(height).filter(|height| *height > 0);
                track.frame_rate = self.frame_rate(codec);
            }
            (StreamKind::Audio, Some(StreamFormat::Wave(wave))) => {
                track.track_type = TrackType::Audio;
                track.codec = wave.codec.map(str::to_owned);
                track.channels = Some(wave.channels).filter(|channels| *channels > 0);
                track.channel_layout = track.channels.and_then(channel_layout);
            }
            (StreamKind::Subtitle, _) => track.track_type = TrackType::Subtitle,
            (StreamKind::Interleaved, _) => return self.interleaved(track),
            _ => {}
        }
        vec![track]
    }

    /// The stated rate, or the standard rate that fits its frames where ffprobe estimates it.
    fn frame_rate(&self, codec: Option<&str>) -> Option<String> {
        let times: Vec<i64> = (0..=40).take(usize::try_from(self.length).unwrap_or(usize::MAX)).collect();
        let rate = frame_rate::estimate(Timing {
            tick: self.scale,
            timescale: self.rate,
            times: &times,
            shift: 0,
            is_table: false,
            shown: None,
            claimed: self.picture.rate,
            is_fine: frame_rate::is_fine(codec, self.picture.rate.unwrap_or((self.rate, self.scale))),
        });
        rate.map(|rate| rate.to_string())
    }

    /// DV type 1: the one stream is a picture and, in all but the oldest files, a pair of channels
    /// (IEC 61834).
    fn interleaved(self, track: Track) -> Vec<Track> {
        let is_ntsc = u64::from(self.rate) > u64::from(self.scale) * 27;
        let (height, rate) = if is_ntsc { (480, "30000/1001") } else { (576, "25/1") };
        let video = Track {
            track_type: TrackType::Video,
            codec: Some("dvvideo".to_owned()),
            width: Some(720),
            height: Some(height),
            frame_rate: Some(rate.to_owned()),
            ..track.clone()
        };
        let audio = Track {
            track_type: TrackType::Audio,
            codec: Some("pcm_s16le".to_owned()),
            title: None,
            channels: Some(2),
            channel_layout: channel_layout(2),
            ..track
        };
        vec![video, audio]
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

//! Sample descriptions (`stsd`): the codec of a track, and the contents of its header.

use super::boxes::{BoxHeader, Boxes};
use super::elementary_stream::ElementaryStream;
use super::picture_boxes;
use crate::media::bytes::{u16_at, u32_at, u64_at};
use crate::media::codec::audio::{self, Header};
use crate::media::codec::dolby::{self, DolbyConfig};
use crate::media::codec::fourcc::{FourCc, four_cc_at};
use crate::media::codec::picture::Picture;
use crate::media::codec::riff::WaveFormat;
use crate::media::codec::sound::Sound;
use crate::media::codec::video::VideoConfig;
use crate::media::codec::{av1, avc, frame_header, hevc, mpeg2, mpeg4, pcm, quicktime, vpx};
use crate::media::error::Error;
use crate::media::info::TrackType;
use crate::media::reader::Reader;

/// Maximum of bytes read of a codec's header.
const MAX_CONFIG: usize = 64 * 1024;
/// Display flags of timed text: all samples are forced, and some are (QuickTime File Format
/// Specification, "Subtitle Sample Description").
const FORCED: u32 = 0xC000_0000;
/// Maximum of boxes read in one entry.
const MAX_BOXES: usize = 256;

/// Contents of the first sample entry of a track.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct SampleEntry {
    /// The entry's type, or the original one of an encrypted entry.
    pub(crate) format: FourCc,
    pub(crate) kind: Option<TrackType>,
    pub(crate) codec: Option<&'static str>,
    pub(crate) channels: Option<u32>,
    /// The channels are from a codec's header, not only from the entry.
    has_channels: bool,
    pub(crate) size: Option<(u32, u32)>,
    /// Frames a second by the codec's header.
    pub(crate) claimed_rate: Option<(u32, u32)>,
    /// An audio service for the impaired, a commentary or karaoke. ffprobe clears the other flags
    /// of these.
    pub(crate) is_associated_service: bool,
    /// Of timed text: some or all samples are forced.
    pub(crate) is_forced: bool,
    /// What the service of AC-3 is for (`bsmod`).
    pub(crate) service: u32,
    /// By boxes of the container, and by the codec's header.
    picture: Picture,
    coded: Picture,
    pub(crate) sound: Sound,
    /// Bits per second, as stated.
    pub(crate) bit_rate: Option<u32>,
}

/// What determines the meaning of a sample entry from outside of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryContext {
    /// By the handler. As in ffprobe, the format overrides all types but video and audio.
    pub(crate) kind: TrackType,
    /// Sound descriptions have QuickTime's extensions.
    pub(crate) is_quicktime: bool,
}

/// Reads the first entry of `stsd`; `None` when there is none.
pub(crate) fn parse(
    reader: &mut Reader<'_>,
    table: &BoxHeader,
    context: EntryContext,
) -> Result<Option<SampleEntry>, Error> {
    let Some(version) = table.head(reader, 8)?.first().copied() else { return Ok(None) };
    let Some(entry) = table.children(8).next(reader)? else { return Ok(None) };
    let mut found = SampleEntry { format: entry.kind, ..SampleEntry::default() };
    found.identify(context.kind);
    let fixed = entry.head(reader, 128)?.to_vec();
    let children = match found.kind {
        Some(TrackType::Video) => found.video(&fixed),
        Some(TrackType::Audio) => {
            let extended = context.is_quicktime || version == 0 && u16_at(&fixed, 8) > Some(0);
            found.audio(&fixed, extended)
        }
        // An MPEG-4 systems entry has boxes; other text and data entries have fields of their own.
        _ if entry.kind == *b"mp4s" => 8,
        _ => {
            found.is_forced =
                entry.kind == *b"tx3g" && u32_at(&fixed, 8).is_some_and(|flags| flags & FORCED != 0);
            return Ok(Some(found));
        }
    };
    let mut boxes = 0;
    found.configuration(reader, entry.children(children), &mut boxes, 0)?;
    found.apply_codec_rules();
    Ok(Some(found))
}

impl SampleEntry {
    /// Sets codec and kind by the format, as far as the handler allows.
    fn identify(&mut self, kind: TrackType) {
        let format = self.format;
        self.kind = Some(kind);
        self.codec = quicktime::audio(format);
        if kind != TrackType::Video && self.codec.is_some() {
            self.kind = Some(TrackType::Audio);
        } else if kind != TrackType::Audio && format != [0; 4] && format != *b"mp4s" {
            self.codec = quicktime::video(format);
            if self.codec.is_some() {
                self.kind = Some(TrackType::Video);
            } else if kind != TrackType::Video {
                self.codec = quicktime::subtitle(format);
                if self.codec.is_some() {
                    self.kind = Some(TrackType::Subtitle);
                } else {
                    self.codec = quicktime::data(format);
                }
            }
        }
    }

    /// The fixed part of a video entry (ISO/IEC 14496-12, 12.1.3); the offset of the boxes in it.
    fn video(&mut self, fixed: &[u8]) -> u64 {
        if let (Some(width), Some(height)) = (u16_at(fixed, 24), u16_at(fixed, 26)) {
            self.size = Some((u32::from(width), u32::from(height)));
        }
        let name = fixed.get(42..).and_then(|name| name.get(1..=usize::from(*name.first()?))).unwrap_or(&[]);
        if self.format == *b"H263" && name.starts_with(b"Sorenson H263") {
            self.codec = Some("flv1");
        }
        78
    }

    /// The fixed part of an audio entry (ISO/IEC 14496-12, 12.2.3; QuickTime sound descriptions of
    /// version 1 and 2 are longer); the offset of the boxes in it.
    fn audio(&mut self, fixed: &[u8], extended: bool) -> u64 {
        let mut rate = u32_at(fixed, 24).map(|rate| rate >> 16);
        let mut channels = u32::from(u16_at(fixed, 16).unwrap_or(0));
        let mut bits = u32::from(u16_at(fixed, 18).unwrap_or(0));
        let mut children = 28;
        match u16_at(fixed, 8) {
            Some(1) if extended => children = 44,
            Some(2) if extended => {
                children = 64;
                rate = u64_at(fixed, 32).map(f64::from_bits).and_then(hertz);
                channels = u32_at(fixed, 40).unwrap_or(0);
                bits = u32_at(fixed, 48).unwrap_or(0);
                if self.format == *b"lpcm" {
                    self.codec = pcm::linear(bits, u32_at(fixed, 52).unwrap_or(0));
                }
            }
            _ => {}
        }
        if self.format == [0; 4] {
            self.codec = match bits {
                8 => quicktime::audio(*b"raw "),
                16 => quicktime::audio(*b"twos"),
                _ => self.codec,
            };
        }
        self.codec = pcm::with_sample_size(self.codec, bits);
        self.channels = Some(channels);
        self.sound = Sound { rate, depth: Some(bits), ..Sound::default() };
        children
    }

    /// Reads the boxes after the fixed part, and those nested in `wave` and `sinf`.
    fn configuration(
        &mut self,
        reader: &mut Reader<'_>,
        mut boxes: Boxes,
        seen: &mut usize,
        depth: u32,
    ) -> Result<(), Error> {
        while let Some(found) = boxes.next(reader)? {
            *seen += 1;
            if *seen > MAX_BOXES {
                return Ok(());
            }
            match &found.kind {
                b"wave" | b"sinf" if depth < 3 => {
                    self.configuration(reader, found.children(0), seen, depth + 1)?;
                }
                _ if is_configuration(found.kind) => {
                    let payload = found.head(reader, MAX_CONFIG)?;
                    self.configure(found.kind, payload);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Applies one box.
    fn configure(&mut self, kind: FourCc, payload: &[u8]) {
        match &kind {
            b"frma" => self.original_format(payload),
            b"esds" => self.elementary_stream(payload),
            b"avcC" => self.apply_video(avc::parse(payload, self.size.unwrap_or_default())),
            b"hvcC" => {
                // A DV codec uses the same type.
                if self.format == *b"dvh1" {
                    self.codec = Some("hevc");
                }
                self.apply_video(hevc::parse(payload));
            }
            b"av1C" => self.apply_video(av1::parse(payload)),
            b"vpcC" => self.coded = vpx::configuration(payload).unwrap_or_default().or(self.coded),
            b"btrt" => self.bit_rate = self.bit_rate.or(u32_at(payload, 8).filter(|rate| *rate > 0)),
            b"dac3" => self.apply_dolby(DolbyConfig::ac3(payload)),
            b"dec3" => self.apply_dolby(DolbyConfig::eac3(payload)),
            b"ddts" => self.apply_header(audio::dts(payload)),
            b"dmlp" => self.apply_header(dolby::truehd(payload)),
            b"dOps" => self.apply_header(audio::opus(payload)),
            b"dfLa" => self.apply_header(audio::flac(payload)),
            b"alac" if self.codec == Some("alac") => {
                self.apply_header(payload.get(4..).and_then(audio::alac));
            }
            // Of Windows Media in fragmented files (Protected Interoperable File Format).
            b"wfex" if self.kind == Some(TrackType::Audio) => {
                if let Some(wave) = WaveFormat::parse(payload) {
                    self.codec = wave.codec;
                    self.apply_header(Some((Some(wave.channels), wave.sound)));
                }
            }
            b"enda" if u16_at(payload, 0).is_some_and(|flag| flag & 0xFF == 1) => {
                self.codec = pcm::little_endian(self.codec);
            }
            b"pcmC" if payload.get(4) == Some(&1) => self.codec = pcm::little_endian(self.codec),
            _ => picture_boxes::apply(kind, payload, &mut self.picture),
        }
    }

    /// `frma`: the format before encryption. Elsewhere (QuickTime's `wave`) it repeats the format.
    fn original_format(&mut self, payload: &[u8]) {
        let (Some(kind), Some(original)) = (self.kind, four_cc_at(payload, 0)) else { return };
        if matches!(&self.format, b"encv" | b"enca") {
            let mut entry = Self { format: original, ..Self::default() };
            entry.identify(kind);
            if self.codec.is_none() || self.codec == entry.codec {
                self.codec = entry.codec;
                self.kind = entry.kind;
            }
            self.format = original;
        }
    }

    fn elementary_stream(&mut self, payload: &[u8]) {
        let Some(stream) = ElementaryStream::parse(payload) else { return };
        let config = stream.audio();
        self.codec = config.codec.or(self.codec);
        self.apply_header(Some((config.channels, config.sound)));
        let stated = Some(stream.bit_rate).filter(|rate| i32::try_from(*rate).is_ok_and(|rate| rate > 0));
        self.bit_rate = stated.or(self.bit_rate);
        match self.codec {
            Some("mpeg4") if self.kind == Some(TrackType::Video) => {
                self.apply_video(mpeg4::parse(stream.specific));
            }
            Some("mpeg2video") => self.coded = mpeg2::parse(stream.specific),
            _ => {}
        }
    }

    fn apply_video(&mut self, config: Option<VideoConfig>) {
        if let Some(config) = config.filter(|_| self.kind == Some(TrackType::Video)) {
            self.size = config.size.or(self.size);
            self.claimed_rate = config.rate.or(self.claimed_rate);
            self.coded = config.picture.or(self.coded);
        }
    }

    /// What is known of its pictures. A box of the container overrules the codec's header (ISO/IEC 14496-12, 12.1.5.1).
    pub(crate) fn picture(&self) -> Picture {
        let usual = self.codec.map(Picture::of_codec).unwrap_or_default();
        self.picture.or(self.coded).or(Picture::of_prores(self.format)).or(usual)
    }

    fn apply_header(&mut self, header: Option<Header>) {
        let Some((channels, sound)) = header.filter(|_| self.kind == Some(TrackType::Audio)) else { return };
        self.apply_channels(channels);
        self.sound = sound.or(self.sound);
    }

    fn apply_channels(&mut self, channels: Option<u32>) {
        if self.kind == Some(TrackType::Audio) {
            self.channels = channels.or(self.channels);
            self.has_channels |= channels.is_some();
        }
    }

    fn apply_dolby(&mut self, config: Option<DolbyConfig>) {
        self.apply_header(config.map(|config| (Some(config.channels), config.sound)));
        self.is_associated_service = config.is_some_and(DolbyConfig::is_associated);
        self.service = config.map_or(0, |config| config.service);
    }

    /// Whether the channels are to be read from the first frame. An entry with more than two is
    /// correct.
    pub(crate) fn needs_frame(&self) -> bool {
        self.kind == Some(TrackType::Audio)
            && !self.has_channels
            && self.channels <= Some(2)
            && self.codec.is_some_and(frame_header::is_needed)
    }

    /// Sets the channels by a frame's header.
    pub(crate) fn apply_frame(&mut self, frame: &[u8]) {
        if let Some(header) = self.codec.and_then(|codec| frame_header::parse(codec, frame)) {
            self.codec = Some(header.codec);
            self.channels = Some(header.channels).filter(|channels| *channels > 0).or(self.channels);
            self.sound = header.sound.or(self.sound);
        }
    }

    /// Applies values that are fixed for a codec and override its header.
    fn apply_codec_rules(&mut self) {
        match self.codec {
            Some("qcelp" | "amr_nb" | "amr_wb") => self.apply_channels(Some(1)),
            Some("dvaudio") => self.codec = Some("pcm_s16le"),
            // The picture clock of ITU-T H.263, 5.1: only its later versions have others.
            Some("h263") => self.claimed_rate = Some((30_000, 1001)),
            _ => {}
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
fn hertz(rate: f64) -> Option<u32> {
    (1.0..1e9).contains(&rate).then_some(rate as u32)
}

/// The boxes that [`SampleEntry::configure`] handles.
fn is_configuration(kind: FourCc) -> bool {
    matches!(
        &kind,
        b"frma"
            | b"esds"
            | b"avcC"
            | b"hvcC"
            | b"dac3"
            | b"dec3"
            | b"ddts"
            | b"dmlp"
            | b"dOps"
            | b"dfLa"
            | b"alac"
            | b"enda"
            | b"pcmC"
            | b"wfex"
            | b"av1C"
            | b"vpcC"
            | b"btrt"
            | b"colr"
            | b"fiel"
            | b"mdcv"
            | b"clli"
            | b"SmDm"
            | b"CoLL"
            | b"dvcC"
            | b"dvvC"
            | b"dvwC"
    )
}

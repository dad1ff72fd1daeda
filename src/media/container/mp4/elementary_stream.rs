//! Elementary stream descriptors (`esds`): the codec of an MPEG-4 stream, and its decoder specific
//! information.

use crate::media::bytes::u32_at;
use crate::media::codec::audio::{AudioSpecificConfig, vorbis};
use crate::media::codec::quicktime;
use crate::media::codec::sound::Sound;

/// Codec and channels of an audio stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AudioConfig {
    /// The codec, if known.
    pub(crate) codec: Option<&'static str>,
    /// Channels that a decoder puts out.
    pub(crate) channels: Option<u32>,
    pub(crate) sound: Sound,
}

/// Contents of the `esds` box (ISO/IEC 14496-1, 7.2.6; 14496-14, 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ElementaryStream<'a> {
    pub(crate) object_type: u8,
    /// Bits per second in the mean; 0 if not stated.
    pub(crate) bit_rate: u32,
    pub(crate) specific: &'a [u8],
}

impl<'a> ElementaryStream<'a> {
    /// From the payload of `esds`.
    pub(crate) fn parse(payload: &'a [u8]) -> Option<Self> {
        let (tag, mut body) = descriptor(payload.get(4..)?)?;
        if tag == 3 {
            let flags = *body.get(2)?;
            body = body.get(3..)?;
            if flags & 0x80 != 0 {
                body = body.get(2..)?;
            }
            if flags & 0x40 != 0 {
                let length = usize::from(*body.first()?);
                body = body.get(1 + length..)?;
            }
            if flags & 0x20 != 0 {
                body = body.get(2..)?;
            }
        } else {
            // QuickTime omits the outermost descriptor but for its identifier.
            body = body.get(2..)?;
        }
        let (tag, config) = descriptor(body)?;
        if tag != 4 {
            return None;
        }
        let object_type = *config.first()?;
        let specific = match config.get(13..).and_then(descriptor) {
            Some((5, specific)) => specific,
            _ => &[],
        };
        Some(Self { object_type, bit_rate: u32_at(config, 9).unwrap_or(0), specific })
    }

    /// Codec and channels.
    pub(crate) fn audio(&self) -> AudioConfig {
        let codec = quicktime::object_type(self.object_type);
        match codec {
            Some("aac") => AudioSpecificConfig::parse(self.specific).map_or(
                AudioConfig { codec, ..AudioConfig::default() },
                |config| AudioConfig {
                    codec: Some(config.codec()),
                    channels: config.channels(),
                    sound: config.sound(),
                },
            ),
            Some("vorbis") => {
                let (channels, sound) = vorbis(self.specific).unwrap_or_default();
                AudioConfig { codec, channels, sound }
            }
            _ => AudioConfig { codec, ..AudioConfig::default() },
        }
    }
}

/// A descriptor's tag and body, truncated at the end of the slice.
fn descriptor(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let tag = *bytes.first()?;
    let mut length = 0;
    let mut at = 1;
    for _ in 0..4 {
        let byte = *bytes.get(at)?;
        at += 1;
        length = length << 7 | usize::from(byte & 0x7F);
        if byte & 0x80 == 0 {
            break;
        }
    }
    let body = bytes.get(at..)?;
    Some((tag, body.get(..length).unwrap_or(body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elementary_streams() {
        let config = [4, 17, 0x40, 0x15, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xF4, 0, 5, 2, 0x12, 0x10];
        let mut payload = vec![0, 0, 0, 0, 3, 0x80, 0x80, 0x80, 22, 0, 1, 0];
        payload.extend(config);
        let stream = ElementaryStream::parse(&payload).unwrap();
        let specific = &[0x12, 0x10];
        assert_eq!(stream, ElementaryStream { object_type: 0x40, bit_rate: 128_000, specific });
        let audio = stream.audio();
        assert_eq!((audio.codec, audio.channels, audio.sound.profile), (Some("aac"), Some(2), Some("LC")));
        for end in 0..payload.len() {
            let _ = ElementaryStream::parse(&payload[..end]);
        }
    }
}

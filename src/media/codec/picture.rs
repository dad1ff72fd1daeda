//! What headers state about pictures beyond size and rate, and ffprobe's words for it.

use super::color::{Color, HLG, PQ, RGB};
use super::fourcc::FourCc;
use crate::media::info::TrackFacts;

/// Facts of a video track, from its codec's header or from its container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Picture {
    /// ffprobe's name.
    pub(crate) profile: Option<&'static str>,
    pub(crate) level: Option<Level>,
    pub(crate) format: Option<PixelFormat>,
    pub(crate) color: Color,
    /// ffprobe's name.
    pub(crate) field_order: Option<&'static str>,
    /// Profile and compatibility.
    pub(crate) dolby_vision: Option<(u8, u8)>,
    /// Metadata of HDR: those of the whole film, and those of scenes (SMPTE ST 2094-40).
    pub(crate) has_mastering: bool,
    pub(crate) has_dynamic: bool,
}

/// A level: of 4.1 the tenths, a whole number, or a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Tenths(u8),
    Whole(u8),
    Name(&'static str),
}

/// A format of pixels: ffmpeg's name of that with 8 bits, and the bits of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PixelFormat {
    pub(crate) name: &'static str,
    pub(crate) depth: u8,
}

impl PixelFormat {
    /// Planes in this order of ffmpeg's names: without colour, 4:2:0, 4:2:2, 4:4:4 (as `chroma_format_idc`), 4:4:0.
    pub(crate) fn planar(chroma: u32, depth: u32) -> Option<Self> {
        const NAMES: [&str; 5] = ["gray", "yuv420p", "yuv422p", "yuv444p", "yuv440p"];
        let name = NAMES.get(usize::try_from(chroma).ok()?)?;
        Some(Self { name, depth: u8::try_from(depth).ok().filter(|depth| (8..=16).contains(depth))? })
    }

    /// ffmpeg's name.
    fn full_name(self) -> String {
        match self.depth {
            8 => self.name.to_owned(),
            depth => format!("{}{depth}le", self.name),
        }
    }
}

impl Picture {
    /// What is stated here, else there.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            profile: self.profile.or(other.profile),
            level: self.level.or(other.level),
            format: self.format.or(other.format),
            color: self.color.or(other.color),
            field_order: self.field_order.or(other.field_order),
            dolby_vision: self.dolby_vision.or(other.dolby_vision),
            has_mastering: self.has_mastering || other.has_mastering,
            has_dynamic: self.has_dynamic || other.has_dynamic,
        }
    }

    /// Names the pixels as the decoders of H.264 and HEVC do: RGB by its matrix, all values (`yuvj`) by the range.
    pub(super) fn name_by_color(&mut self, names_full: bool) {
        let Some(format) = &mut self.format else { return };
        if self.color.matrix == Some(RGB) && format.name == "yuv444p" {
            format.name = "gbrp";
        } else if names_full && self.color.is_full == Some(true) && format.depth == 8 {
            format.name = match format.name {
                "yuv420p" => "yuvj420p",
                "yuv422p" => "yuvj422p",
                "yuv444p" => "yuvj444p",
                name => name,
            };
        }
    }

    /// What is the same of all pictures of a codec.
    pub(crate) fn of_codec(codec: &str) -> Self {
        #[rustfmt::skip]
        const FORMATS: [(&str, &[&str]); 6] = [
            ("yuv420p", &[
                "mpeg4", "vp8", "mpeg1video", "h261", "h263", "flv1", "msmpeg4v1", "msmpeg4v2", "msmpeg4v3", "wmv1",
                "wmv2", "wmv3", "vc1", "rv10", "rv20", "rv30", "rv40", "vp3", "vp4", "vp5", "vp6", "vp6f",
            ]),
            ("yuv410p", &["svq1", "indeo2", "indeo3", "indeo4", "indeo5"]),
            ("yuvj420p", &["svq3"]),
            ("yuva420p", &["vp6a"]),
            ("rgb24", &["cinepak"]),
            ("yuv422p", &["v210"]),
        ];
        let format = FORMATS.iter().find(|(_, codecs)| codecs.contains(&codec));
        let format =
            format.map(|(name, _)| PixelFormat { name, depth: if codec == "v210" { 10 } else { 8 } });
        let (matrix, is_full) = match codec {
            "mjpeg" => (Some(5), Some(true)),
            "mpeg1video" | "mpeg2video" | "prores" | "dnxhd" => (None, Some(false)),
            "png" => (None, Some(true)),
            _ => (None, None),
        };
        Self { format, color: Color { matrix, is_full, ..Color::default() }, ..Self::default() }
    }

    /// Of Apple's `ProRes`, by the code of its profile.
    pub(crate) fn of_prores(code: FourCc) -> Self {
        let (profile, chroma, depth) = match &code {
            b"apco" => ("Proxy", 2, 10),
            b"apcs" => ("LT", 2, 10),
            b"apcn" => ("Standard", 2, 10),
            b"apch" => ("HQ", 2, 10),
            b"ap4h" => ("4444", 3, 12),
            b"ap4x" => ("XQ", 3, 12),
            _ => return Self::default(),
        };
        Self { profile: Some(profile), format: PixelFormat::planar(chroma, depth), ..Self::default() }
    }

    /// Dolby Vision by the first bytes of its configuration (Dolby Vision Streams within the ISO Base Media File Format,
    /// 3.2): version, profile, level, presence, compatibility.
    pub(crate) fn dolby_vision(config: &[u8]) -> Option<(u8, u8)> {
        let [_, _, profile, _, compatibility, ..] = *config else { return None };
        Some((profile >> 1, compatibility >> 4))
    }

    /// Whether the transfer is that of HDR10 and its kin, which metadata tell apart.
    pub(crate) fn is_pq(&self) -> bool {
        self.color.transfer == Some(PQ)
    }

    /// Adds the facts.
    pub(crate) fn apply(&self, facts: &mut TrackFacts) {
        facts.profile = self.profile.map(str::to_owned);
        facts.level = self.level.map(|level| match level {
            Level::Tenths(tenths) => format!("{}.{}", tenths / 10, tenths % 10),
            Level::Whole(number) => number.to_string(),
            Level::Name(name) => name.to_owned(),
        });
        facts.pixel_format = self.format.map(PixelFormat::full_name);
        facts.bit_depth = self.format.map(|format| u32::from(format.depth));
        facts.color_primaries = self.color.primaries_name();
        facts.color_transfer = self.color.transfer_name();
        facts.color_matrix = self.color.matrix_name();
        facts.color_range = self.color.range_name();
        facts.hdr_format = self.hdr_format();
        facts.dolby_vision =
            self.dolby_vision.map(|(profile, compatibility)| format!("{profile}.{compatibility}"));
        facts.field_order = self.field_order;
    }

    fn hdr_format(&self) -> Option<&'static str> {
        match self.color.transfer {
            _ if self.dolby_vision.is_some() => Some("dolby_vision"),
            Some(PQ) if self.has_dynamic => Some("hdr10+"),
            Some(PQ) if self.has_mastering => Some("hdr10"),
            Some(PQ) => Some("pq"),
            Some(HLG) => Some("hlg"),
            _ => self.color.transfer_name().map(|_| "sdr"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(picture: Picture) -> TrackFacts {
        let mut facts = TrackFacts::default();
        picture.apply(&mut facts);
        facts
    }

    #[test]
    fn hdr_is_named_by_transfer_and_metadata() {
        let of = |transfer, has_mastering, has_dynamic, dolby_vision| {
            let color = Color { transfer, ..Color::default() };
            facts(Picture { color, dolby_vision, has_mastering, has_dynamic, ..Picture::default() })
                .hdr_format
        };
        assert_eq!(of(None, true, true, None), None);
        assert_eq!(of(Some(1), true, false, None), Some("sdr"));
        assert_eq!(of(Some(PQ), false, false, None), Some("pq"));
        assert_eq!(of(Some(PQ), true, false, None), Some("hdr10"));
        assert_eq!(of(Some(PQ), true, true, None), Some("hdr10+"));
        assert_eq!(of(Some(HLG), false, false, None), Some("hlg"));
        assert_eq!(of(None, false, false, Some((5, 0))), Some("dolby_vision"));
    }

    #[test]
    fn formats_and_levels_are_named() {
        let format = PixelFormat::planar(1, 10);
        let deep = facts(Picture { format, level: Some(Level::Tenths(51)), ..Picture::default() });
        assert_eq!(deep.pixel_format.as_deref(), Some("yuv420p10le"));
        assert_eq!((deep.bit_depth, deep.level.as_deref()), (Some(10), Some("5.1")));
        let mut full = Picture { format: PixelFormat::planar(1, 8), ..Picture::default() };
        full.color.is_full = Some(true);
        full.name_by_color(true);
        assert_eq!(facts(full).pixel_format.as_deref(), Some("yuvj420p"));
        assert_eq!(PixelFormat::planar(1, 7), None);
        assert_eq!(PixelFormat::planar(9, 8), None);
        assert_eq!(Picture::dolby_vision(&[1, 0, 16, 0x35, 0x10]), Some((8, 1)));
        assert_eq!(Picture::dolby_vision(&[1, 0, 16, 0x35]), None);
    }
}

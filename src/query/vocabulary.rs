//! The languages and codecs that a query names: other names for them, and which are known.

use super::error::{Error, hint, quoted};
use super::language::normalise;
use crate::base::fold::fold;
use crate::base::language;

/// A language, a codec or a container that a query names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// Which of the two.
    pub kind: Kind,
    /// As it is written in the query.
    pub given: String,
    /// As it is compared.
    pub canonical: String,
    /// Bytes of the query before it.
    pub(super) start: usize,
}

/// What a [`Term`] names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    Language,
    Codec,
    Container,
}

/// The name that ffprobe, and so the database, has for a codec.
pub(super) fn canonical_codec(folded: String) -> String {
    match ALIASES.iter().find(|(alias, _)| *alias == folded) {
        Some((_, codec)) => (*codec).to_owned(),
        None => folded,
    }
}

/// Whether `given` is ffprobe's or another name of a codec that is known.
#[must_use]
pub fn is_codec(given: &str) -> bool {
    let codec = canonical_codec(fold(given.trim()));
    CODECS.split(' ').any(|known| known == codec)
}

/// A language or codec, with the name under which it is compared and stored.
///
/// # Errors
/// If it is neither known nor `recorded`, with a hint.
pub fn canonical(kind: Kind, given: &str, recorded: &dyn Fn(Kind, &str) -> bool) -> Result<Term, String> {
    let canonical = match kind {
        Kind::Language => normalise(given).into_owned(),
        Kind::Codec | Kind::Container => canonical_codec(fold(given)),
    };
    let term = Term { kind, given: given.to_owned(), canonical, start: 0 };
    term.check(given, recorded).map_err(|error| error.message)?;
    Ok(term)
}

impl Term {
    /// Refuses a term that is neither known nor `recorded`.
    ///
    /// # Errors
    /// At the term, with a hint.
    pub(super) fn check(&self, text: &str, recorded: &dyn Fn(Kind, &str) -> bool) -> Result<(), Error> {
        let (what, is_known) = match self.kind {
            Kind::Language => ("language", is_language(&self.given, &self.canonical)),
            Kind::Codec => ("codec", is_codec(&self.canonical)),
            Kind::Container => return Ok(()),
        };
        if is_known || recorded(self.kind, &self.canonical) && self.canonical != "und" {
            return Ok(());
        }
        let meant = match self.kind {
            Kind::Language => hint(&self.given, &mut language::names().map(|(name, _)| name)),
            _ => hint(&self.given, &mut CODECS.split(' ').chain(ALIASES.iter().map(|(alias, _)| *alias))),
        };
        let primary = self.given.split(['-', '_']).next().unwrap_or_default();
        let advice = match self.kind {
            Kind::Language if primary != self.given && is_language(primary, &normalise(primary)) => {
                format!("; write {primary}, or compare tag == {:?}", self.given)
            }
            Kind::Codec if advice_for(&self.given).is_some() => {
                format!("; write {}", advice_for(&self.given).unwrap_or_default())
            }
            _ if !meant.is_empty() => meant,
            Kind::Language => "; give a code of ISO 639 such as eng or en, or an English name".to_owned(),
            _ => "; give ffprobe's name of a codec, such as hevc or ac3".to_owned(),
        };
        Err(Error::at(text, self.start, format!("unknown {what} {}{advice}", quoted(&self.given))))
    }
}

/// What to write for a name that people use and that means more than a codec, or several of them.
fn advice_for(given: &str) -> Option<&'static str> {
    let folded = fold(given);
    if folded.starts_with("dts") {
        return Some("codec == dts, codec_detail == \"DTS-HD MA\"");
    }
    match folded.as_str() {
        "pcm" => Some("the whole name, such as pcm_s16le or pcm_s24le"),
        "atmos" => Some("codec_detail == atmos"),
        _ => None,
    }
}

/// Whether `given` names the language `canonical`, and is not `und` only because it is unknown.
fn is_language(given: &str, canonical: &str) -> bool {
    match canonical {
        "und" => given.trim().eq_ignore_ascii_case("und"),
        _ => language::is_code(canonical),
    }
}

/// Names of codecs that people and tools use, and ffprobe's.
const ALIASES: [(&str, &str); 43] = [
    ("libx265", "hevc"),
    ("libx264", "h264"),
    ("265", "hevc"),
    ("h265", "hevc"),
    ("h.265", "hevc"),
    ("x265", "hevc"),
    ("hev1", "hevc"),
    ("hvc1", "hevc"),
    ("264", "h264"),
    ("h.264", "h264"),
    ("x264", "h264"),
    ("avc", "h264"),
    ("avc1", "h264"),
    ("h266", "vvc"),
    ("h.266", "vvc"),
    ("av01", "av1"),
    ("vp09", "vp9"),
    ("vc-1", "vc1"),
    ("mpeg2", "mpeg2video"),
    ("mpeg-2", "mpeg2video"),
    ("mpeg1", "mpeg1video"),
    ("mpeg-4", "mpeg4"),
    ("xvid", "mpeg4"),
    ("divx", "mpeg4"),
    ("ac-3", "ac3"),
    ("a52", "ac3"),
    ("dd", "ac3"),
    ("e-ac-3", "eac3"),
    ("eac-3", "eac3"),
    ("ec3", "eac3"),
    ("ddp", "eac3"),
    ("dd+", "eac3"),
    ("dca", "dts"),
    ("mp4a", "aac"),
    ("srt", "subrip"),
    ("ssa", "ass"),
    ("pgs", "hdmv_pgs_subtitle"),
    ("sup", "hdmv_pgs_subtitle"),
    ("vobsub", "dvd_subtitle"),
    ("dvdsub", "dvd_subtitle"),
    ("dvbsub", "dvb_subtitle"),
    ("vtt", "webvtt"),
    ("tx3g", "mov_text"),
];

/// Codecs that are known though no file may have them: what files of a home library have of ffprobe's names.
const CODECS: &str = "aac aac_latm ac3 alac alaw amr_nb amr_wb apng ass av1 avs2 avs3 bin_data bmp cavs cinepak dirac \
    dnxhd dsd_lsbf dts dvaudio dvb_subtitle dvb_teletext dvd_subtitle dvvideo eac3 eia_608 ffv1 ffvhuff \
    flac flv1 gif gsm h261 h263 h264 hdmv_pgs_subtitle hdmv_text_subtitle hevc huffyuv indeo3 indeo5 \
    jpeg2000 jpegls mjpeg mlp mov_text mp1 mp2 mp3 mp4als mpeg1video mpeg2video mpeg4 mpegh_3d_audio \
    msmpeg4v1 msmpeg4v2 msmpeg4v3 msvideo1 nellymoser opus otf pcm_alaw pcm_bluray pcm_dvd pcm_f32be \
    pcm_f32le pcm_f64be pcm_f64le pcm_mulaw pcm_s16be pcm_s16le pcm_s24be pcm_s24le pcm_s32be pcm_s32le \
    pcm_s8 pcm_u8 png prores qdm2 qtrle ra_144 ra_288 rawvideo realtext rv10 rv20 rv30 rv40 sami speex \
    subrip svq1 svq3 text theora tiff truehd tta ttf utvideo vc1 vc1image vorbis vp3 vp5 vp6 vp6f vp7 \
    vp8 vp9 vvc wavpack webp webvtt wmalossless wmapro wmav1 wmav2 wmavoice wmv1 wmv2 wmv3";

//! Colour by the code points of ISO/IEC 23091-2, which all containers and codecs share, with ffmpeg's names.

use super::bits::Bits;

/// What is stated about colour; code points as they are stored, without "unspecified".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Color {
    pub(crate) primaries: Option<u8>,
    pub(crate) transfer: Option<u8>,
    pub(crate) matrix: Option<u8>,
    /// Whether samples use all values, or those of television only.
    pub(crate) is_full: Option<bool>,
}

/// Transfer of HDR: SMPTE ST 2084 (PQ), and ARIB STD-B67 (HLG).
pub(crate) const PQ: u8 = 16;
pub(crate) const HLG: u8 = 18;
/// A matrix that means RGB.
pub(crate) const RGB: u8 = 0;

impl Color {
    /// By three code points; 2 is "unspecified".
    pub(crate) fn new(primaries: u8, transfer: u8, matrix: u8, is_full: Option<bool>) -> Self {
        let stated = |code: u8| Some(code).filter(|code| *code != 2);
        Self { primaries: stated(primaries), transfer: stated(transfer), matrix: stated(matrix), is_full }
    }

    /// Three bytes of code points.
    pub(super) fn read(bits: &mut Bits<'_>, is_full: Option<bool>) -> Option<Self> {
        let mut code = || u8::try_from(bits.number(8)?).ok();
        Some(Self::new(code()?, code()?, code()?, is_full))
    }

    /// What is stated here, else there.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            primaries: self.primaries.or(other.primaries),
            transfer: self.transfer.or(other.transfer),
            matrix: self.matrix.or(other.matrix),
            is_full: self.is_full.or(other.is_full),
        }
    }

    /// ffmpeg's name, as of the other three.
    pub(super) fn primaries_name(self) -> Option<&'static str> {
        name(PRIMARIES, self.primaries)
    }

    pub(super) fn transfer_name(self) -> Option<&'static str> {
        name(TRANSFERS, self.transfer)
    }

    pub(super) fn matrix_name(self) -> Option<&'static str> {
        name(MATRICES, self.matrix)
    }

    pub(super) fn range_name(self) -> Option<&'static str> {
        self.is_full.map(|is_full| if is_full { "pc" } else { "tv" })
    }
}

/// The name at a code point; the tables have no names for reserved ones.
fn name(table: &[&'static str], code: Option<u8>) -> Option<&'static str> {
    table.get(usize::from(code?)).copied().filter(|name| !name.is_empty())
}

#[rustfmt::skip]
const PRIMARIES: &[&str] = &[
    "", "bt709", "", "", "bt470m", "bt470bg", "smpte170m", "smpte240m", "film", "bt2020", "smpte428",
    "smpte431", "smpte432", "", "", "", "", "", "", "", "", "", "ebu3213",
];

#[rustfmt::skip]
const TRANSFERS: &[&str] = &[
    "", "bt709", "", "", "bt470m", "bt470bg", "smpte170m", "smpte240m", "linear", "log100", "log316",
    "iec61966-2-4", "bt1361e", "iec61966-2-1", "bt2020-10", "bt2020-12", "smpte2084", "smpte428",
    "arib-std-b67",
];

#[rustfmt::skip]
const MATRICES: &[&str] = &[
    "gbr", "bt709", "", "", "fcc", "bt470bg", "smpte170m", "smpte240m", "ycgco", "bt2020nc", "bt2020c",
    "smpte2085", "chroma-derived-nc", "chroma-derived-c", "ictcp",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_points_have_ffmpegs_names() {
        let color = Color::new(9, PQ, 9, Some(false));
        let names = (color.primaries_name(), color.transfer_name(), color.matrix_name(), color.range_name());
        assert_eq!(names, (Some("bt2020"), Some("smpte2084"), Some("bt2020nc"), Some("tv")));
        assert_eq!(Color::new(22, HLG, 14, None).primaries_name(), Some("ebu3213"));
        assert_eq!(Color::new(22, HLG, 14, None).transfer_name(), Some("arib-std-b67"));
        assert_eq!(Color::new(22, HLG, 14, None).matrix_name(), Some("ictcp"));
        assert_eq!(Color::new(2, 2, 2, None), Color::default());
        for code in [3, 23, 255] {
            assert_eq!(Color::new(code, code, code, None).primaries_name(), None, "{code}");
        }
    }
}

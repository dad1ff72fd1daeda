//! Four-character codes, and the tables that name their codecs.

/// A four-character code: of a codec, of a box.
pub(crate) type FourCc = [u8; 4];

/// Codecs' names, each with all its codes.
pub(crate) type Table = &'static [(&'static str, &'static [&'static FourCc])];

/// The codec of the exact code, else of one that differs in case only.
pub(crate) fn look_up(table: Table, code: FourCc) -> Option<&'static str> {
    let find = |same: &dyn Fn(&FourCc) -> bool| {
        table.iter().find(|(_, codes)| codes.iter().any(|known| same(known))).map(|(name, _)| *name)
    };
    find(&|known| *known == code).or_else(|| find(&|known| known.eq_ignore_ascii_case(&code)))
}

/// The code at an offset of a slice; `None` past its end.
pub(crate) fn four_cc_at(bytes: &[u8], at: usize) -> Option<FourCc> {
    bytes.get(at..)?.first_chunk().copied()
}

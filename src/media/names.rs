//! VPO's usual names, common to all containers: languages, channel layouts, frame rates, text.

mod language;
mod rate;
pub(crate) mod riff;

pub(crate) use language::{UNDETERMINED, language, primary_subtag};
pub(crate) use rate::{Rate, gcd};

/// The name of a layout by its number of channels; what speakers they are is not looked at.
pub(crate) fn channel_layout(channels: u32) -> Option<String> {
    let name = match channels {
        0 => return None,
        1 => "mono",
        2 => "stereo",
        4 => "quad",
        5 => "5.0",
        6 => "5.1",
        8 => "7.1",
        other => return Some(format!("{other}ch")),
    };
    Some(name.to_owned())
}

/// A name from a file: up to the first NUL, invalid UTF-8 replaced, `None` when nothing is left.
pub(crate) fn text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(bytes.get(..end).unwrap_or(bytes));
    (!text.is_empty()).then(|| text.into_owned())
}

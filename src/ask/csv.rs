//! Files as CSV (RFC 4180): a heading, then a line for each file.

use crate::library::files::listing::{Details, Track};

/// The heading.
pub(crate) const HEADING: &str = "id,path,size_bytes,scan_status,container_format,video_codecs,width,height,audio_codecs,\
    audio_languages,subtitle_languages,modified_at,scanned_at,content_hash,scan_error,duration_seconds,bit_rate,\
    missing_bytes,hdr_format,bit_depth,first_seen\r\n";

/// Appends the line of a file. Several values of one field are separated by blanks.
pub(crate) fn push(text: &mut String, details: &Details) {
    let file = &details.file;
    let all = |track_type: &str, value: fn(&Track) -> Option<&str>| {
        let tracks = details.tracks.iter().filter(|track| track.track_type == track_type);
        tracks.map(|track| value(track).unwrap_or("-")).collect::<Vec<_>>()
    };
    let of = |track_type, value| all(track_type, value).join(" ");
    let mut subtitles = all("subtitle", |track| track.language.as_deref());
    subtitles.extend(details.subtitles.iter().map(|file| file.language.as_str()));
    let picture = details.picture();
    let number = |value: Option<i64>| value.map(|value| value.to_string()).unwrap_or_default();
    let fields = [
        file.id.to_string(),
        file.path.clone(),
        file.size_bytes.to_string(),
        file.scan_status.clone(),
        file.container_format.clone().unwrap_or_default(),
        of("video", |track| track.codec.as_deref()),
        number(picture.and_then(|track| track.width)),
        number(picture.and_then(|track| track.height)),
        of("audio", |track| track.codec.as_deref()),
        of("audio", |track| track.language.as_deref()),
        subtitles.join(" "),
        file.modified_at.clone(),
        file.scanned_at.clone(),
        file.content_hash.clone().unwrap_or_default(),
        file.scan_error.clone().unwrap_or_default(),
        file.duration_seconds.map(|seconds| seconds.to_string()).unwrap_or_default(),
        file.bit_rate.map(|rate| rate.to_string()).unwrap_or_default(),
        file.facts.missing_bytes.map(|bytes| bytes.to_string()).unwrap_or_default(),
        picture.and_then(|track| track.facts.hdr_format.clone()).unwrap_or_default(),
        number(picture.and_then(|track| track.facts.bit_depth).map(i64::from)),
        file.first_seen.clone().unwrap_or_default(),
    ];
    for (index, field) in fields.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        push_field(text, field);
    }
    text.push_str("\r\n");
}

/// Quotes a field that holds what separates fields or lines.
fn push_field(text: &mut String, field: &str) {
    if !field.contains([',', '"', '\r', '\n']) {
        return text.push_str(field);
    }
    text.push('"');
    text.push_str(&field.replace('"', "\"\""));
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        for (field, expected) in [
            ("plain é;'", "plain é;'"),
            ("a,b", "\"a,b\""),
            ("say \"yes\"", "\"say \"\"yes\"\"\""),
            ("two\r\nlines", "\"two\r\nlines\""),
        ] {
            let mut text = String::new();
            push_field(&mut text, field);
            assert_eq!(text, expected);
        }
    }
}

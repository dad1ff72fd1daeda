//! Files that state facts: HDR, colour, formats, fields, rates, flags.

use super::corpus::Recipe;

/// Names, the containers, and scripts: `V` is a short video, `A` a sound, `X265` and `X264` are encoders.
#[rustfmt::skip]
const RECIPES: &[(&str, &[&str], &str)] = &[
    ("hdr10", &["mkv", "mp4"], "V X265 -pix_fmt yuv420p10le -x265-params 'PQ:master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):max-cll=1000,400'"),
    ("pq", &["mkv", "mp4"], "V X265 -pix_fmt yuv420p10le -x265-params PQ"),
    ("hlg", &["mkv", "mp4"], "V X265 -pix_fmt yuv420p10le -x265-params colorprim=bt2020:transfer=arib-std-b67:colormatrix=bt2020nc:log-level=none"),
    ("hevc-422", &["mkv", "mp4"], "V X265 -pix_fmt yuv422p10le -x265-params colorprim=bt709:transfer=bt709:colormatrix=bt709:log-level=none"),
    ("hevc-444", &["mkv", "mp4"], "V X265 -pix_fmt yuv444p12le -x265-params log-level=none"),
    ("hevc-gray", &["mkv", "mp4"], "V X265 -pix_fmt gray -x265-params log-level=none"),
    ("hevc-full", &["mp4"], "V X265 -pix_fmt yuvj420p -x265-params range=full:log-level=none"),
    ("h264-420", &["mkv", "mp4"], "V X264 -pix_fmt yuv420p -color_primaries smpte170m -color_trc smpte170m -colorspace smpte170m"),
    ("h264-full", &["mkv", "mp4"], "V X264 -pix_fmt yuvj420p"),
    ("h264-422", &["mkv", "mp4"], "V X264 -pix_fmt yuv422p"),
    ("h264-10", &["mkv", "mp4"], "V X264 -pix_fmt yuv420p10le"),
    ("h264-422-10", &["mkv", "mp4"], "V X264 -pix_fmt yuv422p10le"),
    ("h264-444-10", &["mkv", "mp4"], "V X264 -pix_fmt yuv444p10le"),
    ("h264-gray", &["mkv", "mp4"], "V X264 -pix_fmt gray"),
    ("h264-rgb", &["mkv", "mp4"], "V -c:v libx264rgb -preset ultrafast"),
    ("h264-main", &["mkv", "mp4"], "V X264 -profile:v main -level 3.1 -pix_fmt yuv420p -color_range tv -colorspace bt709 -color_primaries bt709 -color_trc bt709"),
    ("h264-tff", &["mkv", "mov"], "-f lavfi -i testsrc2=s=720x576:r=50:d=0.4 -vf tinterlace=interleave_top,setfield=tff X264 -flags +ildct+ilme -field_order tt -pix_fmt yuv420p"),
    ("h264-bff", &["mkv"], "-f lavfi -i testsrc2=s=720x576:r=50:d=0.4 -vf tinterlace=interleave_bottom,setfield=bff X264 -flags +ildct+ilme -field_order bb -pix_fmt yuv420p"),
    ("mpeg2-tff", &["mkv", "avi"], "-f lavfi -i testsrc2=s=720x576:r=50:d=0.4 -vf tinterlace=interleave_top,setfield=tff -c:v mpeg2video -flags +ildct+ilme -field_order tt"),
    ("mpeg2-422", &["mkv", "avi"], "V -c:v mpeg2video -profile:v 0 -level:v 5 -pix_fmt yuv422p"),
    ("mpeg2-color", &["mkv"], "V -c:v mpeg2video -color_primaries bt470bg -color_trc gamma28 -colorspace bt470bg"),
    ("mpeg4-asp", &["mkv", "mp4", "avi"], "V -c:v mpeg4 -profile:v 15 -level 5 -bf 2"),
    ("av1-pq", &["mkv", "mp4"], "V -c:v libaom-av1 -cpu-used 8 -pix_fmt yuv420p10le -color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc -color_range tv"),
    ("av1-444", &["mkv", "mp4"], "V -c:v libaom-av1 -cpu-used 8 -pix_fmt yuv444p"),
    ("av1-gray", &["mkv", "mp4"], "V -c:v libaom-av1 -cpu-used 8 -pix_fmt gray"),
    ("vp9-pq", &["webm", "mp4"], "V -c:v libvpx-vp9 -deadline realtime -pix_fmt yuv420p10le -color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc -color_range tv"),
    ("vp9-444", &["webm", "mp4"], "V -c:v libvpx-vp9 -deadline realtime -pix_fmt yuv444p -colorspace bt709"),
    ("vp9-440", &["webm", "mp4"], "V -c:v libvpx-vp9 -deadline realtime -pix_fmt yuv440p"),
    ("prores-hq", &["mov", "mkv"], "V -c:v prores_ks -profile:v 3 -pix_fmt yuv422p10le"),
    ("flac-24", &["mkv", "mp4"], "V A -ar 96000 X264 -c:a flac -sample_fmt s32 -strict -2"),
    ("alac-24", &["mkv", "mp4"], "V A X264 -c:a alac -sample_fmt s32p"),
    ("aac-22050", &["mkv", "mp4"], "V A -ar 22050 X264 -c:a aac -metadata title='The film'"),
    ("flags", &["mkv", "mp4"], "V A A -map 0 -map 1 -map 2 X264 -c:a aac -disposition:a:0 default+original -disposition:a:1 comment+visual_impaired -metadata title='The film' -metadata:s:a:1 title=Talk"),
    ("impaired", &["mkv", "mp4"], "V A A -map 0 -map 1 -map 2 X264 -c:a ac3 -disposition:a:1 hearing_impaired"),
];

/// What mkvmerge states of its own.
const MERGED: &[(&str, &str)] = &[
    (
        "merged-colour.mkv",
        "--colour-primaries 0:9 --colour-transfer-characteristics 0:16 --colour-matrix 0:9 --max-content-light 0:1000 --colour-range 0:1 film.mkv",
    ),
    (
        "merged-flags.mkv",
        "--hearing-impaired-flag 1:1 --visual-impaired-flag 0:1 --original-flag 1:1 --commentary-flag 1:1 --track-enabled-flag 0:0 --language 1:pt-BR film.mkv",
    ),
    ("merged-chapters.mkv", "--title 'A film' --chapters chapters.txt film.mkv"),
];

pub(super) fn recipes() -> impl Iterator<Item = Recipe> {
    let encoded = RECIPES.iter().flat_map(|(name, containers, script)| {
        let script = script
            .replace("X265", "-c:v libx265 -preset ultrafast -tag:v TAG")
            .replace("X264", "-c:v libx264 -preset ultrafast")
            .replace("PQ", "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:log-level=none");
        containers.iter().map(move |container| {
            let tag = if *container == "mkv" { "-tag:v TAG" } else { "" };
            let script = script.replace(tag, "").replace("-tag:v TAG", "-tag:v hvc1");
            let words = script.split(' ').map(|word| match word {
                "V" => "$(v 25 128x96 0.4)",
                "A" => "$(a)",
                word => word,
            });
            let script = words.collect::<Vec<_>>().join(" ");
            Recipe::new(format!("facts-{name}.{container}"), format!("$ff {script} $out"))
        })
    });
    let merged = MERGED.iter().map(|(name, script)| Recipe::new(*name, format!("$mm -o $out {script}")));
    encoded.chain(merged)
}

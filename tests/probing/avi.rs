//! AVI files of many kinds.

use super::corpus::Recipe;

/// Names and scripts; `OUT` is the file.
const RECIPES: &[(&str, &str)] = &[
    ("xvid-mp3", "$ff $(v 24000/1001) $(a) -c:v mpeg4 -vtag XVID -c:a libmp3lame OUT"),
    ("divx-25", "$ff $(v 25) -c:v mpeg4 -vtag DX50 OUT"),
    ("msmpeg4v3-mp2", "$ff $(v 30) $(a mono) -c:v msmpeg4v3 -c:a mp2 OUT"),
    ("msmpeg4v2", "$ff $(v 15) -c:v msmpeg4v2 OUT"),
    ("h264-ac3", "$ff $(v 25) $(a 5.1) -c:v libx264 -preset ultrafast -c:a ac3 OUT"),
    ("h264-2997", "$ff $(v 2997/100) -c:v libx264 -preset ultrafast OUT"),
    ("h264-23976", "$ff $(v 23976/1000) -c:v libx264 -preset ultrafast OUT"),
    ("mjpeg-pcm", "$ff $(v 2997/100) $(a mono 8000) -c:v mjpeg -c:a pcm_u8 OUT"),
    ("mjpeg-1fps", "$ff $(v 1 160x90 10) -c:v mjpeg OUT"),
    ("huffyuv-pcm24", "$ff $(v 50) $(a) -c:v huffyuv -c:a pcm_s24le OUT"),
    ("ffv1-flac", "$ff $(v 60) $(a) -c:v ffv1 -c:a flac -strict -2 OUT"),
    ("rawvideo", "$ff $(v 10 64x48 1) -c:v rawvideo -pix_fmt bgr24 OUT"),
    ("yuv420", "$ff $(v 10 64x48 1) -c:v rawvideo -pix_fmt yuv420p OUT"),
    ("mpeg2", "$ff $(v 25) -c:v mpeg2video OUT"),
    ("mpeg1", "$ff $(v 25) -c:v mpeg1video OUT"),
    ("wmv2-wmav2", "$ff $(v 25) $(a) -c:v wmv2 -c:a wmav2 OUT"),
    ("flv1", "$ff $(v 25) -c:v flv OUT"),
    ("snow", "$ff $(v 25) -c:v snow OUT"),
    ("dv-pal", "$ff $(v 25 720x576 1) -c:v dvvideo -pix_fmt yuv420p OUT"),
    ("vp8", "$ff $(v 25) -c:v libvpx OUT"),
    ("adpcm", "$ff $(v 25) $(a mono 22050) -c:v mpeg4 -c:a adpcm_ima_wav OUT"),
    ("alaw", "$ff $(v 25) $(a mono 8000) -c:v mpeg4 -c:a pcm_alaw OUT"),
    ("float", "$ff $(v 25) $(a) -c:v mpeg4 -c:a pcm_f32le OUT"),
    ("aac", "$ff $(v 25) $(a) -c:v mpeg4 -c:a aac OUT"),
    ("pcm-51", "$ff $(v 25) $(a 5.1) -c:v mpeg4 -c:a pcm_s16le OUT"),
    (
        "two-audio-titles",
        "$ff $(v 25) $(a) $(a mono) -map 0 -map 1 -map 2 -c:v mpeg4 -c:a ac3 \
        -metadata:s:a:0 title='Erste Spur' -metadata:s:a:1 title=Kommentar -metadata:s:a:1 language=ger OUT",
    ),
    ("audio-only", "$ff $(a) -c:a libmp3lame OUT"),
    ("truncated", "$ff $(v 25) $(a) -c:v mpeg4 -c:a ac3 whole-$out && head -c 30000 whole-$out > $out"),
    (
        "opendml",
        "$ff -f lavfi -i testsrc2=s=1280x720:r=25:d=2 -c:v rawvideo -pix_fmt yuv420p -write_channel_mask 0 OUT",
    ),
    (
        "huge-size",
        "$ff $(v 25) -c:v mpeg4 $out && printf '\\377\\377\\377\\377' | dd of=$out bs=1 seek=4 conv=notrunc 2> dd.log",
    ),
    (
        "zero-size",
        "$ff $(v 25) -c:v mpeg4 $out && printf '\\0\\0\\0\\0' | dd of=$out bs=1 seek=4 conv=notrunc 2> dd.log",
    ),
];

pub(super) fn recipes() -> impl Iterator<Item = Recipe> {
    RECIPES.iter().map(|(name, script)| Recipe::new(format!("{name}.avi"), script.replace("OUT", "$out")))
}

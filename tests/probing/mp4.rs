//! MP4 and MOV files of many kinds.

use super::corpus::Recipe;

/// Names and scripts; `FILM` and `PAL` are a video at 24000/1001 or 25 frames a second with mono sound, and the
/// file's own name comes last.
#[rustfmt::skip]
const RECIPES: &[(&str, &str)] = &[
    // Where the movie box is, and how it is cut.
    (
        "languages-and-titles.mp4",
        "FILM -metadata:s:a:0 language=jpn -metadata:s:a:0 title=Commentary -metadata:s:v:0 title=Main",
    ),
    ("faststart.mp4", "FILM -movflags +faststart"),
    ("fragment-per-key-frame.mp4", "PAL -movflags frag_keyframe+empty_moov"),
    ("fragments-base-moof.mp4", "PAL -g 12 -movflags frag_keyframe+empty_moov+default_base_moof"),
    ("fragments-moov-with-samples.mp4", "PAL -g 10 -movflags frag_keyframe"),
    ("fragments-separate.mp4", "PAL -g 10 -movflags frag_keyframe+separate_moof+empty_moov"),
    ("fragments-dash.mp4", "PAL -g 10 -movflags dash+frag_keyframe+empty_moov"),
    ("fragments-cmaf.mp4", "PAL -g 10 -movflags cmaf+frag_keyframe"),
    ("fragments-global-sidx.mp4", "PAL -g 10 -movflags dash+global_sidx+frag_keyframe+empty_moov"),
    ("fragments-no-offset.mp4", "PAL -g 10 -movflags frag_keyframe+omit_tfhd_offset+empty_moov"),
    ("fragments-late-moov.mp4", "PAL -g 10 -movflags frag_keyframe+delay_moov"),
    ("fragments-no-mfra.mp4", "PAL -g 5 -movflags frag_keyframe+skip_trailer+empty_moov"),
    (
        "fragments-mfra-30s.mp4",
        "$(v 25 160x90 30) -f lavfi -i sine=d=30 -g 25 -movflags frag_keyframe+empty_moov",
    ),
    (
        "fragments-dash-no-mfra-30s.mp4",
        "$(v 25 160x90 30) -f lavfi -i sine=d=30 -g 25 -movflags \
        frag_keyframe+empty_moov+skip_trailer+dash",
    ),
    ("fragments-by-time.mp4", "PAL -frag_duration 100000 -movflags +empty_moov"),
    ("no-edit-list.mp4", "FILM -use_editlist 0"),
    ("qt-brand.mp4", "FILM -brand 'qt  '"),
    ("one-frame.mp4", "$(v 24000/1001) -frames:v 1"),
    ("two-frames.mp4", "$(v 24000/1001) -frames:v 2"),
    ("moved-start.mp4", "FILM whole-$out && $ff -ss 0.5 -i whole-$out -c copy"),
    (
        "empty-edit.mp4",
        "FILM whole-$out && $ff -itsoffset 0.4 -i whole-$out -i whole-$out -map 0:v -map 1:a -c copy",
    ),
    ("ismv.mp4", "FILM -f ismv"),
    // Video codecs.
    ("hevc.mp4", "FILM -c:v libx265 -tag:v hvc1"),
    ("hev1.mov", "FILM -c:v libx265 -tag:v hev1 -x265-params log-level=none"),
    ("vp9-opus.mp4", "FILM -c:v libvpx-vp9 -b:v 200k -c:a libopus"),
    ("av1-flac.mp4", "FILM -c:v libaom-av1 -cpu-used 8 -c:a flac -strict -2"),
    ("av1-svt.mp4", "FILM -c:v libsvtav1 -preset 12"),
    ("mpeg4.mp4", "FILM -c:v mpeg4"),
    ("mpeg2.mp4", "FILM -c:v mpeg2video"),
    ("mpeg1.mp4", "FILM -c:v mpeg1video -r 25"),
    ("mjpeg.mp4", "FILM -c:v mjpeg"),
    ("png.mov", "FILM -c:v png"),
    ("prores.mov", "FILM -c:v prores_ks -c:a pcm_s16le"),
    ("prores4444.mov", "FILM -c:v prores_ks -profile:v 4 -c:a pcm_s24le"),
    ("qtrle.mov", "FILM -c:v qtrle -c:a pcm_s16be"),
    ("rawvideo-f32.mov", "FILM -c:v rawvideo -pix_fmt uyvy422 -c:a pcm_f32le"),
    ("v210.mov", "FILM -c:v v210 -c:a pcm_s32be"),
    ("dnxhr.mov", "$(v 24000/1001 320x180) $(a mono) -c:v dnxhd -profile:v dnxhr_sq -pix_fmt yuv422p -c:a alac"),
    ("j2k.mov", "FILM -c:v jpeg2000 -c:a pcm_u8"),
    ("dv-pal.mov", "$(v 25 720x576 1) $(a mono) -c:v dvvideo -c:a pcm_s16le"),
    ("dv-ntsc.mov", "$(v 30000/1001 720x480 1) $(a mono) -c:v dvvideo -pix_fmt yuv411p -c:a adpcm_ima_qt"),
    ("h263.mp4", "$(v 25 352x288 1) $(a mono) -c:v h263 -c:a aac -f 3gp"),
    ("h261.mov", "$(v 25 352x288 1) -c:v h261"),
    ("svq1.mov", "$(v 25 320x240 1) -c:v svq1"),
    ("cinepak.mov", "$(v 25 320x240 1) -c:v cinepak"),
    ("psp.mp4", "FILM -f psp"),
    ("ipod.m4v", "FILM"),
    ("3gp.mp4", "$(v 25 352x288 1) $(a mono) -f 3gp -c:v h263 -c:a aac"),
    ("odd-size.mp4", "$(v 25 322x182 4)"),
    ("1080p.mp4", "$(v 25 1920x1080 1)"),
    ("1080p-hevc.mp4", "$(v 25 1920x1080 1) -c:v libx265 -x265-params log-level=none"),
    ("interlaced.mp4", "$(v 25 160x90 1) -flags +ildct+ilme"),
    ("yuv444.mp4", "$(v 25 160x90 1) -pix_fmt yuv444p"),
    ("hi422.mp4", "$(v 25 160x90 1) -pix_fmt yuv422p10"),
    ("theora.mov", "$(v 25 160x90 1) -c:v libtheora"),
    ("ffv1.mov", "$(v 25 160x90 1) -c:v ffv1"),
    ("utvideo.mov", "$(v 25 160x90 1) -c:v utvideo"),
    ("cfhd.mov", "$(v 25 160x90 1) -c:v cfhd"),
    ("hap.mov", "$(v 25 320x180 1) -c:v hap"),
    ("magicyuv.mov", "$(v 25 160x90 1) -c:v magicyuv"),
    ("gif.mov", "$(v 25 160x90 1) -c:v gif"),
    ("tiff.mov", "$(v 25 160x90 1) -c:v tiff"),
    ("rpza.mov", "$(v 25 320x180 1) -c:v rpza"),
    ("smc.mov", "$(v 25 160x90 1) -c:v smc -pix_fmt pal8"),
    ("rgb.mov", "$(v 25 160x90 1) -c:v rawvideo -pix_fmt rgb24"),
    // Audio codecs and channels.
    ("mp3.mp4", "FILM -c:a libmp3lame"),
    ("mp3mono.mov", "FILM -c:a libmp3lame -ac 1"),
    ("mp2.mp4", "FILM -c:a mp2"),
    ("ac3.mp4", "$(v 24000/1001) $(a 5.1) -c:a ac3"),
    ("eac3.mp4", "$(v 24000/1001) $(a 5.1) -c:a eac3"),
    ("ac3.mov", "$(v 24000/1001) $(a 5.1) -c:a ac3"),
    ("aac71.mp4", "$(v 24000/1001) $(a 7.1) -c:a aac"),
    ("pcm71.mov", "$(v 24000/1001) $(a 7.1) -c:a pcm_s16le"),
    ("aacquad.mp4", "$(v 24000/1001) $(a quad) -c:a aac"),
    ("aac21.mp4", "$(v 24000/1001) $(a 2.1) -c:a aac"),
    ("aac61.mp4", "$(v 24000/1001) $(a 6.1) -c:a aac"),
    ("aacoct.mp4", "$(v 24000/1001) $(a octagonal) -c:a aac"),
    ("opus50.mp4", "$(v 24000/1001) $(a 5.0) -c:a libopus"),
    ("dts.mp4", "FILM -c:a dca -strict -2"),
    ("dts51.mp4", "$(v 24000/1001) $(a 5.1) -c:a dca -strict -2"),
    ("truehd.mp4", "$(v 24000/1001) $(a 5.1) -c:a truehd -strict -2"),
    ("vorbis.mp4", "FILM -c:a libvorbis -strict -2"),
    ("alac.m4v", "FILM -c:a alac"),
    ("alaw.mov", "FILM -c:a pcm_alaw"),
    ("mulaw.mov", "FILM -c:a pcm_mulaw"),
    ("pcm-f64be.mov", "FILM -c:a pcm_f64be"),
    ("pcm-s8.mov", "FILM -c:a pcm_s8"),
    ("adpcm-ms.mov", "FILM -c:a adpcm_ms"),
    ("adpcm-wav.mov", "FILM -c:a adpcm_ima_wav"),
    ("speex.mov", "FILM -c:a libspeex -ar 16000"),
    ("gsm.mov", "FILM -c:a libgsm -ar 8000 -ac 1"),
    ("audio.mp4", "$(a mono) -map 0"),
    // Subtitles, chapters, covers, time codes, languages, flags, encryption.
    (
        "subs.mp4",
        "FILM -i $sub -map 0 -map 1 -map 2 -map 2 -c:s mov_text -metadata:s:s:0 language=ger \
        -metadata:s:s:1 language=fra -disposition:s:1 forced -disposition:s:0 0",
    ),
    ("subs.mov", "FILM -i $sub -map 0 -map 1 -map 2 -c:s mov_text -disposition:s:0 default+forced"),
    ("chapters.mp4", "FILM -i chapters.ffmeta -map_metadata 2"),
    ("chapters.mov", "FILM -i chapters.ffmeta -map_metadata 2"),
    ("cover-jpeg.mp4", "FILM -i cover.jpg -map 0 -map 1 -map 2 -c:v:1 copy -disposition:v:1 attached_pic"),
    (
        "covers-png-and-jpeg.m4v",
        "FILM -i cover.png -i cover.jpg -map 0 -map 1 -map 2 -map 3 -c:v:1 copy -c:v:2 copy \
        -disposition:v:1 attached_pic -disposition:v:2 attached_pic",
    ),
    ("cover-bmp.mp4", "FILM -i cover.bmp -map 0 -map 1 -map 2 -c:v:1 copy -disposition:v:1 attached_pic"),
    (
        "cover-and-chapters.mp4",
        "FILM -i cover.jpg -i chapters.ffmeta -map_metadata 3 -map 0 -map 1 -map 2 -c:v:1 copy \
        -disposition:v:1 attached_pic",
    ),
    ("timecode.mov", "FILM -timecode 01:02:03:04"),
    ("timecode.mp4", "PAL -timecode 01:02:03:04"),
    (
        "three-languages.mp4",
        "FILM $(a mono) $(a mono) -map 0 -map 1 -map 2 -map 3 -metadata:s:a:0 language=eng \
        -metadata:s:a:1 language=deu -metadata:s:a:2 language=zho -disposition:a:1 0 -disposition:a:2 0",
    ),
    (
        "encrypted.mp4",
        "FILM -encryption_scheme cenc-aes-ctr -encryption_key 76a6c65c5ea762046bd749a2e632ccbb \
        -encryption_kid a7e61c373e219033c21091fa607bf3b8",
    ),
    ("rotated.mp4", "FILM whole-$out && $ff -i whole-$out -c copy -metadata:s:v:0 rotate=90"),
    // Frame rates.
    ("vfr-regular.mp4", "PAL -vf \"setpts='(N+floor(mod(N,3)))/25/TB'\" -vsync vfr"),
    ("vfr-jitter.mp4", "PAL -vf \"setpts='N/25/TB+random(1)*0.01/TB'\" -vsync vfr"),
    ("vfr-30-then-60.mp4", "$(v 60 160x90 4) -vf \"select='not(mod(n,2))+gt(n,60)'\" -vsync vfr"),
    (
        "vfr-hevc.mp4",
        "PAL -vf \"setpts='N/25/TB+random(1)*0.01/TB'\" -vsync vfr -c:v libx265 -x265-params \
        log-level=none",
    ),
    ("vfr-vp9.mp4", "PAL -vf \"setpts='N/25/TB+random(1)*0.01/TB'\" -vsync vfr -c:v libvpx-vp9 -b:v 100k"),
    (
        "vfr-fragments.mp4",
        "PAL -vf \"setpts='N/25/TB+random(1)*0.01/TB'\" -vsync vfr -movflags frag_keyframe+empty_moov -g \
        10",
    ),
    ("milliseconds.mp4", "PAL -video_track_timescale 1000"),
    ("milliseconds-film.mp4", "FILM -video_track_timescale 1000"),
    ("timescale-600.mov", "FILM -video_track_timescale 600"),
    ("timescale-90000.mp4", "FILM -video_track_timescale 90000"),
    ("doubled.mp4", "$(v 24000/1001) -c:v libx264 -bf 0 -r 50"),
];

/// What the scripts need besides: chapters, and a cover of a kind that only this container has.
const PRELUDE: &str = r"
[ -f chapters.ffmeta ] || printf ';FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1000\ntitle=One\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=1000\nEND=2000\ntitle=Two\n' > chapters.ffmeta
[ -f cover.bmp ] || $ff -f lavfi -i testsrc=s=48x32 -frames:v 1 cover.bmp
";

pub(super) fn recipes() -> impl Iterator<Item = Recipe> {
    RECIPES.iter().map(|(name, script)| {
        let script = script.replace("FILM", "$(v 24000/1001) $(a mono)").replace("PAL", "$(v 25) $(a mono)");
        // Where a first command makes what a second one alters, only the second may name the result.
        let script = script.replace(" whole-$out && $ff", " whole-$out; $ff");
        Recipe::new(*name, format!("{PRELUDE}$ff {script} $out"))
    })
}

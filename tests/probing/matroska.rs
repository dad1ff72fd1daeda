//! Matroska and WebM files of many kinds.

use super::corpus::Recipe;

const H264: &str = "-c:v libx264 -preset ultrafast";

/// File names and scripts; `OUT` is the file, `H264` a fast encoder.
const RECIPES: &[(&str, &str)] = &[
    // Codecs.
    ("h264-aac.mkv", "$ff $(v) $(a) H264 -c:a aac OUT"),
    ("hevc-eac3.mkv", "$ff $(v 24000/1001) $(a 5.1) -c:v libx265 -x265-params log-level=none -c:a eac3 OUT"),
    ("av1-opus.mkv", "$ff $(v 25 160x90 0.5) $(a) -c:v libaom-av1 -cpu-used 8 -c:a libopus OUT"),
    ("vp9-opus.webm", "$ff $(v 30) $(a) -c:v libvpx-vp9 -deadline realtime -c:a libopus OUT"),
    ("vp8-vorbis.webm", "$ff $(v 30000/1001) $(a) -c:v libvpx -c:a libvorbis OUT"),
    ("vp9-alpha.webm", "$ff $(v 25) -vf format=yuva420p -c:v libvpx-vp9 -deadline realtime OUT"),
    ("mpeg4-mp3.mkv", "$ff $(v 25) $(a) -c:v mpeg4 -c:a libmp3lame OUT"),
    ("mpeg2-mp2.mkv", "$ff $(v 25) $(a) -c:v mpeg2video -c:a mp2 OUT"),
    ("mpeg1-ac3.mkv", "$ff $(v 25) $(a) -c:v mpeg1video -c:a ac3 OUT"),
    ("msmpeg4v3.mkv", "$ff $(v 25) -c:v msmpeg4v3 OUT"),
    ("vfw-xvid.mkv", "$ff $(v 25) -c:v mpeg4 -vtag XVID vfw.avi && $mm -o $out vfw.avi"),
    ("vfw-wmv2.mkv", "$ff $(v 25) $(a) -c:v wmv2 -c:a wmav2 OUT"),
    ("theora-vorbis.mkv", "$ff $(v 25) $(a) -c:v libtheora -c:a libvorbis OUT"),
    ("ffv1-flac.mkv", "$ff $(v 25) $(a) -c:v ffv1 -c:a flac OUT"),
    ("mjpeg-pcm.mkv", "$ff $(v 25) $(a) -c:v mjpeg -c:a pcm_s16le OUT"),
    ("prores-pcm24.mkv", "$ff $(v 25) $(a) -c:v prores_ks -c:a pcm_s24le OUT"),
    ("raw-pcm32.mkv", "$ff $(v 25 64x48 1) $(a) -c:v rawvideo -pix_fmt yuv420p -c:a pcm_s32le OUT"),
    ("huffyuv-pcmbe.mkv", "$ff $(v 25) $(a) -c:v huffyuv -c:a pcm_s16be OUT"),
    (
        "dnxhd-float.mkv",
        "$ff $(v 25 1280x720 0.4) $(a) -pix_fmt yuv422p -c:v dnxhd -profile:v dnxhr_lb -c:a pcm_f32le OUT",
    ),
    ("utvideo-float64.mkv", "$ff $(v 25) $(a) -c:v utvideo -c:a pcm_f64le OUT"),
    ("snow-u8.mkv", "$ff $(v 25) $(a mono) -c:v snow -c:a pcm_u8 OUT"),
    ("dirac-alac.mkv", "$ff $(v 25) $(a) -c:v vc2 -strict -2 -c:a alac OUT"),
    ("truehd.mkv", "$ff $(v) $(a 5.1) H264 -c:a truehd -strict -2 OUT"),
    ("mlp.mkv", "$ff $(a) -c:a mlp -strict -2 OUT"),
    ("dts.mkv", "$ff $(v) $(a '5.1(side)') H264 -c:a dca -strict -2 OUT"),
    ("wavpack-tta.mkv", "$ff $(v) $(a) H264 -map 0 -map 1 -map 1 -c:a:0 wavpack -c:a:1 tta OUT"),
    ("flv1-adpcm.mkv", "$ff $(v) $(a mono 22050) -c:v flv -c:a adpcm_ms OUT"),
    ("qtrle.mkv", "$ff $(v) -c:v qtrle q.mov && $mm -o $out q.mov"),
    ("mulaw.mkv", "$ff $(v) $(a mono 8000) H264 -c:a pcm_mulaw OUT"),
    // Channels.
    (
        "channels.mkv",
        "$ff $(v) $(a mono) $(a 3.0) $(a quad) $(a 5.0) $(a 5.1) $(a 7.1) H264 -map 0 -map 1 \
        -map 2 -map 3 -map 4 -map 5 -map 6 -c:a flac OUT",
    ),
    (
        "channels-aac.mkv",
        "$ff $(v) $(a mono) $(a 5.1) $(a 7.1) H264 -map 0 -map 1 -map 2 -map 3 -c:a aac OUT",
    ),
    (
        "channels-opus.mkv",
        "$ff $(a mono) $(a 5.1) $(a 7.1) -map 0 -map 1 -map 2 -c:a libopus -mapping_family 1 OUT",
    ),
    ("seven.mkv", "$ff $(a 6.1) -c:a flac OUT"),
    // Subtitles.
    (
        "subtitles.mkv",
        "$ff -i film.mkv -i $sub -i sub.ass -i sub.vtt -map 0 -map 1 -map 2 -map 3 -map 1 -c copy -c:s:0 srt \
        -c:s:1 ass -c:s:2 webvtt -c:s:3 text -metadata:s:s:0 language=eng -metadata:s:s:1 language=fra OUT",
    ),
    (
        "subtitles-mkvmerge.mkv",
        "$mm -o $out film.mkv --language 0:de sub.srt --language 0:ja sub.ass sub.vtt",
    ),
    (
        "subtitles.webm",
        "$ff $(v) -i sub.vtt -map 0 -map 1 -c:v libvpx -c:s webvtt -metadata:s:s:0 language=eng OUT",
    ),
    (
        "dvdsub-dvbsub.mkv",
        "$ff $(v 25 720x576) -i $sub -filter_complex 'color=c=red:s=720x576:r=25:d=2[x]' -map 0 -map '[x]' H264 $out && \
        ffmpeg -v error -nostdin -y -i $out -c copy again-$out && mv again-$out $out",
    ),
    // Flags, languages, titles.
    (
        "flags.mkv",
        "$mm -o $out --default-track-flag 0:0 --default-track-flag 1:1 --track-name 1:'Español – 5.1 ♫' film.mkv \
        --forced-display-flag 0:1 --default-track-flag 0:0 --track-name 0:'Forced \"quoted\"' --language 0:ger sub.srt \
        --hearing-impaired-flag 0:1 --commentary-flag 0:1 sub.ass",
    ),
    (
        "languages.mkv",
        "$mm -o $out --language 0:und --language 1:zh film.mkv --language 0:fre sub.srt --language 0:pt-BR sub.srt \
        --language 0:sr-Latn-RS sub.srt --language 0:mul sub.srt --language 0:zxx sub.srt --language 0:qaa sub.srt",
    ),
    (
        "languages-ffmpeg.mkv",
        "$ff -i film.mkv -i $sub -map 0 -map 1 -map 1 -map 1 -map 1 -c copy -metadata:s:v language=deu \
        -metadata:s:a language=ces -metadata:s:s:0 language=nld -metadata:s:s:1 language=ell -metadata:s:s:2 language=ron \
        -metadata:s:s:3 language=xyz -disposition:s:1 forced -disposition:s:2 default+forced OUT",
    ),
    (
        "language-absent.mkv",
        "$mm -o $out --language 0:ger --language 1:fre film.mkv && mkvpropedit -q $out --edit track:1 --delete language-ietf \
        --edit track:2 --delete language-ietf --delete language",
    ),
    (
        "titles.mkv",
        "$ff -i film.mkv -c copy -metadata title='The Film' -metadata:s:v title='Bild' -metadata:s:a title='日本語 トラック' OUT",
    ),
    (
        "tags.mkv",
        "$ff -i film.mkv -c copy -metadata:s:a artist=Somebody -metadata:s:v comment=Nice -metadata genre=Drama OUT",
    ),
    ("emoji.mkv", "$mm -o $out --track-name '0:🎬 Director’s cut' --track-name '1:‏עברית' film.mkv"),
    // Attachments and chapters.
    (
        "fonts.mkv",
        "$mm -o $out film.mkv --attachment-mime-type application/x-truetype-font --attachment-description 'A font' --attach-file font.ttf \
        --attachment-mime-type font/otf --attachment-name x.otf --attach-file font.ttf --attachment-mime-type application/vnd.ms-opentype \
        --attach-file font.ttf --attachment-mime-type text/plain --attach-file sub.srt",
    ),
    (
        "cover.mkv",
        "$mm -o $out film.mkv --attachment-mime-type image/jpeg --attachment-name cover.jpg --attach-file cover.jpg \
        --attachment-mime-type image/png --attachment-description Back --attach-file cover.png",
    ),
    (
        "cover-ffmpeg.mkv",
        "$ff -i film.mkv -c copy -attach cover.jpg -metadata:s:t mimetype=image/jpeg -metadata:s:t filename=cover.jpg OUT",
    ),
    (
        "font-ffmpeg.mkv",
        "$ff -i film.mkv -c copy -attach font.ttf -metadata:s:t mimetype=application/x-truetype-font \
        -metadata:s:t title='The font' OUT",
    ),
    ("chapters.mkv", "$mm -o $out --title 'With chapters' --chapters chapters.txt film.mkv"),
    (
        "many-tracks.mkv",
        "$mm -o $out film.mkv $(for i in $(seq 40); do printf '%s ' \"--track-name 0:Track-$i --language 0:ger sub.srt\"; done)",
    ),
    // Rates.
    ("rate-5994.mkv", "$ff $(v 60000/1001) H264 OUT"),
    ("rate-50.mkv", "$ff $(v 50) H264 OUT"),
    ("rate-120.mkv", "$ff $(v 120 64x48 1) H264 OUT"),
    ("rate-12.mkv", "$ff $(v 12.5) H264 OUT"),
    ("rate-1.mkv", "$ff $(v 1 160x90 30) H264 OUT"),
    ("rate-2997.mkv", "$ff $(v 2997/100) H264 OUT"),
    (
        "rate-unstated-25.mkv",
        "$mm -o $out film.mkv && $ff $(v 25 160x90 4) H264 x.mkv && $mm -o $out x.mkv && mkvpropedit -q $out --edit track:1 --delete default-duration",
    ),
    (
        "rate-unstated-film.mkv",
        "$ff $(v 24000/1001 160x90 4) H264 y.mkv && $mm -o $out y.mkv && mkvpropedit -q $out --edit track:1 --delete default-duration",
    ),
    (
        "rate-unstated-bframes.mkv",
        "$ff $(v 30000/1001 160x90 4) -c:v libx264 -preset medium z.mkv && $mm -o $out z.mkv && mkvpropedit -q $out --edit track:1 --delete default-duration",
    ),
    (
        "rate-unstated-vp9.webm",
        "$ff $(v 30 160x90 4) -c:v libvpx-vp9 -deadline realtime w.webm && $mm -o $out w.webm && mkvpropedit -q $out --edit track:1 --delete default-duration",
    ),
    (
        "rate-unstated-short.mkv",
        "$ff $(v 25 160x90 0.4) H264 s.mkv && $mm -o $out s.mkv && mkvpropedit -q $out --edit track:1 --delete default-duration",
    ),
    ("vfr.mkv", "$ff $(v 30 160x90 6) -vf \"select='not(eq(mod(n,5),2))'\" -vsync vfr H264 OUT"),
    (
        "vfr-mkvmerge.mkv",
        "$ff $(v 30 160x90 6) -vf \"select='not(eq(mod(n,5),2))'\" -vsync vfr H264 u.mkv && $mm -o $out u.mkv",
    ),
    (
        "interlaced.mkv",
        "$ff $(v 50 720x576 1) -vf tinterlace=interleave_top -c:v libx264 -preset ultrafast -flags +ildct+ilme OUT",
    ),
    // Structure.
    ("live.webm", "$ff $(v 30) $(a) -c:v libvpx -c:a libvorbis -f webm -live 1 - > $out"),
    ("piped.mkv", "$ff -i film.mkv -c copy -f matroska - > $out"),
    ("piped.webm", "$ff $(v 30) -c:v libvpx-vp9 -deadline realtime -f webm - > $out"),
    ("dash.webm", "$ff $(v 30) -c:v libvpx-vp9 -deadline realtime -f webm -dash 1 OUT"),
    ("chunked.webm", "$ff $(v 30) $(a) -c:v libvpx -c:a libopus -cluster_time_limit 200 OUT"),
    ("cues-first.mkv", "$ff -i film.mkv -c copy -cues_to_front 1 -reserve_index_space 5000 OUT"),
    ("no-cues.mkv", "$mm -o $out --no-cues film.mkv"),
    ("no-date-no-statistics.mkv", "$mm -o $out --no-date --disable-track-statistics-tags film.mkv"),
    ("clusters-in-meta-seek.mkv", "$mm -o $out --clusters-in-meta-seek --cluster-length 200ms film.mkv"),
    ("compressed.mkv", "$mm -o $out --compression -1:zlib film.mkv --compression 0:zlib sub.srt"),
    (
        "header-stripped.mkv",
        "$ff -i film.mkv -c copy hs.mp4 && $mm -o $out --compression 0:mpeg4_p10 hs.mp4 || $mm -o $out film.mkv",
    ),
    ("timestamp-scale.mkv", "$mm -o $out --timestamp-scale 100000 film.mkv"),
    ("audio-only.mka.mkv", "$mm -o $out -D film.mkv"),
    ("sample-precision.mkv", "$mm -o $out --timestamp-scale -1 -D film.mkv"),
    ("cropped.mkv", "$mm -o $out --cropping 0:8,8,8,8 film.mkv"),
    ("display.mkv", "$mm -o $out --display-dimensions 0:320x90 film.mkv"),
    ("stereo.mkv", "$mm -o $out --stereo-mode 0:side_by_side_left_first film.mkv"),
    ("big-header.mkv", "$mm -o $out --title \"$(head -c 12000 /dev/zero | tr '\\0' x)\" film.mkv"),
    (
        "edited.mkv",
        "$mm -o $out film.mkv && mkvpropedit -q $out --edit track:2 --set name=\"$(head -c 6000 /dev/zero | tr '\\0' y)\" --add-attachment cover.png",
    ),
    ("truncated.mkv", "head -c 40000 film.mkv > $out"),
    ("headers-only.mkv", "head -c 300 film.mkv > $out"),
    (
        "unknown-codec.mkv",
        "$mm -o $out film.mkv && mkvpropedit -q $out --edit track:2 --set codec-id=A_WHATEVER",
    ),
    (
        "untyped-aac.mkv",
        "$mm -o $out film.mkv && mkvpropedit -q $out --edit track:2 --set codec-id=A_AAC/MPEG4/LC/SBR",
    ),
];

pub(super) fn recipes() -> impl Iterator<Item = Recipe> {
    RECIPES
        .iter()
        .map(|(name, script)| Recipe::new(*name, script.replace("OUT", "$out").replace("H264", H264)))
}

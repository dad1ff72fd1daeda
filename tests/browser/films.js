// Films of some hundred bytes: Matroska headers with tracks of many codecs, sizes and languages, and some odd names.
import { appendFileSync, mkdirSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

function element(id, ...contents) {
  const content = Buffer.concat(contents.map((one) => Buffer.from(one)));
  const size = Buffer.alloc(8);
  size.writeBigUInt64BE(BigInt(content.length) | (1n << 56n));
  return Buffer.concat([Buffer.from(id, "hex"), size, content]);
}

function number(id, value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return element(id, bytes);
}

function float(id, value) {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleBE(value);
  return element(id, bytes);
}

function track(index, kind, codec, language, title, ...details) {
  const name = title ? [element("536e", title)] : [];
  return element("ae", number("d7", index), number("73c5", index), number("83", kind), element("86", codec), element("22b59c", language), ...name, ...details);
}

export function film({ title, video, width, height, audio, subtitles }) {
  const tracks = [
    track(1, 1, video, "und", "", number("23e383", 41666666), element("e0", number("b0", width), number("ba", height))),
    ...audio.map(([codec, language, channels, name], at) => track(at + 2, 2, codec, language, name, element("e1", float("b5", 48000), number("9f", channels)))),
    ...subtitles.map(([codec, language, name], at) => track(at + 20, 17, codec, language, name)),
  ];
  const info = element("1549a966", number("2ad7b1", 1000000), float("4489", 5400000 + title.length * 60000), element("7ba9", title), element("4d80", "vpo"), element("5741", "vpo"));
  const cluster = element("1f43b675", element("e7", [0]), element("a3", [0x81, 0, 0, 0x80, 0, 0, 0, 0]));
  const header = element("1a45dfa3", element("4286", [1]), element("42f7", [1]), element("42f2", [4]), element("42f3", [8]), element("4282", "matroska"), element("4287", [4]), element("4285", [2]));
  return Buffer.concat([header, element("18538067", info, element("1654ae6b", ...tracks), cluster)]);
}

const VIDEOS = ["V_MPEGH/ISO/HEVC", "V_MPEG4/ISO/AVC", "V_MPEGH/ISO/HEVC", "V_AV1", "V_MPEG4/ISO/AVC", "V_MPEG2", "V_VP9"];
const SIZES = [[3840, 1600], [1920, 1080], [1920, 804], [1280, 720], [720, 576]];
const SOUNDS = ["A_EAC3", "A_AC3", "A_DTS", "A_AAC", "A_TRUEHD", "A_OPUS"];
const LANGUAGES = ["eng", "ger", "fre", "jpn", "ita", "spa"];
const NAMES = ["The Long Tide", "Küstenwache", "風の谷", "מלך הים", "A Quiet Orchard", "Night Ferry", "Das Fenster", "Piazza", "Le Jardin", "Two Rivers"];
export const ODD = ["<img src=x onerror=alert(1)>", "\u202egpj.\u2066weird", "a\x1b[31mred", "'\"><script>alert(1)</script>", "x".repeat(251)];

/** Writes so many films below a directory. */
export function library(directory, count) {
  const hourAgo = Date.now() / 1000 - 3600;
  // Most of a file is a hole: films of many gigabytes that take little room. Zeros at the end would mean that it is cut short.
  const end = Buffer.alloc(1024, 1);
  const write = (name, content, size = content.length) => {
    const path = join(directory, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    if (size > content.length) {
      truncateSync(path, size - end.length);
      appendFileSync(path, end);
    }
    utimesSync(path, hourAgo, hourAgo);
  };
  for (let at = 0; at < count; at++) {
    const title = `${NAMES[at % NAMES.length]} ${1 + Math.floor(at / NAMES.length)}`;
    const [width, height] = SIZES[(at * 7) % SIZES.length];
    const audio = LANGUAGES.slice(0, 1 + (at % 3)).map((_, index) => [SOUNDS[(at + index) % SOUNDS.length], LANGUAGES[(at + index) % LANGUAGES.length], [6, 2, 8][at % 3], index ? "Director's commentary" : ""]);
    const subtitles = LANGUAGES.slice(0, at % 4).map((_, index) => ["S_TEXT/UTF8", LANGUAGES[(at * 2 + index) % LANGUAGES.length], ""]);
    const bytes = film({ title, video: VIDEOS[at % VIDEOS.length], width, height, audio, subtitles });
    const name = `${title} (${1960 + (at % 60)})`;
    write(`${name}/${name}.mkv`, bytes, Math.round(width * height * 1500 * (1 + (at % 5) / 3)));
  }
  const cut = film({ title: "Cut", video: VIDEOS[1], width: 1280, height: 720, audio: [["A_AAC", "eng", 2, ""]], subtitles: [] });
  write("Broken/half a download.mkv", cut.subarray(0, cut.length - 8));
  write("Broken/no film.mkv", "<!doctype html><title>not a film</title>");
  write("Broken/zeros.mp4", Buffer.alloc(4096));
  const odd = { video: VIDEOS[0], width: 1920, height: 1080, audio: [["A_AAC", "heb", 2, "\u202e</bdi><script>alert(2)</script>"]], subtitles: [] };
  for (const name of ODD) write(`${name.replaceAll("/", "_")}.mkv`, film({ title: name, ...odd }));
  // A name that is not UTF-8.
  const invalid = Buffer.concat([Buffer.from(`${directory}/f`), Buffer.from([0xff, 0xfe]), Buffer.from("g.mkv")]);
  writeFileSync(invalid, film({ title: "f", ...odd }));
  utimesSync(invalid, hourAgo, hourAgo);
}

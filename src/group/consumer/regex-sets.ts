/**
 * Sets of characters in patterns. Topic names are ASCII, so a set is its ASCII part and nothing else: what a pattern says of other
 * characters can never matter. Source of names and folding: RE2/J's CharGroup, UnicodeTables and CharClass.
 */

/** 1 for each of the 128 characters that is in. Never changed once it is made. */
export type CharSet = Uint8Array;

export const ASCII = 128;
const LONG_S = 0x17f;
const KELVIN = 0x212a;
const CASE_BIT = 0x20;

const isLetter = (c: number): boolean => (c | CASE_BIT) >= 0x61 && (c | CASE_BIT) <= 0x7a;

export function setOf(has: (c: number) => boolean): CharSet {
  const set = new Uint8Array(ASCII);
  for (let c = 0; c < ASCII; c++) set[c] = has(c) ? 1 : 0;
  return set;
}

export const NOTHING: CharSet = new Uint8Array(ASCII);
export const ANY_CHAR: CharSet = setOf(() => true);
export const ANY_CHAR_BUT_NEWLINE: CharSet = setOf((c) => c !== 10);

export const not = (set: CharSet): CharSet => setOf((c) => set[c] === 0);
export const union = (a: CharSet, b: CharSet): CharSet => setOf((c) => (a[c]! | b[c]!) === 1);

/** With both cases of every letter that is in. */
export const folded = (set: CharSet): CharSet => setOf((c) => set[c] === 1 || (isLetter(c) && set[c ^ CASE_BIT] === 1));

/** Code points from `low` to `high`. Two characters beyond ASCII have letters of ASCII as their other case. */
export function range(low: number, high: number, foldCase: boolean): CharSet {
  const set = setOf((c) => c >= low && c <= high);
  if (!foldCase) return set;
  const isIn = (c: number): boolean => low <= c && c <= high;
  return folded(setOf((c) => set[c] === 1 || (c === 0x73 && isIn(LONG_S)) || (c === 0x6b && isIn(KELVIN))));
}

const matching = (pattern: RegExp): CharSet => setOf((c) => pattern.test(String.fromCharCode(c)));

const POSIX: Readonly<Record<string, CharSet>> = {
  alnum: matching(/[0-9A-Za-z]/),
  alpha: matching(/[A-Za-z]/),
  ascii: ANY_CHAR,
  blank: matching(/[\t ]/),
  cntrl: setOf((c) => c < 0x20 || c === 0x7f),
  digit: matching(/[0-9]/),
  graph: matching(/[!-~]/),
  lower: matching(/[a-z]/),
  print: matching(/[ -~]/),
  punct: matching(/[!-/:-@[-`{-~]/),
  space: matching(/[\t-\r ]/),
  upper: matching(/[A-Z]/),
  word: matching(/[0-9A-Za-z_]/),
  xdigit: matching(/[0-9A-Fa-f]/),
};

/** "[:alpha:]" or "[:^alpha:]"; undefined if there is none of that name. */
export function posixClass(name: string, foldCase: boolean): CharSet | undefined {
  const [, negated, word] = /^\[:(\^?)([a-z]+):\]$/.exec(name) ?? [];
  if (word === undefined || !Object.hasOwn(POSIX, word)) return undefined;
  return signed(POSIX[word]!, negated === "", foldCase);
}

const PERL: Readonly<Record<string, CharSet>> = {
  d: matching(/[0-9]/),
  s: matching(/[\t\n\f\r ]/),
  w: matching(/[0-9A-Za-z_]/),
};

export const WORD: CharSet = PERL.w!;

/** \d, \s, \w and their opposites, by their letter. */
export function perlClass(letter: string, foldCase: boolean): CharSet | undefined {
  const lower = letter.toLowerCase();
  if (!Object.hasOwn(PERL, lower)) return undefined;
  return signed(PERL[lower]!, letter === lower, foldCase);
}

const CATEGORIES = "C Cc Cf Co Cs L Ll Lm Lo Lt Lu M Mc Me Mn N Nd Nl No P Pc Pd Pe Pf Pi Po Ps S Sc Sk Sm So Z Zl Zp Zs".split(
  " ",
);

/** Only Latin and Common have characters of ASCII. */
const SCRIPTS = `Arabic Armenian Avestan Balinese Bamum Batak Bengali Bopomofo Brahmi Braille Buginese Buhid
Canadian_Aboriginal Carian Cham Cherokee Common Coptic Cuneiform Cypriot Cyrillic Deseret Devanagari Egyptian_Hieroglyphs
Ethiopic Georgian Glagolitic Gothic Greek Gujarati Gurmukhi Han Hangul Hanunoo Hebrew Hiragana Imperial_Aramaic Inherited
Inscriptional_Pahlavi Inscriptional_Parthian Javanese Kaithi Kannada Katakana Kayah_Li Kharoshthi Khmer Lao Latin Lepcha Limbu
Linear_B Lisu Lycian Lydian Malayalam Mandaic Meetei_Mayek Mongolian Myanmar New_Tai_Lue Nko Ogham Ol_Chiki Old_Italic
Old_Persian Old_South_Arabian Old_Turkic Oriya Osmanya Phags_Pa Phoenician Rejang Runic Samaritan Saurashtra Shavian Sinhala
Sundanese Syloti_Nagri Syriac Tagalog Tagbanwa Tai_Le Tai_Tham Tai_Viet Tamil Telugu Thaana Thai Tibetan Tifinagh Ugaritic
Unknown Vai Yi`.split(/\s+/);

const UNICODE: ReadonlyMap<string, CharSet> = new Map<string, CharSet>([
  ["Any", ANY_CHAR],
  ...SCRIPTS.map((name): [string, CharSet] => [name, NOTHING]),
  ["Latin", POSIX.alpha!],
  ["Common", not(POSIX.alpha!)],
  ...CATEGORIES.map((name): [string, CharSet] => [name, matching(new RegExp(`\\p{${name}}`, "u"))]),
]);

/** \p{name}: a general category or a script; undefined if RE2/J knows none of that name. */
export function unicodeClass(name: string, positive: boolean, foldCase: boolean): CharSet | undefined {
  const set = UNICODE.get(name);
  return set === undefined ? undefined : signed(set, positive, foldCase);
}

/** The opposite is of the folded set, not the other way round. */
function signed(set: CharSet, positive: boolean, foldCase: boolean): CharSet {
  const base = foldCase ? folded(set) : set;
  return positive ? base : not(base);
}

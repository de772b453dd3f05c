/**
 * Reads patterns as RE2/J does: the same language, the same refusals in the same words. Only which names match is of interest, so
 * captures and greediness are checked and then dropped. Nothing here recurses: a pattern cannot exhaust the stack.
 * Source: com.google.re2j.Parser.
 */
import {
  ANY_CHAR,
  ANY_CHAR_BUT_NEWLINE,
  type CharSet,
  NOTHING,
  not,
  perlClass,
  posixClass,
  range,
  unicodeClass,
  union,
} from "./regex-sets.ts";

/** A pattern that is refused; the message is RE2/J's description. */
export class PatternError extends Error {}

/** What a place between two characters must be. */
export type Assertion = "begin" | "end" | "word boundary" | "no word boundary";

export type Node =
  | { readonly op: "set"; readonly set: CharSet }
  | { readonly op: "assert"; readonly what: Assertion }
  | { readonly op: "concat"; readonly subs: readonly Node[]; readonly depth: number }
  | { readonly op: "alternate"; readonly subs: readonly Node[]; readonly depth: number }
  /** `max` -1: no limit. */
  | { readonly op: "repeat"; readonly sub: Node; readonly min: number; readonly max: number; readonly depth: number };

/** How deep groups and repetitions may nest. RE2/J's own limit is its stack. */
const MAX_DEPTH = 1000;
const MAX_REPEAT = 1000;
const MAX_RUNE = 0x10ffff;

/** Of flags only these decide what matches: names have no newlines for (?m) to see, and greediness is not asked for. */
interface Flags {
  readonly foldCase: boolean;
  readonly dotMatchesNewline: boolean;
}

/** An open group: its finished alternatives, and what it has of the one that is being read. */
interface Level {
  readonly alternatives: Node[];
  current: Node[];
  /** To be restored when it closes. */
  readonly flags: Flags;
}

/** The syntax tree. Throws PatternError. */
export function parsePattern(pattern: string): Node {
  return new PatternParser(pattern).parse();
}

const depthOf = (node: Node): number => ("depth" in node ? node.depth : 0);

function deeper(subs: readonly Node[]): number {
  let depth = 1;
  for (const sub of subs) depth = Math.max(depth, depthOf(sub) + 1);
  if (depth > MAX_DEPTH) throw new PatternError("expression nests too deeply");
  return depth;
}

class PatternParser {
  private readonly text: string;
  private at = 0;
  private flags: Flags = { foldCase: false, dotMatchesNewline: false };
  private readonly levels: Level[] = [];
  private level: Level;
  private readonly names = new Set<string>();

  constructor(text: string) {
    this.text = text;
    this.level = { alternatives: [], current: [], flags: this.flags };
  }

  parse(): Node {
    let afterRepeat = false;
    while (this.at < this.text.length) {
      const repeats = this.next(afterRepeat);
      afterRepeat = repeats;
    }
    if (this.levels.length > 0) throw new PatternError("missing closing )");
    return this.close();
  }

  /** Reads one item; true if it was a repetition. */
  private next(afterRepeat: boolean): boolean {
    const c = this.text[this.at]!;
    switch (c) {
      case "(":
        if (this.text.startsWith("(?", this.at)) this.perlGroup();
        else {
          this.at++;
          this.open();
        }
        return false;
      case ")":
        this.at++;
        this.rightParenthesis();
        return false;
      case "|":
        this.at++;
        this.level.alternatives.push(concat(this.level.current));
        this.level.current = [];
        return false;
      case "^":
        this.at++;
        this.add({ op: "assert", what: "begin" });
        return false;
      case "$":
        this.at++;
        this.add({ op: "assert", what: "end" });
        return false;
      case ".":
        this.at++;
        this.add({ op: "set", set: this.flags.dotMatchesNewline ? ANY_CHAR : ANY_CHAR_BUT_NEWLINE });
        return false;
      case "[":
        this.add({ op: "set", set: this.bracketClass() });
        return false;
      case "*":
        this.at++;
        return this.repeat(0, -1, afterRepeat);
      case "+":
        this.at++;
        return this.repeat(1, -1, afterRepeat);
      case "?":
        this.at++;
        return this.repeat(0, 1, afterRepeat);
      case "{":
        return this.counted(afterRepeat);
      case "\\":
        this.backslash();
        return false;
      default:
        this.literal(this.pop());
        return false;
    }
  }

  private add(node: Node): void {
    this.level.current.push(node);
  }

  private literal(rune: number): void {
    this.add({ op: "set", set: range(rune, rune, this.flags.foldCase) });
  }

  private open(): void {
    this.levels.push(this.level);
    this.level = { alternatives: [], current: [], flags: this.flags };
    if (this.levels.length > MAX_DEPTH) throw new PatternError("expression nests too deeply");
  }

  private close(): Node {
    const { alternatives, current } = this.level;
    alternatives.push(concat(current));
    return alternatives.length === 1 ? alternatives[0]! : { op: "alternate", subs: alternatives, depth: deeper(alternatives) };
  }

  private rightParenthesis(): void {
    const node = this.close();
    const outer = this.levels.pop();
    if (outer === undefined) throw new PatternError("regexp/syntax: internal error"); // RE2/J's word for it
    this.flags = this.level.flags;
    this.level = outer;
    this.add(node);
  }

  /** Applies to the item before it. */
  private repeat(min: number, max: number, afterRepeat: boolean): true {
    if (this.text[this.at] === "?") this.at++;
    if (afterRepeat) throw new PatternError("invalid nested repetition operator");
    const sub = this.level.current.pop();
    if (sub === undefined) throw new PatternError("missing argument to repetition operator");
    this.add({ op: "repeat", sub, min, max, depth: deeper([sub]) });
    return true;
  }

  /** {n}, {n,} or {n,m}; anything else is a literal brace. */
  private counted(afterRepeat: boolean): boolean {
    const [whole, low, comma, high] = /^\{(0|[1-9]\d*)(?:(,)(0|[1-9]\d*)?)?\}/.exec(this.text.slice(this.at, this.at + 64)) ?? [];
    if (whole === undefined) {
      this.literal(this.pop());
      return false;
    }
    const min = Number(low);
    const max = comma === undefined ? min : high === undefined ? -1 : Number(high);
    if (min > MAX_REPEAT || max > MAX_REPEAT || (max >= 0 && min > max)) throw new PatternError("invalid repeat count");
    this.at += whole.length;
    return this.repeat(min, max, afterRepeat);
  }

  /** (?:…), flags with or without a group, and named groups. */
  private perlGroup(): void {
    const named = /^\(\?P?</.exec(this.text.slice(this.at, this.at + 4));
    if (named !== null) {
      this.namedGroup(this.at + named[0].length);
      return;
    }
    const [whole, on, off, end] = /^\(\?([imsU]*)(?:-([imsU]+))?([:)])/.exec(this.text.slice(this.at)) ?? [];
    if (whole === undefined) throw new PatternError("invalid or unsupported Perl syntax");
    this.at += whole.length;
    const flag = (letter: string, before: boolean): boolean =>
      off?.includes(letter) ? false : on!.includes(letter) ? true : before;
    const { foldCase, dotMatchesNewline } = this.flags;
    if (end === ":") this.open();
    this.flags = { foldCase: flag("i", foldCase), dotMatchesNewline: flag("s", dotMatchesNewline) };
  }

  private namedGroup(begin: number): void {
    const end = this.text.indexOf(">", begin);
    const name = end < 0 ? "" : this.text.slice(begin, end);
    if (!/^[0-9A-Za-z_]+$/.test(name)) throw new PatternError("invalid named capture");
    if (this.names.has(name)) throw new PatternError("duplicate capture group name");
    this.names.add(name);
    this.at = end + 1;
    this.open();
  }

  private backslash(): void {
    const letter = this.text[this.at + 1];
    const assertion = letter === undefined ? undefined : ASSERTIONS[letter];
    if (assertion !== undefined) {
      this.at += 2;
      this.add({ op: "assert", what: assertion });
    } else if (letter === "C") {
      throw new PatternError("invalid escape sequence");
    } else if (letter === "Q") {
      this.quoted();
    } else {
      const set = this.unicodeClass() ?? this.perlClass();
      if (set !== undefined) this.add({ op: "set", set });
      else this.literal(this.escape());
    }
  }

  /** \Q…\E: what stands between is literal. */
  private quoted(): void {
    this.at += 2;
    const found = this.text.indexOf("\\E", this.at);
    const end = found < 0 ? this.text.length : found;
    while (this.at < end) this.literal(this.pop());
    this.at = end + 2;
  }

  private unicodeClass(): CharSet | undefined {
    const letter = this.text[this.at + 1];
    if (this.text[this.at] !== "\\" || (letter !== "p" && letter !== "P")) return undefined;
    const [whole, braced, single] = /^\\[pP](?:\{([^}]*)\}|([^{]))/su.exec(this.text.slice(this.at)) ?? [];
    const name = braced ?? single;
    if (whole === undefined || name === undefined) throw new PatternError("invalid character class range");
    const negated = name.startsWith("^");
    const set = unicodeClass(negated ? name.slice(1) : name, (letter === "p") !== negated, this.flags.foldCase);
    if (set === undefined) throw new PatternError("invalid character class range");
    this.at += whole.length;
    return set;
  }

  private perlClass(): CharSet | undefined {
    if (this.text[this.at] !== "\\") return undefined;
    const set = perlClass(this.text[this.at + 1] ?? "", this.flags.foldCase);
    if (set !== undefined) this.at += 2;
    return set;
  }

  /** [abc], [^a-z], with classes of every kind inside. */
  private bracketClass(): CharSet {
    this.at++;
    const negated = this.text[this.at] === "^";
    if (negated) this.at++;
    let set = NOTHING;
    for (let first = true; first || this.text[this.at] !== "]"; first = false) set = union(set, this.classItem());
    this.at++;
    return negated ? not(set) : set;
  }

  private classItem(): CharSet {
    const set = this.posixClass() ?? this.unicodeClass() ?? this.perlClass();
    if (set !== undefined) return set;
    const low = this.classChar();
    let high = low;
    if (this.text[this.at] === "-" && this.text[this.at + 1] !== "]") {
      this.at++;
      high = this.classChar();
      if (high < low) throw new PatternError("invalid character class range");
    }
    return range(low, high, this.flags.foldCase);
  }

  private posixClass(): CharSet | undefined {
    if (!this.text.startsWith("[:", this.at)) return undefined;
    const end = this.text.indexOf(":]", this.at);
    if (end < 0) return undefined;
    const set = posixClass(this.text.slice(this.at, end + 2), this.flags.foldCase);
    if (set === undefined) throw new PatternError("invalid character class range");
    this.at = end + 2;
    return set;
  }

  private classChar(): number {
    if (this.at >= this.text.length) throw new PatternError("missing closing ]");
    return this.text[this.at] === "\\" ? this.escape() : this.pop();
  }

  /** The character that an escape stands for. */
  private escape(): number {
    this.at++;
    if (this.at >= this.text.length) throw new PatternError("trailing backslash at end of expression");
    const rest = this.text.slice(this.at, this.at + 16);
    // A single digit other than 0 would be a reference to a group.
    const octal = /^(?:0[0-7]{0,2}|[1-7][0-7]{1,2})/.exec(rest);
    if (octal !== null) {
      this.at += octal[0].length;
      return Number.parseInt(octal[0], 8);
    }
    if (rest[0] === "x") return this.hexadecimal();
    const control = CONTROLS[rest[0]!];
    if (control !== undefined) {
      this.at++;
      return control;
    }
    if (/^[0-9A-Za-z]/.test(rest)) throw new PatternError("invalid escape sequence");
    return this.pop();
  }

  private hexadecimal(): number {
    const [whole, short, long] = /^x(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]+)\})/.exec(this.text.slice(this.at)) ?? [];
    const rune = Number.parseInt(short ?? long ?? "", 16);
    if (whole === undefined || rune > MAX_RUNE) throw new PatternError("invalid escape sequence");
    this.at += whole.length;
    return rune;
  }

  private pop(): number {
    const rune = this.text.codePointAt(this.at)!;
    this.at += rune > 0xffff ? 2 : 1;
    return rune;
  }
}

const ASSERTIONS: Readonly<Record<string, Assertion | undefined>> = {
  A: "begin",
  z: "end",
  b: "word boundary",
  B: "no word boundary",
};

const CONTROLS: Readonly<Record<string, number | undefined>> = { a: 7, f: 12, n: 10, r: 13, t: 9, v: 11 };

const concat = (subs: readonly Node[]): Node => (subs.length === 1 ? subs[0]! : { op: "concat", subs, depth: deeper(subs) });

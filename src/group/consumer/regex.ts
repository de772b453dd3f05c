/**
 * Which topic names a pattern matches as a whole, in time linear in the name: Thompson's automaton, turned into a deterministic
 * one as far as names lead into it. What a pattern can cost is bounded by the size of its program.
 */
import { ASCII, type CharSet, WORD } from "./regex-sets.ts";
import { type Assertion, type Node, PatternError, parsePattern } from "./regex-syntax.ts";

/** Instructions of one pattern. RE2/J has no limit: it would run out of memory. */
const MAX_PROGRAM = 20_000;
/** Deterministic states that are kept; beyond them they are made anew. A cached state takes a kilobyte. */
const MAX_STATES = 1000;
/** Of the text that is matched: what stands behind its last character. */
const END = ASCII;

type Instruction =
  | { readonly op: "set"; readonly set: CharSet }
  | { readonly op: "assert"; readonly what: Assertion }
  | { readonly op: "split"; to: number; or: number }
  | { readonly op: "jump"; to: number }
  | { readonly op: "match" };

/** A set of instructions that wait for the next character, and what came before it. */
interface State {
  readonly waiting: readonly number[];
  readonly isBegin: boolean;
  readonly afterWord: boolean;
  /** By the next character: the state that follows, null when none does. */
  readonly next: (State | null | undefined)[];
  /** Whether the text may end here. */
  matches: boolean | undefined;
}

export class Regex {
  /** Work done so far, in instructions looked at: what it costs others. */
  work = 0;
  private readonly program: readonly Instruction[];
  private readonly states = new Map<string, State>();
  private readonly begin: State;

  /** Throws PatternError. */
  constructor(pattern: string) {
    this.program = compile(parsePattern(pattern));
    this.begin = newState([0], true, false);
  }

  /** Whether the whole name matches. Names are ASCII; whatever is not is matched by nothing. */
  matches(name: string): boolean {
    let state: State | null = this.begin;
    for (let i = 0; i < name.length; i++) {
      const c = name.charCodeAt(i);
      if (c >= ASCII) return false;
      const known: State | null | undefined = state.next[c];
      state = known === undefined ? this.step(state, c) : known;
      if (state === null) return false;
    }
    this.work += name.length;
    state.matches ??= this.follow(state, END).accepted;
    return state.matches;
  }

  private step(state: State, c: number): State | null {
    const { reached } = this.follow(state, c);
    const waiting: number[] = [];
    for (const at of reached) {
      const instruction = this.program[at]!;
      if (instruction.op === "set" && instruction.set[c] === 1) waiting.push(at + 1);
    }
    const next = waiting.length === 0 ? null : this.state(waiting, WORD[c] === 1);
    state.next[c] = next;
    return next;
  }

  private state(waiting: number[], afterWord: boolean): State {
    waiting.sort((a, b) => a - b);
    const key = `${afterWord ? "w" : ""}${waiting.join(",")}`;
    const known = this.states.get(key);
    if (known !== undefined) return known;
    if (this.states.size >= MAX_STATES) {
      this.states.clear();
      this.begin.next.fill(undefined);
    }
    const state = newState(waiting, false, afterWord);
    this.states.set(key, state);
    return state;
  }

  /** All instructions that are reached from a state without taking a character, when `c` is the next one. */
  private follow(state: State, c: number): { reached: readonly number[]; accepted: boolean } {
    const reached: number[] = [];
    const seen = new Set<number>(state.waiting);
    const open = [...state.waiting];
    let accepted = false;
    const go = (to: number): void => {
      if (seen.has(to)) return;
      seen.add(to);
      open.push(to);
    };
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      const instruction = this.program[at]!;
      if (instruction.op === "set") reached.push(at);
      else if (instruction.op === "match") accepted = true;
      else if (instruction.op === "jump") go(instruction.to);
      else if (instruction.op === "split") {
        go(instruction.to);
        go(instruction.or);
      } else if (holds(instruction.what, state, c)) go(at + 1);
    }
    this.work += seen.size + 1;
    return { reached, accepted };
  }
}

const newState = (waiting: readonly number[], isBegin: boolean, afterWord: boolean): State => ({
  waiting,
  isBegin,
  afterWord,
  next: new Array(ASCII).fill(undefined),
  matches: undefined,
});

function holds(what: Assertion, state: State, next: number): boolean {
  if (what === "begin") return state.isBegin;
  if (what === "end") return next === END;
  const isBoundary = state.afterWord !== (next !== END && WORD[next] === 1);
  return isBoundary === (what === "word boundary");
}

function compile(node: Node): Instruction[] {
  const program: Instruction[] = [];
  emit(node, program);
  push(program, { op: "match" });
  return program;
}

function push<I extends Instruction>(program: Instruction[], instruction: I): I {
  if (program.length >= MAX_PROGRAM) throw new PatternError("expression too large");
  program.push(instruction);
  return instruction;
}

/** Recurses as deep as the tree, which is bounded. */
function emit(node: Node, program: Instruction[]): void {
  switch (node.op) {
    case "set":
      push(program, { op: "set", set: node.set });
      return;
    case "assert":
      push(program, { op: "assert", what: node.what });
      return;
    case "concat":
      for (const sub of node.subs) emit(sub, program);
      return;
    case "alternate":
      emitAlternate(node.subs, program);
      return;
    case "repeat":
      emitRepeat(node.sub, node.min, node.max, program);
      return;
  }
}

function emitAlternate(subs: readonly Node[], program: Instruction[]): void {
  const ends: { to: number }[] = [];
  subs.forEach((sub, i) => {
    if (i === subs.length - 1) {
      emit(sub, program);
      return;
    }
    const split = push(program, { op: "split", to: program.length + 1, or: -1 });
    emit(sub, program);
    ends.push(push(program, { op: "jump", to: -1 }));
    split.or = program.length;
  });
  for (const end of ends) end.to = program.length;
}

function emitRepeat(sub: Node, min: number, max: number, program: Instruction[]): void {
  for (let i = 0; i < min; i++) {
    const before = program.length;
    emit(sub, program);
    if (program.length === before) break; // it matches the empty text only; a thousand of it are no more
  }
  if (max === -1) {
    const split = push(program, { op: "split", to: program.length + 1, or: -1 });
    const loop = program.length - 1;
    emit(sub, program);
    push(program, { op: "jump", to: loop });
    split.or = program.length;
    return;
  }
  const splits: { or: number }[] = [];
  for (let i = min; i < max; i++) {
    splits.push(push(program, { op: "split", to: program.length + 1, or: -1 }));
    emit(sub, program);
  }
  for (const split of splits) split.or = program.length;
}

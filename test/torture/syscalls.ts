/** strace as a spot check of what our own io layer counts (test/sim): a system call of the real program fails, once, by chance. */

import { run as runProgram } from "../support/tools.ts";
import { sleep, until } from "../support/until.ts";
import { Violation } from "./load.ts";
import { goesOn, type Run, Scene, type Torture } from "./torture.ts";

interface Fault {
  call: string;
  error: string;
  /** What the broker must do: end with code 70 and say why, or go on. */
  fatal: boolean;
}

const faults: Fault[] = [
  { call: "fdatasync", error: "EIO", fatal: true },
  { call: "fdatasync", error: "ENOSPC", fatal: true },
  { call: "syncfs", error: "EIO", fatal: true },
  { call: "pwrite64,pwritev,pwritev2", error: "ENOSPC", fatal: false },
];

/** Lets one fault strike the running broker; resolves when it ended or the time is over. */
async function strike(run: Run, scene: Scene, { call, error, fatal }: Fault): Promise<"ended" | "went on" | "never called"> {
  const when = 1 + run.random.int(20);
  const inject = `--inject=${call}:error=${error}:when=${when}`;
  const { target } = scene;
  const strace = Bun.spawn([
    "strace",
    "-f",
    "-q",
    "-p",
    String(target.pid),
    "-e",
    `trace=${call}`,
    inject,
    "-o",
    `${target.home}/strace`,
  ]);
  run.cleanUp(async () => strace.kill("SIGKILL"));
  const ended = await Promise.race([target.ended.then(() => true), sleep(fatal ? 20_000 : 3000).then(() => false)]);
  if (!ended) strace.kill("SIGTERM");
  await strace.exited;
  const struck = (await Bun.file(`${target.home}/strace`).text()).includes("(INJECTED)");
  if (ended) return "ended";
  return struck ? "went on" : "never called";
}

/** Whether strace is there and may attach. */
async function strace(): Promise<string | null> {
  try {
    const { code } = await runProgram(["strace", "-q", "-o", "/dev/null", "true"]);
    return code === 0 ? null : "strace is not allowed here";
  } catch {
    return "strace is missing (apt-get install strace)";
  }
}

export const syscalls: Torture = {
  name: "syscalls",
  cycles: { bounded: 3, endless: 12 },
  missing: strace,
  async run(run) {
    const scene = await Scene.open(run, 12);
    const counted = new Map<string, number>();
    let done = 0;
    for (; goesOn(run, done); done++) {
      await scene.progress(20);
      const fault = faults[(done + run.seed) % faults.length]!;
      const logged = scene.target.log().length;
      const outcome = await strike(run, scene, fault);
      const what = `${fault.call} ${fault.error}: ${outcome}`;
      counted.set(what, (counted.get(what) ?? 0) + 1);
      const said = scene.target.log().slice(logged);
      if (outcome === "ended") {
        const code = await scene.target.ended;
        if (code !== 70 || !fault.fatal) throw new Violation(`${what}, exit code ${code}\n${said}`);
        if (!said.includes(fault.error)) throw new Violation(`${what}: the log does not say why\n${said}`);
        await scene.target.start();
      } else if (fault.fatal && outcome === "went on") throw new Violation(`${what}\n${said}`);
    }
    await until("the broker to serve", () => scene.progress(1).then(() => true));
    return `${done} cycles, ${await scene.check()}; ${[...counted].map(([what, n]) => `${n} x ${what}`).join(", ")}`;
  },
};

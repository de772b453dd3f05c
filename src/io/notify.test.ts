import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { realClock } from "./clock.ts";
import { openNotifier, unixAddress, watchdogPingMs } from "./notify.ts";

/** Prints each datagram that arrives at a socket as a line of JSON: someone else's idea of AF_UNIX. */
const RECEIVER = `
import json, socket, sys
name = sys.argv[1]
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("\\0" + name[1:] if name.startswith("@") else name)
print(json.dumps("bound"), flush=True)
while True: print(json.dumps(s.recv(4096).decode()), flush=True)
`;

const directory = mkdtempSync(join(tmpdir(), "quarkmq-notify-"));
const python = Bun.which("python3");
const children: ReturnType<typeof Bun.spawn>[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill();
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function receiver(name: string): Promise<{ next(): Promise<string> }> {
  const child = Bun.spawn([python!, "-c", RECEIVER, name], { stdout: "pipe", stderr: "inherit" });
  children.push(child);
  const reader = child.stdout.getReader();
  let buffered = "";
  const next = async (): Promise<string> => {
    while (!buffered.includes("\n")) buffered += Buffer.from((await reader.read()).value ?? new Uint8Array()).toString();
    const end = buffered.indexOf("\n");
    const line = JSON.parse(buffered.slice(0, end));
    buffered = buffered.slice(end + 1);
    return line;
  };
  expect(await next()).toBe("bound");
  return { next };
}

describe.skipIf(process.platform !== "linux" || python === null)("sd_notify", () => {
  for (const kind of ["path", "abstract"] as const) {
    test(`reaches a receiver at an address: ${kind}`, async () => {
      const name = kind === "path" ? join(directory, "notify.sock") : `@quarkmq-test-${process.pid}`;
      const socket = await receiver(name);
      const notifier = openNotifier({ NOTIFY_SOCKET: name }, process.pid, realClock);
      notifier.ready("listening on 127.0.0.1:9092");
      notifier.status("two\nlines");
      notifier.stopping("closing");
      expect(await socket.next()).toBe("READY=1\nSTATUS=listening on 127.0.0.1:9092");
      expect(await socket.next()).toBe("STATUS=two lines");
      expect(await socket.next()).toBe("STOPPING=1\nSTATUS=closing");
      notifier.close();
    });
  }

  test("pings the watchdog from ready to stopping", async () => {
    const name = `@quarkmq-watchdog-${process.pid}`;
    const socket = await receiver(name);
    const env = { NOTIFY_SOCKET: name, WATCHDOG_USEC: "40000", WATCHDOG_PID: String(process.pid) };
    const notifier = openNotifier(env, process.pid, realClock);
    notifier.ready("");
    expect(await socket.next()).toBe("READY=1\nSTATUS=");
    for (let i = 0; i < 3; i++) expect(await socket.next()).toBe("WATCHDOG=1");
    notifier.stopping("");
    let last = await socket.next();
    while (last === "WATCHDOG=1") last = await socket.next();
    expect(last).toBe("STOPPING=1\nSTATUS=");
    notifier.close();
  });

  test("nobody there, or nothing that can be an address, is no error", () => {
    for (const name of [undefined, "", "relative", "/nowhere/at/all", `/${"x".repeat(200)}`, "@"]) {
      const notifier = openNotifier({ NOTIFY_SOCKET: name }, process.pid, realClock);
      notifier.ready("");
      notifier.close();
    }
  });
});

test("addresses are sockaddr_un", () => {
  expect(unixAddress("/run/x")).toEqual(new Uint8Array([1, 0, 47, 114, 117, 110, 47, 120, 0]));
  expect(unixAddress("@x")).toEqual(new Uint8Array([1, 0, 0, 120]));
  expect(unixAddress("x")).toBeNull();
});

test("the watchdog is pinged at half of its time, and only by the process it is meant for", () => {
  expect(watchdogPingMs({ WATCHDOG_USEC: "30000000" }, 7)).toBe(15_000);
  expect(watchdogPingMs({ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "7" }, 7)).toBe(15_000);
  expect(watchdogPingMs({ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "8" }, 7)).toBeNull();
  expect(watchdogPingMs({ WATCHDOG_USEC: "soon" }, 7)).toBeNull();
  expect(watchdogPingMs({}, 7)).toBeNull();
});

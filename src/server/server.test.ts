/** A whole server on a real directory and port: it starts, serves, refuses what it must, and stops. */
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "../base/logger.ts";
import { defaultServerConfig, type ServerConfig } from "../config/server-options.ts";
import { realClock } from "../io/clock.ts";
import { realRandom } from "../io/random.ts";
import { realDisk } from "../io/real-disk.ts";
import { Client, frame } from "./frontend-rig.ts";
import { affordableConnections, type Server, startServer } from "./server.ts";

const directories: string[] = [];
const servers: Server[] = [];

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "quarkmq-server-"));
  directories.push(directory);
  return directory;
}

async function start(changes: Partial<ServerConfig> = {}): Promise<Server> {
  const config = defaultServerConfig({ dataDir: newDirectory(), bind: { host: "127.0.0.1", port: 0 }, ...changes });
  const fail = (error: unknown): never => {
    throw error;
  };
  const parts = { logger: silentLogger, clock: realClock, disk: realDisk, random: realRandom, onFatal: fail };
  const server = await startServer({ config, ...parts });
  servers.push(server);
  return server;
}

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()));
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

/** ApiVersions v0 without a client id. */
const apiVersions = (correlationId: number): Buffer => frame(Buffer.from([0, 18, 0, 0, 0, 0, 0, correlationId, 255, 255]));

/** Metadata v1 of all topics: what names the broker's address. */
const metadata = frame(Buffer.from([0, 3, 0, 1, 0, 0, 0, 2, 255, 255, 255, 255, 255, 255]));

describe("a server", () => {
  test("serves ApiVersions and Metadata, and names the port that it got", async () => {
    const server = await start();
    expect(server.port).toBeGreaterThan(0);
    const client = await Client.connect(server.port);
    client.send(apiVersions(1), metadata);
    const [versions, brokers] = await client.answered(2);
    expect(versions!.body.readInt16BE(0)).toBe(0);
    const keys = Array.from({ length: versions!.body.readInt32BE(2) }, (_, i) => versions!.body.readInt16BE(6 + 6 * i));
    expect(keys).toContain(18);
    expect(keys).toEqual([...keys].sort((a, b) => a - b));
    // brokers: count, node id, host, port
    const hostBytes = brokers!.body.readInt16BE(8);
    expect(brokers!.body.readInt32BE(0)).toBe(1);
    expect(brokers!.body.toString("utf8", 10, 10 + hostBytes)).toBe("127.0.0.1");
    expect(brokers!.body.readInt32BE(10 + hostBytes)).toBe(server.port);
  });

  test("a port in use: the system's error, and nothing is left open", async () => {
    const { port } = await start();
    const dataDir = newDirectory();
    const bind = { host: "127.0.0.1", port };
    await expect(start({ dataDir, bind })).rejects.toMatchObject({ code: "EADDRINUSE", syscall: "listen" });
    await start({ dataDir }); // its lock is free
  });

  test("stops with connections open, is gone then, and can start again where it was", async () => {
    const dataDir = newDirectory();
    const server = await start({ dataDir });
    const client = await Client.connect(server.port);
    client.send(apiVersions(1));
    await client.answered(1);
    const beganMs = performance.now();
    await servers.pop()!.stop();
    expect(performance.now() - beganMs).toBeLessThan(1000);
    await client.closed();
    await expect(Client.connect(server.port)).rejects.toThrow();
    const again = await start({ dataDir, bind: { host: "127.0.0.1", port: server.port } });
    expect(again.port).toBe(server.port);
  });
});

test.each([
  [null, 4096, Number.POSITIVE_INFINITY],
  [1_048_576, 4096, 1_048_576 - 4096 - 64],
  [10_000, 4096, 10_000 - 4096 - 64],
  [1024, 4096, 1024 - 512 - 64],
  [64, 16, 1],
])("with %p files, %d of them for the log, there may be %d connections", (limit, openFilesMax, connections) => {
  const warnings: unknown[] = [];
  const logger = { ...silentLogger, warn: (...line: unknown[]) => void warnings.push(line) };
  const config = defaultServerConfig({ openFilesMax, maxConnections: 20_000 });
  expect(affordableConnections(config, limit, logger)).toBe(connections);
  expect(warnings.length).toBe(connections < 20_000 ? 1 : 0);
});

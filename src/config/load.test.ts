import { describe, expect, test } from "bun:test";
import { parseArguments } from "./arguments.ts";
import { ConfigFaults, faultLine } from "./fault.ts";
import { type LoadedConfig, loadServerConfig } from "./load.ts";
import { LONG_MAX } from "./option.ts";
import { defaultServerConfig } from "./server-options.ts";
import { effectiveTopicConfig } from "./topic-options.ts";

interface Given {
  readonly file?: string | null;
  readonly env?: Record<string, string>;
  readonly args?: string[];
}

const load = ({ file = null, env = {}, args = [] }: Given): LoadedConfig =>
  loadServerConfig({ arguments: parseArguments(args), env, readText: () => file });

function faultsOf(given: Given): string[] {
  try {
    load(given);
  } catch (error) {
    if (error instanceof ConfigFaults) return error.faults.map(faultLine);
    throw error;
  }
  return [];
}

test("without anything, the defaults of the specification", () => {
  const { config, configPath, origins } = load({});
  expect(config).toMatchObject({
    bind: { host: "0.0.0.0", port: 9092 },
    dataDir: "/tmp/quarkmq/data",
    nodeId: 0,
    logSegmentBytes: 1_073_741_824,
    logIndexIntervalBytes: 4096,
    numPartitions: 1,
  });
  expect(config).toEqual(defaultServerConfig());
  expect(configPath).toBeNull();
  expect(origins.bind).toEqual({ source: "default", name: "" });
});

test("the file of the specification", () => {
  const file = `
[broker]
node_id = 3
data_dir = "/var/lib/quarkmq/data"
[server]
bind = "127.0.0.1:9093"
[log]
segment_bytes = 1_048_576      # 1 MB
index_interval_bytes = 1024
[defaults]
num_partitions = 6
`;
  const { config, configPath, origins } = load({ file });
  expect(config).toEqual({
    ...defaultServerConfig(),
    nodeId: 3,
    dataDir: "/var/lib/quarkmq/data",
    bind: { host: "127.0.0.1", port: 9093 },
    logSegmentBytes: 1_048_576,
    logIndexIntervalBytes: 1024,
    numPartitions: 6,
  });
  expect(configPath).toBe("config/quarkmq.toml");
  expect(origins.nodeId).toEqual({ source: "file", name: "broker.node_id" });
});

test("built-in < file < environment < command line", () => {
  const file = "[broker]\nnode_id = 1\ndata_dir = 'file'\n[server]\nbind = 'file:1'\n";
  const env = { QUARKMQ_DATA_DIR: "/env", QUARKMQ_BIND: "env:2", PATH: "/bin", QUARKMQ_CONFIG: "somewhere.toml" };
  const { config, origins, configPath } = load({ file, env, args: ["--bind", "flag:3"] });
  expect([config.nodeId, config.dataDir, config.bind.host, config.numPartitions]).toEqual([1, "/env", "flag", 1]);
  expect(origins.dataDir).toEqual({ source: "environment", name: "QUARKMQ_DATA_DIR" });
  expect(origins.bind).toEqual({ source: "command line", name: "--bind" });
  expect(configPath).toBe("somewhere.toml");
});

describe("which file", () => {
  const pathsRead = (given: Given): string[] => {
    const paths: string[] = [];
    const { args = [], env = {} } = given;
    const readText = (path: string) => {
      paths.push(path);
      return "";
    };
    loadServerConfig({ arguments: parseArguments(args), env, readText });
    return paths;
  };

  test("-c before QUARKMQ_CONFIG before the default", () => {
    expect(pathsRead({})).toEqual(["config/quarkmq.toml"]);
    expect(pathsRead({ env: { QUARKMQ_CONFIG: "b" } })).toEqual(["b"]);
    expect(pathsRead({ env: { QUARKMQ_CONFIG: "b" }, args: ["-c", "a"] })).toEqual(["a"]);
  });

  test("one that was named must be there", () => {
    expect(faultsOf({ args: ["-c", "a.toml"] })).toEqual(["a.toml: there is no such file"]);
  });

  test("one that cannot be read is a fault beside the others", () => {
    const readText = () => {
      throw new Error("cannot be read: permission denied");
    };
    const attempt = () => loadServerConfig({ arguments: parseArguments(["--bnd"]), env: {}, readText });
    expect(attempt).toThrow(/2 faults.*config\/quarkmq.toml: cannot be read: permission denied\n.*--bnd/s);
  });

  test("TOML that does not parse is shown with its line", () => {
    expect(faultsOf({ file: "[broker]\nnode_id = \n" })[0]).toMatch(/^config\/quarkmq.toml: line 2, column \d+: /);
  });
});

test("every fault is listed at once, with source, name, value and what is allowed", () => {
  const file = `
nonsense = 1
defaults = 5
when = 1979-05-27
[log]
segment_bytes = "1 GB"
index_interval_bytes = 1.5
segment_byte = 3
[server]
max_connections = 0
[brokr]
`;
  const env = { QUARKMQ_NODE_ID: "-1", QUARKMQ_BINDD: "x", QUARKMQ_DATA_DIR: "" };
  expect(faultsOf({ file, env, args: ["--bind", "9092", "--nope", "stray", "--set", "log.segment.byte=1"] })).toEqual([
    "config/quarkmq.toml: nonsense = 1: unknown key",
    "config/quarkmq.toml: defaults = 5: must be a table: [defaults]",
    "config/quarkmq.toml: when = 1979-05-27: unknown key",
    'config/quarkmq.toml: log.segment_bytes = "1 GB": must be a whole number of bytes from 1024 to 2147483647',
    "config/quarkmq.toml: log.index_interval_bytes = 1.5: must be a whole number of bytes from 0 to 2147483647",
    "config/quarkmq.toml: log.segment_byte = 3: unknown key; did you mean log.segment_bytes?",
    "config/quarkmq.toml: server.max_connections = 0: must be a whole number from 1 to 2147483647",
    "config/quarkmq.toml: brokr = {}: unknown key; did you mean broker?",
    "environment: QUARKMQ_NODE_ID = -1: must be a whole number from 0 to 2147483647",
    "environment: QUARKMQ_BINDD = x: unknown variable; did you mean QUARKMQ_BIND?",
    'environment: QUARKMQ_DATA_DIR = "": must be a path',
    "command line: --nope: unknown flag",
    'command line: --bind = 9092: must be an address with a port from 0 to 65535, such as "127.0.0.1:9092", "[::]:9092" or "0.0.0.0:9092"',
    "command line: --set log.segment.byte = 1: unknown name; did you mean log.segment.bytes?",
  ]);
});

describe("Kafka's own names", () => {
  test("in the file, below [kafka], as text or typed, dotted or quoted", () => {
    const file = `
[kafka]
log.segment.bytes = 2000000
log.roll.hours = "1"
max.connections = 5
"max.connections.per.ip" = "4"
auto.create.topics.enable = false
listeners = "PLAINTEXT://localhost:9094"
log.message.timestamp.before.max.ms = 9223372036854775807
`;
    const { config, origins } = load({ file });
    expect(config).toMatchObject({
      logSegmentBytes: 2_000_000,
      logSegmentMs: 3_600_000,
      maxConnections: 5,
      maxConnectionsPerIp: 4,
      autoCreateTopicsEnable: false,
      bind: { host: "localhost", port: 9094 },
      messageTimestampBeforeMaxMs: LONG_MAX,
    });
    expect(origins.logSegmentMs).toEqual({ source: "file", name: "kafka.log.roll.hours" });
  });

  test("on the command line, with --set, as our own", () => {
    const { config } = load({ args: ["--set", "log.roll.ms=5", "--set", "broker.node_id=9", "--set", "num.partitions=2"] });
    expect([config.logSegmentMs, config.nodeId, config.numPartitions]).toEqual([5, 9, 2]);
  });

  test("name what is allowed in their notation", () => {
    const file = '[kafka]\nlisteners = "SSL://:9093"\nlog.dirs = "/a,/b"\nzookeeper.connect = "x"\n';
    expect(faultsOf({ file })).toEqual([
      expect.stringContaining('kafka.listeners = "SSL://:9093": must be one plaintext listener'),
      expect.stringContaining('kafka.log.dirs = "/a,/b": must be one path'),
      'config/quarkmq.toml: kafka.zookeeper.connect = "x": unknown key',
    ]);
  });

  test("set an option once in one file", () => {
    const file = "[broker]\nnode_id = 1\n[kafka]\nbroker.id = 1\n";
    expect(faultsOf({ file })).toEqual(["config/quarkmq.toml: kafka.broker.id = 1: sets the same as broker.node_id"]);
  });

  test("in the wrong place are told where they go", () => {
    expect(faultsOf({ file: '"log.segment.bytes" = 1\n' })).toEqual([
      "config/quarkmq.toml: log.segment.bytes = 1: Kafka's names go below [kafka]",
    ]);
  });
});

test("options that contradict each other are a fault, shown where one of them was set", () => {
  const args = ["--group-min-session-timeout-ms", "5000", "--group-max-session-timeout-ms", "4000"];
  expect(faultsOf({ args })).toEqual([
    "command line: group.min_session_timeout_ms = 5000: must not be above group.max_session_timeout_ms",
  ]);
});

test("retention is a time or no limit, in each of Kafka's units", () => {
  for (const [name, value, ms] of [
    ["log.retention.ms", "-1", -1],
    ["log.retention.hours", "-1", -1],
    ["log.retention.minutes", "30", 1_800_000],
  ] as const)
    expect(load({ args: ["--set", `${name}=${value}`] }).config.logRetentionMs).toBe(ms);
  expect(faultsOf({ args: ["--log-retention-ms", "0"] })).toEqual([
    "command line: log.retention_ms = 0: must be -1, for no limit, or at least 1",
  ]);
});

test("the coordinators' topics are not given segments that no topic may have", () => {
  // LogConfig: segment.bytes is at least 1 MiB (KIP-1030). With less they could not be made, and no group or transaction would work.
  const args = ["--set", "offsets.topic.segment.bytes=8192", "--set", "transaction.state.log.segment.bytes=1048575"];
  expect(faultsOf({ args }).map((fault) => fault.replace(/: must be .*/, ""))).toEqual([
    "command line: --set offsets.topic.segment.bytes = 8192",
    "command line: --set transaction.state.log.segment.bytes = 1048575",
  ]);
  const enough = ["--set", "offsets.topic.segment.bytes=1048576", "--set", "transaction.state.log.segment.bytes=1048576"];
  expect(faultsOf({ args: enough })).toEqual([]);
});

test("variables of Kubernetes and Docker links for a service called quarkmq are not options", () => {
  const env = {
    QUARKMQ_SERVICE_HOST: "10.0.0.1",
    QUARKMQ_SERVICE_PORT: "9092",
    QUARKMQ_SERVICE_PORT_KAFKA: "9092",
    QUARKMQ_PORT: "tcp://10.0.0.1:9092",
    QUARKMQ_PORT_9092_TCP: "tcp://10.0.0.1:9092",
    QUARKMQ_PORT_9092_TCP_ADDR: "10.0.0.1",
  };
  expect(faultsOf({ env })).toEqual([]);
  expect(faultsOf({ env: { QUARKMQ_PORT: "9092" } })).toEqual(["environment: QUARKMQ_PORT = 9092: unknown variable"]);
});

test("a relative data directory is one below the working directory", () => {
  expect(load({ args: ["--data-dir", "./data/"] }).config.dataDir).toBe(`${process.cwd()}/data`);
});

test("a configuration cannot be changed", () => {
  expect(() => Object.assign(load({}).config, { nodeId: 1 })).toThrow();
});

describe("Kafka's names that no option has", () => {
  test("are checked as Kafka does, and kept as they were written", () => {
    const file = `[kafka]\nnum.io.threads = 4\nsasl.login.refresh.window.factor = 0.5\n"ssl.client.auth" = " required "\n`;
    const { config } = load({ file, args: ["--set", "metric.reporters=a, b", "--set", "num.io.threads=5"] });
    expect([...config.kafka]).toEqual([
      ["num.io.threads", "5"],
      ["sasl.login.refresh.window.factor", "0.5"],
      ["ssl.client.auth", "required"],
      ["metric.reporters", "a, b"],
    ]);
    expect({ ...config, kafka: null as unknown }).toEqual({ ...defaultServerConfig(), kafka: null });
  });

  test("are refused in Kafka's words", () => {
    expect(
      faultsOf({ file: "[kafka]\nnum.io.threads = 0\nssl.client.auth = []\nnum.io.thread = 1\nbroker.rack.id = 1" }),
    ).toEqual([
      "config/quarkmq.toml: kafka.num.io.threads = 0: Invalid value 0 for configuration num.io.threads: Value must be at least 1",
      "config/quarkmq.toml: kafka.num.io.thread = 1: unknown key; did you mean kafka.num.io.threads?",
      "config/quarkmq.toml: kafka.ssl.client.auth = []: must be a text, a number, true or false",
      "config/quarkmq.toml: kafka.broker.rack.id = 1: unknown key; did you mean kafka.broker.rack?",
    ]);
  });

  test("reach the topics that they are the default of", () => {
    const { config } = load({ file: "[kafka]\nlog.flush.interval.messages = 7\nlog.preallocate = true" });
    const topic = effectiveTopicConfig(new Map(), config);
    expect([topic.flushMessages, topic.preallocate, topic.flushMs]).toEqual([7, true, LONG_MAX]);
  });
});

test("what an option has by Kafka's name is told as it was written, until the option is set by another name", () => {
  const file = `[kafka]\nlog.roll.hours = 24\nlisteners = "PLAINTEXT://localhost:1"\n`;
  expect([...load({ file }).config.kafka]).toEqual([
    ["log.roll.hours", "24"],
    ["listeners", "PLAINTEXT://localhost:1"],
  ]);
  const { config } = load({ file, args: ["--set", "log.roll.ms=5", "--bind", "localhost:2"] });
  expect([[...config.kafka], config.logSegmentMs, config.bind.port]).toEqual([[["log.roll.ms", "5"]], 5, 2]);
});

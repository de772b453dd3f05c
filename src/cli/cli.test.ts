import { describe, expect, test } from "bun:test";
import { parseArguments } from "../config/arguments.ts";
import { loadServerConfig } from "../config/load.ts";
import { allServerOptions } from "../config/server-options.ts";
import { configJson, configTable } from "./config.ts";
import { helpText } from "./help.ts";
import { changedOptions, startFault } from "./serve.ts";

const loaded = loadServerConfig({
  arguments: parseArguments(["--bind", "127.0.0.1:9093"]),
  env: { QUARKMQ_DATA_DIR: "/data" },
  readText: () => "[broker]\nnode_id = 7\n[kafka]\nnum.partitions = 3\n",
});

describe("quarkmq config", () => {
  test("prints every option once, with its value and where that came from", () => {
    const lines = configTable(loaded).trimEnd().split("\n");
    expect(lines).toHaveLength(allServerOptions.length);
    const line = (key: string) => lines.find((each) => each.startsWith(`${key} `))!.split(/ {2,}/);
    expect(line("broker.node_id")).toEqual(["broker.node_id", "7", "config/quarkmq.toml: broker.node_id"]);
    expect(line("broker.data_dir")).toEqual(["broker.data_dir", "/data", "environment: QUARKMQ_DATA_DIR"]);
    expect(line("server.bind")).toEqual(["server.bind", "127.0.0.1:9093", "command line: --bind"]);
    expect(line("defaults.num_partitions")).toEqual([
      "defaults.num_partitions",
      "3",
      "config/quarkmq.toml: kafka.num.partitions",
    ]);
    expect(line("server.advertised")).toEqual(["server.advertised", '""', "default"]);
  });

  test("prints JSON for machines", () => {
    const { configPath, options } = JSON.parse(configJson(loaded));
    expect(configPath).toBe("config/quarkmq.toml");
    expect(options["server.bind"]).toEqual({ value: "127.0.0.1:9093", source: "command line", name: "--bind" });
    expect(options["defaults.message_timestamp_before_max_ms"].value).toBe("9223372036854775807");
    expect(Object.keys(options)).toHaveLength(allServerOptions.length);
  });
});

test("the help names every flag, variable, key and Kafka name, in lines that fit", () => {
  const text = helpText("1.2.3");
  const flowing = text.replace(/\s+/g, " ");
  for (const { flag, env, key, kafka } of allServerOptions)
    for (const name of [`${flag} `, `[env: ${env}]`, `[${key}]`, ...kafka.map((each) => each.name)])
      expect(flowing).toContain(name);
  expect(text.split("\n").filter((line) => line.length > 110)).toEqual([]);
});

describe("a start that fails is told in one line", () => {
  const listenFault = (code: string) => Object.assign(new Error("Failed to listen"), { code, syscall: "listen" });

  test("with the address that it could not have", () => {
    expect(startFault(listenFault("EADDRINUSE"), loaded.config)).toBe(
      "cannot listen on 127.0.0.1:9093: the port is in use; is a broker running already?",
    );
    expect(startFault(listenFault("EWHATEVER"), loaded.config)).toBe("cannot listen on 127.0.0.1:9093: Failed to listen");
  });

  test("with the system's codes in words", () => {
    expect(startFault(new Error("mkdir /data: EACCES"), loaded.config)).toBe("mkdir /data: permission denied (EACCES)");
    expect(startFault(new Error("EIO on /data/EACCESS"), loaded.config)).toBe("EIO on /data/EACCESS");
  });
});

test("the start-up line shows the options that someone set", () => {
  expect(changedOptions(loaded)).toEqual({
    "broker.node_id": "7",
    "broker.data_dir": "/data",
    "server.bind": "127.0.0.1:9093",
    "defaults.num_partitions": "3",
  });
});

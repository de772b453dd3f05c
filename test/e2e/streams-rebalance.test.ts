/**
 * A Kafka Streams application (at-least-once): a count over a repartition topic with a changelog, whose instances come and go; then
 * kafka-streams-application-reset.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { type Driver, franzGo } from "../support/driver.ts";
import { cache, kafkaBin } from "../support/paths.ts";
import { startTarget, type Target } from "../support/target.ts";
import { cleanEnvironment, toolOk } from "../support/tools.ts";
import { lines } from "../support/tools-jvm.ts";
import { until } from "../support/until.ts";

const PARTITIONS = 4;
/** One for the words and one for their counts, for each partition. */
const TASKS = 2 * PARTITIONS;
const WORDS = ["ash", "birch", "cedar", "elm", "fir", "oak", "pine", "rowan"];

let target: Target;
let client: Driver;
let app: Bun.Subprocess<"pipe", "pipe", Bun.BunFile>;
let answers: AsyncGenerator<string, void>;

beforeAll(async () => {
  target = await startTarget();
  client = franzGo.start(target.bootstrap);
  await client.createTopic("words", PARTITIONS);
  await client.createTopic("counts", 1);
  app = Bun.spawn([join(kafkaBin, "kafka-run-class.sh"), "StreamsApp", target.bootstrap, join(target.home, "streams")], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: Bun.file(join(target.home, "streams.log")),
    env: { ...cleanEnvironment(), QUARKMQ_TEST_CACHE: cache },
  });
  answers = lines(app.stdout);
});
afterAll(async () => {
  app?.kill("SIGKILL");
  await client?.close();
  await target?.destroy();
});

/** Gives the instance's state and its number of active tasks. */
async function tell(command: string): Promise<{ state: string; tasks: number }> {
  app.stdin.write(`${command}\n`);
  app.stdin.flush();
  const { value } = await answers.next();
  const [state, tasks] = (value ?? "GONE 0").split(" ");
  return { state: state!, tasks: Number(tasks) };
}

const share = (name: string, tasks: number) =>
  until(
    `${name} to have ${tasks} tasks`,
    async () => {
      const told = await tell(`state ${name}`);
      return told.state === "RUNNING" && told.tasks === tasks;
    },
    { timeoutMs: 60_000, everyMs: 200 },
  );

let rounds = 0;
/** So often each word. */
async function write(times: number): Promise<void> {
  const records = Array.from({ length: times }, (_, i) => WORDS.map((value, w) => ({ partition: (i + w) % PARTITIONS, value })));
  await client.produce("words", records.flat());
  rounds += times;
}

/** The last count of every word is how often it was written. */
async function counted(): Promise<void> {
  await until(
    `each word to be counted ${rounds} times`,
    async () => {
      const { 0: end } = await client.offsets("counts", 1, "latest");
      const read = await client.read("counts", { 0: 0 }, { 0: end! });
      const last = new Map(read.map(({ key, value }) => [String(key), String(value)]));
      return WORDS.every((word) => last.get(word) === String(rounds));
    },
    { timeoutMs: 60_000, everyMs: 200 },
  );
}

test("one instance has all tasks, two share them, and what one leaves the other goes on with", async () => {
  await write(20);
  await tell("start first");
  await share("first", TASKS);
  await counted();
  await tell("start second");
  await until(
    "both to share the tasks",
    async () => {
      const [first, second] = [await tell("state first"), await tell("state second")];
      return (
        [first, second].every(({ state, tasks }) => state === "RUNNING" && tasks > 0) && first.tasks + second.tasks === TASKS
      );
    },
    { timeoutMs: 60_000, everyMs: 200 },
  );
  await write(20);
  await counted();
  await tell("close first");
  await write(20);
  await share("second", TASKS);
  await counted();
}, 120_000);

test("a crash of the broker loses none of it", async () => {
  await write(20);
  await target.kill();
  await target.start();
  await write(20);
  await counted();
}, 90_000);

test("kafka-streams-application-reset begins anew once nobody runs", async () => {
  await tell("close second");
  const args = ["--bootstrap-server", target.bootstrap, "--application-id", "word-count", "--input-topics", "words"];
  const said = await toolOk("kafka-streams-application-reset.sh", [...args, "--force"]);
  expect(said).toContain("Following input topics offsets will be reset to (for consumer group word-count)");
  expect(said).toContain("word-count-count-changelog");
  const described = await toolOk("kafka-consumer-groups.sh", [
    "--bootstrap-server",
    target.bootstrap,
    "--describe",
    "--group",
    "word-count",
  ]);
  const committed = described.split("\n").flatMap((line) => /^word-count +words +\d+ +(\d+) /.exec(line)?.[1] ?? []);
  expect(committed).toEqual(Array(PARTITIONS).fill("0"));
}, 60_000);

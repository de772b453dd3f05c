"""The librdkafka driver: carries out the commands of test/support/driver.ts (see test/README.md, "Drivers")
with Debian's python3-confluent-kafka, which is librdkafka underneath."""

import base64
import concurrent.futures
import json
import queue
import sys
import threading
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic

BASE = {
    "bootstrap.servers": sys.argv[1],
    "client.id": "librdkafka-driver",
    "reconnect.backoff.ms": 50,
    "reconnect.backoff.max.ms": 500,
    "topic.metadata.refresh.fast.interval.ms": 100,
    "log_level": 0,
}
CODECS = {}


def text(raw):
    return None if raw is None else base64.b64encode(raw).decode()


def raw(base64_text):
    return None if base64_text is None else base64.b64decode(base64_text)


def record_of(m):
    return {
        "partition": m.partition(),
        "offset": m.offset(),
        "timestampMs": m.timestamp()[1],
        "key": text(m.key()),
        "value": text(m.value()),
        "headers": [[name, text(value)] for name, value in m.headers() or []],
    }


def create_topic(q):
    admin = AdminClient(BASE)
    topic = NewTopic(q["topic"], num_partitions=q["partitions"], replication_factor=1, config=q.get("configs") or {})
    admin.create_topics([topic])[q["topic"]].result(timeout=20)


def topic_config(q):
    resource = ConfigResource(ConfigResource.Type.TOPIC, q["topic"])
    admin = AdminClient(BASE)
    entries = admin.describe_configs([resource])[resource].result(timeout=20)
    return {"value": entries[q["name"]].value}


def set_topic_config(q):
    # Replaces all: the version of librdkafka that Debian has knows AlterConfigs only.
    resource = ConfigResource(ConfigResource.Type.TOPIC, q["topic"], set_config={q["name"]: q["value"]})
    admin = AdminClient(BASE)
    admin.alter_configs([resource])[resource].result(timeout=20)


def administer(q):
    """All that this version of it can: more partitions."""
    admin = AdminClient(BASE)
    admin.create_partitions([NewPartitions(q["topic"], q["partitions"])])[q["topic"]].result(timeout=20)
    return {}


def producer(codec):
    if codec not in CODECS:
        # The hash is Kafka's own, as that of the other clients; librdkafka's default differs (CRC32).
        CODECS[codec] = Producer(
            {
                **BASE,
                "compression.codec": codec,
                "message.max.bytes": 8 << 20,
                "partitioner": "murmur2_random",
                "linger.ms": 5,
                "enable.idempotence": True,  # without it a retry can reorder
            }
        )
    return CODECS[codec]


def produce(q):
    p = producer(q["codec"])
    placed = [None] * len(q["records"])
    faults = []

    def delivered(i):
        def note(error, m):
            if error is None:
                placed[i] = {"partition": m.partition(), "offset": m.offset()}
            else:
                faults.append(error.str() + " " + error.name())

        return note

    for i, r in enumerate(q["records"]):
        more = {}
        if r["partition"] is not None:
            more["partition"] = r["partition"]
        if r["timestampMs"] is not None:
            more["timestamp"] = r["timestampMs"]
        headers = [(name, raw(value)) for name, value in r["headers"]]
        p.produce(q["topic"], value=raw(r["value"]), key=raw(r["key"]), headers=headers, on_delivery=delivered(i), **more)
    p.flush(q["timeoutMs"] / 1000)
    if faults:
        raise RuntimeError("; ".join(faults))
    return {"placed": placed}


def reader(**more):
    return Consumer(
        {
            **BASE,
            "group.id": "unused",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": 100,
            "max.partition.fetch.bytes": 4 << 20,
            **more,
        }
    )


def read(q):
    left = {int(p): q["to"][p] for p, at in q["from"].items() if q["to"][p] > at}
    consumer = reader()
    consumer.assign([TopicPartition(q["topic"], p, q["from"][str(p)]) for p in left])
    records = []
    deadline = time.monotonic() + q["timeoutMs"] / 1000
    while left:
        if time.monotonic() > deadline:
            raise RuntimeError(f"still wanted: {left}")
        for m in consumer.consume(1000, 0.1):
            if m.error():
                raise KafkaException(m.error())
            end = left.get(m.partition())
            if end is not None and m.offset() < end:
                records.append(record_of(m))
            if end is not None and m.offset() >= end - 1:
                del left[m.partition()]
    consumer.close()
    return {"records": records}


TRANSACTIONAL = {}


def transact(q):
    key = (q["transactionalId"], q["instance"])
    if key not in TRANSACTIONAL:
        p = Producer({**BASE, "transactional.id": q["transactionalId"], "transaction.timeout.ms": 10000, "linger.ms": 0})
        p.init_transactions(20)
        TRANSACTIONAL[key] = p
    p = TRANSACTIONAL[key]
    p.begin_transaction()
    for partition, value in q["values"]:
        p.produce(q["topic"], value=value.encode(), partition=partition)
    p.flush(10)
    if q["offsets"]:
        group = Consumer({**BASE, "group.id": q["offsets"]["group"]})
        committed = [TopicPartition(q["topic"], 0, q["offsets"]["offset"])]
        p.send_offsets_to_transaction(committed, group.consumer_group_metadata(), 20)
        group.close()
    if q["ends"] == "commit":
        p.commit_transaction(20)
    elif q["ends"] == "abort":
        p.abort_transaction(20)


def committed(q):
    consumer = reader(**{"isolation.level": "read_committed"})
    consumer.assign([TopicPartition(q["topic"], p, 0) for p in range(q["partitions"])])
    records = []
    deadline = time.monotonic() + q["timeoutMs"] / 1000
    quiet = time.monotonic() + 1
    while time.monotonic() < deadline and (len(records) < q["count"] or time.monotonic() < quiet):
        for m in consumer.consume(1000, 0.1):
            if m.error():
                raise KafkaException(m.error())
            records.append(record_of(m))
            quiet = time.monotonic() + 1
    consumer.close()
    return {"records": records}


def offsets(q):
    consumer = reader()
    partitions = consumer.list_topics(q["topic"], timeout=10).topics[q["topic"]].partitions
    out = {}
    for p in partitions:
        if isinstance(q["at"], int):
            out[p] = consumer.offsets_for_times([TopicPartition(q["topic"], p, q["at"])], timeout=10)[0].offset
        else:
            low, high = consumer.get_watermark_offsets(TopicPartition(q["topic"], p), timeout=10)
            out[p] = low if q["at"] == "earliest" else high
    consumer.close()
    return {"offsets": out}


# By the consumer protocol the broker says the times. Debian's librdkafka does not know the option.
BY_CONSUMER = {"group.protocol": "consumer"}


def by_classic(q):
    strategy = {"partition.assignment.strategy": "roundrobin"} if q.get("roundRobin") else {}
    return {"session.timeout.ms": q["sessionTimeoutMs"], "heartbeat.interval.ms": 500, **strategy}


class Member:
    """This process's one group member: polls in a thread of its own until it leaves."""

    def __init__(self, q):
        self.lock = threading.Lock()
        self.owned = set()
        self.records = []
        self.next = {}
        self.fault = ""
        self.running = True
        self.commits = queue.SimpleQueue()
        self.topic = q["topic"]
        self.consumer = reader(
            **{
                "group.id": q["group"],
                "auto.offset.reset": "earliest",
                **(BY_CONSUMER if q.get("protocol") == "consumer" else by_classic(q)),
            }
        )
        self.consumer.subscribe([q["topic"]], on_assign=self.assigned, on_revoke=self.revoked)
        self.thread = threading.Thread(target=self.poll, daemon=True)
        self.thread.start()

    def assigned(self, _, partitions):
        self.owned |= {p.partition for p in partitions}

    def revoked(self, _, partitions):
        self.owned -= {p.partition for p in partitions}

    def poll(self):
        while self.running:
            self.commit_when_asked()
            for m in self.consumer.consume(1000, 0.05):
                with self.lock:
                    if m.error():
                        if m.error().code() != KafkaError._TRANSPORT:
                            self.fault = str(m.error())
                        continue
                    self.records.append(record_of(m))
                    self.next[m.partition()] = m.offset() + 1

    def state(self):
        with self.lock:
            return {"partitions": sorted(self.owned), "records": list(self.records), "fault": self.fault}

    # Only the thread that polls touches the consumer: newer versions let nobody else in while it does.
    def commit(self):
        done = concurrent.futures.Future()
        self.commits.put(done)
        done.result(20)

    def commit_when_asked(self):
        if self.commits.empty():
            return
        done = self.commits.get()
        try:
            with self.lock:
                mine = [TopicPartition(self.topic, p, o) for p, o in self.next.items() if p in self.owned]
            for p in self.consumer.commit(offsets=mine, asynchronous=False):
                if p.error:
                    raise KafkaException(p.error)
            done.set_result(None)
        except Exception as error:  # goes to the test that asked
            done.set_exception(error)

    def leave(self):
        self.running = False
        self.thread.join()
        self.consumer.close()


class Stream:
    """The continuous load: idempotent, acks=all, numbered per partition, about 1,000 records a second."""

    def __init__(self, q):
        self.topic = q["topic"]
        self.partitions = q["partitions"]
        self.acked = []
        self.failed = []
        self.sent = 0
        self.running = True
        self.producer = Producer({**BASE, "enable.idempotence": True, "linger.ms": 1, "retry.backoff.ms": 50, "message.timeout.ms": 60000})
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        n = 0
        while self.running:
            for p in range(self.partitions):
                self.producer.produce(self.topic, value=f"{p}:{n}".encode(), partition=p, on_delivery=self.noting(p, n))
                self.sent += 1
            n += 1
            self.producer.poll(0)
            time.sleep(self.partitions / 1000)

    def noting(self, p, n):
        def note(error, m):
            if error is None:
                self.acked.append([p, n, m.offset()])
            else:
                self.failed.append(error.str())

        return note

    def status(self):
        return {"sent": self.sent, "acked": len(self.acked), "failed": len(self.failed)}

    def stop(self, timeout_s):
        self.running = False
        self.thread.join()
        self.producer.flush(timeout_s)
        return {"sent": self.sent, "acked": self.acked, "failed": self.failed}


class Driver:
    def __init__(self):
        self.member = None
        self.stream = None

    def execute(self, q):
        op = q["op"]
        if op == "createTopic":
            return create_topic(q)
        if op == "topicConfig":
            return topic_config(q)
        if op == "setTopicConfig":
            return set_topic_config(q)
        if op == "administer":
            return administer(q)
        if op == "produce":
            return produce(q)
        if op == "read":
            return read(q)
        if op == "offsets":
            return offsets(q)
        if op == "join":
            self.member = Member(q)
            return None
        if op == "transact":
            return transact(q)
        if op == "committed":
            return committed(q)
        if op == "member":
            return self.member.state()
        if op == "commit":
            return self.member.commit()
        if op == "leave":
            return self.member.leave()
        if op == "streamStart":
            self.stream = Stream(q)
            return None
        if op == "streamStatus":
            return self.stream.status()
        if op == "streamStop":
            return self.stream.stop(q["timeoutMs"] / 1000)
        raise RuntimeError("unknown op " + op)


def main():
    driver = Driver()
    for line in sys.stdin:
        q = {"timeoutMs": 30000, **json.loads(line)}
        reply = {"id": q["id"], "result": None}
        try:
            reply["result"] = driver.execute(q)
        except Exception as error:  # every fault goes to the test that asked
            reply["error"] = f"{type(error).__name__}: {error}"
        print(json.dumps(reply), flush=True)


main()

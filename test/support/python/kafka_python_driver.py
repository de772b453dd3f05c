"""The kafka-python driver: carries out what the cross matrix of codecs asks of test/support/driver.ts, with Debian's python3-kafka: a
client of 2020 that is written in Python alone and speaks versions of the protocol that no other client here does."""

import base64
import json
import sys
import time

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

BOOTSTRAP = sys.argv[1]
PRODUCERS = {}


def text(raw):
    return None if raw is None else base64.b64encode(raw).decode()


def raw(base64_text):
    return None if base64_text is None else base64.b64decode(base64_text)


def create_topic(q):
    admin = KafkaAdminClient(bootstrap_servers=BOOTSTRAP)
    admin.create_topics([NewTopic(q["topic"], q["partitions"], 1, topic_configs=q.get("configs") or {})])
    admin.close()


def produce(q):
    codec = None if q["codec"] == "none" else q["codec"]
    if codec not in PRODUCERS:
        PRODUCERS[codec] = KafkaProducer(
            bootstrap_servers=BOOTSTRAP, compression_type=codec, acks="all", linger_ms=20, batch_size=1 << 20, max_request_size=8 << 20
        )
    producer = PRODUCERS[codec]
    sent = [
        producer.send(
            q["topic"],
            value=raw(r["value"]),
            key=raw(r["key"]),
            headers=[(name, raw(value)) for name, value in r["headers"]],
            partition=r["partition"],
            timestamp_ms=r["timestampMs"],
        )
        for r in q["records"]
    ]
    producer.flush()
    placed = [future.get(timeout=q["timeoutMs"] / 1000) for future in sent]
    return {"placed": [{"partition": at.partition, "offset": at.offset} for at in placed]}


def read(q):
    left = {int(p): q["to"][p] for p, at in q["from"].items() if q["to"][p] > at}
    consumer = KafkaConsumer(bootstrap_servers=BOOTSTRAP, enable_auto_commit=False, fetch_max_wait_ms=100)
    consumer.assign([TopicPartition(q["topic"], p) for p in left])
    for p in left:
        consumer.seek(TopicPartition(q["topic"], p), q["from"][str(p)])
    records = []
    deadline = time.monotonic() + q["timeoutMs"] / 1000
    while left:
        if time.monotonic() > deadline:
            raise RuntimeError(f"still wanted: {left}")
        for at, batch in consumer.poll(timeout_ms=100).items():
            for m in batch:
                if m.offset >= left.get(at.partition, 0):
                    continue
                headers = [[name, text(value)] for name, value in m.headers]
                place = {"partition": m.partition, "offset": m.offset, "timestampMs": m.timestamp}
                records.append({**place, "key": text(m.key), "value": text(m.value), "headers": headers})
                if m.offset == left[at.partition] - 1:
                    del left[at.partition]
    consumer.close()
    return {"records": records}


def offsets(q):
    consumer = KafkaConsumer(bootstrap_servers=BOOTSTRAP)
    all_of_them = [TopicPartition(q["topic"], p) for p in range(q["partitions"])]
    if isinstance(q["at"], int):
        found = {at: -1 if o is None else o.offset for at, o in consumer.offsets_for_times({at: q["at"] for at in all_of_them}).items()}
    else:
        found = consumer.beginning_offsets(all_of_them) if q["at"] == "earliest" else consumer.end_offsets(all_of_them)
    consumer.close()
    return {"offsets": {at.partition: offset for at, offset in found.items()}}


def main():
    operations = {"createTopic": create_topic, "produce": produce, "read": read, "offsets": offsets}
    for line in sys.stdin:
        q = {"timeoutMs": 30000, **json.loads(line)}
        reply = {"id": q["id"], "result": None}
        try:
            reply["result"] = operations[q["op"]](q)
        except Exception as error:  # every fault goes to the test that asked
            reply["error"] = f"{type(error).__name__}: {error}"
        print(json.dumps(reply), flush=True)


main()

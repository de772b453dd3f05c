"""A member by the newest kafka-python: a member of a group, as test/support/driver.ts asks for it (see test/README.md, "Drivers"). Its second
argument is where test/support/install.mjs put the package."""

import base64
import json
import sys
import threading

sys.path.insert(0, sys.argv[2])

from kafka import ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata, TopicPartition  # noqa: E402
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor  # noqa: E402


def text(raw):
    return None if raw is None else base64.b64encode(raw).decode()


class Member(ConsumerRebalanceListener):
    """Polls in a thread of its own, the only one that touches the consumer, until it leaves."""

    def __init__(self, q):
        self.lock = threading.Lock()
        self.owned = set()
        self.records = []
        self.next = {}
        self.fault = ""
        self.running = True
        self.asked = []
        self.topic = q["topic"]
        self.consumer = KafkaConsumer(
            bootstrap_servers=sys.argv[1],
            group_id=q["group"],
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            session_timeout_ms=q["sessionTimeoutMs"],
            heartbeat_interval_ms=500,
            partition_assignment_strategy=[RoundRobinPartitionAssignor],
        )
        self.consumer.subscribe([self.topic], listener=self)
        self.thread = threading.Thread(target=self.poll, daemon=True)
        self.thread.start()

    def on_partitions_assigned(self, assigned):
        with self.lock:
            self.owned |= {p.partition for p in assigned}

    def on_partitions_revoked(self, revoked):
        with self.lock:
            for p in revoked:
                self.owned.discard(p.partition)
                self.next.pop(p.partition, None)

    def poll(self):
        while self.running:
            try:
                batches = self.consumer.poll(timeout_ms=50)
                with self.lock:
                    for m in (m for batch in batches.values() for m in batch):
                        headers = [[name, text(value)] for name, value in m.headers]
                        self.records.append(
                            {
                                "partition": m.partition,
                                "offset": m.offset,
                                "timestampMs": m.timestamp,
                                "key": text(m.key),
                                "value": text(m.value),
                                "headers": headers,
                            }
                        )
                        self.next[m.partition] = m.offset + 1
                self.commit_when_asked()
            except Exception as error:
                self.fault = f"{type(error).__name__}: {error}"
        self.consumer.close(autocommit=False)

    def commit_when_asked(self):
        while self.asked:
            outcome = self.asked.pop()
            try:
                offsets = {TopicPartition(self.topic, p): OffsetAndMetadata(o, "", -1) for p, o in self.next.items()}
                self.consumer.commit(offsets)
            except Exception as error:
                outcome["error"] = error
            outcome["done"].set()

    def state(self):
        with self.lock:
            return {"partitions": sorted(self.owned), "records": list(self.records), "fault": self.fault}

    def commit(self):
        outcome = {"done": threading.Event()}
        self.asked.append(outcome)
        if not outcome["done"].wait(20):
            raise TimeoutError("the commit is not done")
        if "error" in outcome:
            raise outcome["error"]

    def leave(self):
        self.running = False
        self.thread.join()


def main():
    member = None
    for line in sys.stdin:
        q = json.loads(line)
        reply = {"id": q["id"], "result": None}
        try:
            if q["op"] == "join":
                member = Member(q)
            else:
                operations = {"member": member.state, "commit": member.commit, "leave": member.leave}
                reply["result"] = operations[q["op"]]()
        except Exception as error:  # every fault goes to the test that asked
            reply["error"] = f"{type(error).__name__}: {error}"
        print(json.dumps(reply), flush=True)


main()

"""The driver of the newest kafka-python: what its admin client can do (see test/README.md, "Drivers"). Debian's is six years older."""

import json
import sys

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient


def error_name(error):
    return getattr(error, "message", None) or getattr(error, "__name__", str(error))


def administer(admin, q):
    """Gives a topic more partitions, and asks for all that the client can about its first one."""
    topic, first = q["topic"], TopicPartition(q["topic"], 0)
    admin.create_partitions({topic: q["partitions"]})
    directories = admin.describe_log_dirs({topic: [0]})
    sizes = [
        partition["partition_size"]
        for broker in directories
        for directory in broker.get("log_dirs", broker.get("results", []))
        for described in directory["topics"]
        for partition in described["partitions"]
    ]
    elected = admin.elect_leaders(0, {topic: [0]}, raise_errors=False)
    cancelled = admin.alter_partition_reassignments({first: None})
    quorum = admin.describe_metadata_quorum()
    features = admin.describe_features()
    producers = admin.describe_producers([first])
    newest = admin.list_partition_offsets({first: -3})
    return {
        "logDirBytes": sum(sizes),
        "election": elected.replica_election_results[0].partition_result[0].error_code,
        "cancelled": error_name(cancelled[first]),
        "quorumLeader": quorum["topics"][0]["partitions"][0]["leader_id"],
        "features": sorted(name for name, levels in features.items() if "finalized" in levels),
        "lastSequences": [producer.last_sequence for producer in producers[first].active_producers],
        "maxTimestampOffset": newest[first].offset,
    }


def main():
    admin = KafkaAdminClient(bootstrap_servers=sys.argv[1])
    for line in sys.stdin:
        q = json.loads(line)
        reply = {"id": q["id"], "result": None}
        try:
            if q["op"] != "administer":
                raise RuntimeError("unknown op " + q["op"])
            reply["result"] = administer(admin, q)
        except Exception as error:  # every fault goes to the test that asked
            reply["error"] = f"{type(error).__name__}: {error}"
        print(json.dumps(reply), flush=True)


main()

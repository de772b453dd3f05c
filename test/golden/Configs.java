/*
 * Writes what Kafka's own classes say of every config: its type, default, update mode, whether it is internal, its names for the
 * whole server, and what becomes of many texts: [text, the value as Kafka writes it or null, the message of the refusal or null].
 * One line per scope and name; then one per set of configs for a topic, group or subscription, with what Kafka says of the whole.
 * Packed with gzip. See README.md.
 */
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.zip.GZIPOutputStream;
import org.apache.kafka.common.config.AbstractConfig;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.config.ConfigException;
import org.apache.kafka.coordinator.group.GroupConfig;
import org.apache.kafka.coordinator.group.GroupCoordinatorConfig;
import org.apache.kafka.coordinator.group.modern.share.ShareGroupConfig;
import org.apache.kafka.server.config.AbstractKafkaConfig;
import org.apache.kafka.server.config.DynamicBrokerConfig;
import org.apache.kafka.server.config.DynamicConfig;
import org.apache.kafka.server.config.ServerTopicConfigSynonyms;
import org.apache.kafka.server.metrics.ClientMetricsConfigs;
import org.apache.kafka.storage.internals.log.LogConfig;

public final class Configs {
    /** Values at the edges of all types and of the limits that Kafka's configs have. */
    private static final String[] TEXTS = {
        "", " ", "true", " True ", "yes", "-1", "-2", "-3", "0", "1", "2", "3", "4", "5", "9", "10", "11", "17", "18", "22", "23", "25", "26",
        "99", "100", "200", "500", "501", "999", "1000", "1001", "2000", "9999", "10000", "10001", "30000", "32767", "32768", "60000",
        "86400", "86401", "524287", "524288", "1048575", "1048576", "3600000", "3600001", "8388607", "8388608", "-131072", "-131073", "2147483647", "2147483648",
        "9223372036854775807", "9223372036854775808", " +7 ", "007", "0.5", "1e3", "-.5", "1.5E-7", "12345678.9", "NaN?", "a", "A", "a,b", "a, a ,b", "a,,b", ",",
        "delete", "compact,delete", "delete,delete", "producer", "gzip", "GZIP", "CreateTime", "LogAppendTime", "broker", "broker,controller", "consumer,classic",
        "none", "required", "PLAINTEXT", "es256", "upgrade", "0:1", "0:1,1:2", "*", "*,0:1", "0:x", "earliest", "latest", "LATEST", "by_duration:PT1H",
        "by_duration:-PT1H", "by_duration:x", "read_committed", "READ_COMMITTED",
    };

    /** name=value pairs: what a topic, a group, a subscription is to have in all. */
    private static final Map<String, String[]> SETS = Map.of(
        "topic", new String[] {
            "", "no.such=1", "retention.ms=1|no.such=1", "min.compaction.lag.ms=2|max.compaction.lag.ms=1", "min.compaction.lag.ms=1|max.compaction.lag.ms=1",
            "remote.storage.enable=true", "remote.storage.enable=true|cleanup.policy=compact", "remote.storage.enable=false|remote.log.delete.on.disable=true",
            "cleanup.policy=compact|remote.log.copy.disable=true", "cleanup.policy=delete,delete", "cleanup.policy=", "retention.ms=10|local.retention.ms=20",
            "segment.bytes=1000|min.compaction.lag.ms=2|max.compaction.lag.ms=1", "retention.ms=abc", "compression.type=gzip|compression.gzip.level=0",
        },
        "group", new String[] {
            "", "no.such=1", "consumer.session.timeout.ms=44999", "consumer.session.timeout.ms=45000", "consumer.session.timeout.ms=60001",
            "consumer.heartbeat.interval.ms=4999", "consumer.heartbeat.interval.ms=15000", "consumer.heartbeat.interval.ms=15001", "consumer.assignment.interval.ms=15001",
            "consumer.assignment.interval.ms=0", "share.session.timeout.ms=1", "share.heartbeat.interval.ms=1", "share.record.lock.duration.ms=14999",
            "share.record.lock.duration.ms=60001", "share.delivery.count.limit=11", "share.partition.max.record.locks=4001", "streams.num.standby.replicas=2",
            "streams.num.standby.replicas=3", "streams.task.offset.interval.ms=14999", "streams.num.warmup.replicas=21", "streams.assignor.name=sticky",
            "streams.assignor.name=other", "streams.rack.aware.assignment.tags=a,b,a", "streams.rack.aware.assignment.tags=a, b", "streams.rack.aware.assignment.tags=",
            "errors.deadletterqueue.topic.name=__x", "errors.deadletterqueue.topic.name=x", "consumer.session.timeout.ms=abc", "consumer.session.timeout.ms=0",
            "consumer.session.timeout.ms=50000|consumer.heartbeat.interval.ms=6000", "streams.session.timeout.ms=1|streams.heartbeat.interval.ms=1",
        },
        "client-metrics", new String[] {
            "", "no.such=1", "interval.ms=99", "interval.ms=100", "interval.ms=3600000", "interval.ms=3600001", "interval.ms=x", "metrics=a,b", "metrics=*",
            "match=client_id=a.*", "match=client_id=a,client_software_name=Java", "match=client_id", "match=client_id=a=b", "match=nobody=a", "match=client_id=", "match=client_id=[",
            "match= client_id = a ", "match==",
        });

    /** As AbstractKafkaConfig makes it of a broker without configuration. */
    private static final AbstractConfig SERVER =
        new AbstractConfig(AbstractKafkaConfig.CONFIG_DEF, Map.of("process.roles", "broker", "node.id", "1", "controller.listener.names", "C"), false);

    private static void check(String scope, Map<String, String> configs) {
        switch (scope) {
            case "topic" -> {
                Map<String, Object> defaults = new TreeMap<>();
                LogConfig.configDefCopy().defaultValues().forEach((name, value) -> { if (value != null) defaults.put(name, value); });
                LogConfig.validate(Map.of(), configs, defaults, false);
            }
            case "group" -> GroupConfig.validate(configs, new GroupCoordinatorConfig(SERVER), new ShareGroupConfig(SERVER));
            default -> ClientMetricsConfigs.validate("subscription", configs);
        }
    }

    private static void writeSets(StringBuilder out) {
        for (String scope : new String[] {"topic", "group", "client-metrics"}) {
            for (String set : SETS.get(scope)) {
                Map<String, String> configs = new LinkedHashMap<>();
                List<String> pairs = new ArrayList<>();
                if (!set.isEmpty()) {
                    for (String pair : set.split("\\|")) {
                        String[] both = pair.split("=", 2);
                        configs.put(both[0], both[1]);
                        pairs.add("[" + json(both[0]) + "," + json(both[1]) + "]");
                    }
                }
                String error = null;
                String message = null;
                try {
                    check(scope, configs);
                } catch (RuntimeException e) {
                    error = e.getClass().getSimpleName();
                    message = e.getMessage();
                }
                out.append("{\"set\":").append(json(scope)).append(",\"configs\":[").append(String.join(",", pairs)).append("],\"error\":")
                    .append(json(error)).append(",\"message\":").append(json(message)).append("}\n");
            }
        }
    }

    private static String json(Object value) {
        if (value == null) return "null";
        StringBuilder out = new StringBuilder("\"");
        for (char c : value.toString().toCharArray()) {
            if (c == '"' || c == '\\') out.append('\\').append(c);
            else if (c < 32) out.append(String.format("\\u%04x", (int) c));
            else out.append(c);
        }
        return out.append('"').toString();
    }

    private static String outcome(ConfigDef.ConfigKey key, String text) {
        try {
            Object value = new ConfigDef().define(key).parse(Map.of(key.name, text)).get(key.name);
            return "[" + json(text) + "," + json(key.type == ConfigDef.Type.PASSWORD ? text.trim() : ConfigDef.convertToString(value, key.type)) + ",null]";
        } catch (ConfigException e) {
            return "[" + json(text) + ",null," + json(e.getMessage()) + "]";
        }
    }

    private static void write(StringBuilder out, String scope, ConfigDef def, String updateMode, Map<String, String> modes, Map<String, String> servers) {
        for (ConfigDef.ConfigKey key : def.configKeys().values()) {
            List<String> cases = new ArrayList<>();
            if (key.type != ConfigDef.Type.CLASS) for (String text : TEXTS) cases.add(outcome(key, text));
            String byDefault = key.hasDefault() ? ConfigDef.convertToString(key.defaultValue, key.type) : null;
            out.append("{\"scope\":").append(json(scope)).append(",\"name\":").append(json(key.name)).append(",\"type\":").append(json(key.type))
                .append(",\"default\":").append(json(byDefault)).append(",\"internal\":").append(key.internalConfig)
                .append(",\"mode\":").append(json(modes.getOrDefault(key.name, updateMode))).append(",\"server\":").append(json(servers.get(key.name)))
                .append(",\"cases\":[").append(String.join(",", cases)).append("]}\n");
        }
    }

    public static void main(String[] args) throws Exception {
        StringBuilder out = new StringBuilder();
        Map<String, String> modes = DynamicBrokerConfig.dynamicConfigUpdateModes();
        ConfigDef quotas = new ConfigDef();
        for (ConfigDef.ConfigKey key : DynamicConfig.Broker.configKeys().values()) {
            if (!AbstractKafkaConfig.CONFIG_DEF.names().contains(key.name)) quotas.define(key);
        }
        Map<String, String> groups = new TreeMap<>();
        GroupConfig.ALL_GROUP_CONFIG_SYNONYMS.forEach((name, server) -> server.ifPresent(found -> groups.put(name, found)));
        write(out, "broker", AbstractKafkaConfig.CONFIG_DEF, "read-only", modes, Map.of());
        write(out, "broker quota", quotas, "read-only", modes, Map.of());
        write(out, "topic", LogConfig.configDefCopy(), "dynamic", Map.of(), ServerTopicConfigSynonyms.TOPIC_CONFIG_SYNONYMS);
        write(out, "group", GroupConfig.CONFIG_DEF, "dynamic", Map.of(), groups);
        write(out, "client-metrics", ClientMetricsConfigs.configDef(), "dynamic", Map.of(), Map.of());
        writeSets(out);
        try (OutputStream packed = new GZIPOutputStream(System.out)) {
            packed.write(out.toString().getBytes(StandardCharsets.UTF_8));
        }
    }
}

/*
 * Writes what Kafka's own classes say of every config: its type, default, update mode, whether it is internal, its names for the
 * whole server, and what becomes of many texts: [text, the value as Kafka writes it or null, the message of the refusal or null].
 * One line per scope and name, packed with gzip. See README.md.
 */
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.zip.GZIPOutputStream;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.config.ConfigException;
import org.apache.kafka.coordinator.group.GroupConfig;
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
        try (OutputStream packed = new GZIPOutputStream(System.out)) {
            packed.write(out.toString().getBytes(StandardCharsets.UTF_8));
        }
    }
}

import java.io.OutputStream;
import java.io.OutputStreamWriter;
import java.io.Writer;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Collection;
import java.util.HexFormat;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.zip.GZIPOutputStream;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.NullableSchema;
import org.apache.kafka.common.protocol.types.RawTaggedField;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.Struct;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.protocol.types.Type;
import org.apache.kafka.common.record.internal.MemoryRecords;

/**
 * Fills every field of every version of the messages that quarkmq declares, by the rules of Fill, and writes what Kafka's own classes
 * make of it: the bytes, and the values that they read from these bytes (with the defaults of fields that the version lacks).
 * One line per message and version: {"message", "version", "cases": [[fill, base64, values], ...]}; see README.md.
 */
public class Golden {
    static final String[] APIS = {
        "Produce", "Fetch", "ListOffsets", "Metadata", "OffsetCommit", "OffsetFetch", "FindCoordinator", "JoinGroup", "Heartbeat",
        "LeaveGroup", "SyncGroup", "DescribeGroups", "ListGroups", "ApiVersions", "CreateTopics", "DeleteTopics", "DeleteRecords",
        "InitProducerId", "OffsetForLeaderEpoch", "AddPartitionsToTxn", "AddOffsetsToTxn", "EndTxn", "WriteTxnMarkers",
        "TxnOffsetCommit", "DescribeConfigs", "AlterConfigs", "AlterReplicaLogDirs", "DescribeLogDirs", "CreatePartitions",
        "DeleteGroups", "ElectLeaders", "IncrementalAlterConfigs", "AlterPartitionReassignments", "ListPartitionReassignments",
        "OffsetDelete", "DescribeQuorum", "UpdateFeatures", "DescribeCluster", "DescribeProducers", "DescribeTransactions",
        "ListTransactions", "ConsumerGroupHeartbeat", "ConsumerGroupDescribe", "ListConfigResources", "DescribeTopicPartitions",
    };
    static final String CLIENTS = "org.apache.kafka.common.message.";
    static final String GROUPS = "org.apache.kafka.coordinator.group.generated.";
    static final String TRANSACTIONS = "org.apache.kafka.coordinator.transaction.generated.";
    static final String STORAGE = "org.apache.kafka.server.log.remote.metadata.storage.generated.";
    static final String[] OTHERS = {
        CLIENTS + "RequestHeaderData", CLIENTS + "ResponseHeaderData", CLIENTS + "ConsumerProtocolSubscription",
        CLIENTS + "ConsumerProtocolAssignment", CLIENTS + "AbortedTxn", CLIENTS + "EndTxnMarker", CLIENTS + "ControlRecordTypeSchema",
        GROUPS + "OffsetCommitKey", GROUPS + "OffsetCommitValue", GROUPS + "GroupMetadataKey", GROUPS + "GroupMetadataValue",
        STORAGE + "ProducerSnapshot",
        GROUPS + "ConsumerGroupMetadataKey", GROUPS + "ConsumerGroupMetadataValue", GROUPS + "ConsumerGroupPartitionMetadataKey",
        GROUPS + "ConsumerGroupPartitionMetadataValue", GROUPS + "ConsumerGroupMemberMetadataKey",
        GROUPS + "ConsumerGroupMemberMetadataValue", GROUPS + "ConsumerGroupTargetAssignmentMetadataKey",
        GROUPS + "ConsumerGroupTargetAssignmentMetadataValue", GROUPS + "ConsumerGroupTargetAssignmentMemberKey",
        GROUPS + "ConsumerGroupTargetAssignmentMemberValue", GROUPS + "ConsumerGroupCurrentMemberAssignmentKey",
        GROUPS + "ConsumerGroupCurrentMemberAssignmentValue", GROUPS + "ConsumerGroupRegularExpressionKey",
        GROUPS + "ConsumerGroupRegularExpressionValue", TRANSACTIONS + "TransactionLogKey", TRANSACTIONS + "TransactionLogValue",
    };
    static final int MIXED_FILLS = 4;

    public static void main(String[] args) throws Exception {
        try (OutputStream file = new GZIPOutputStream(System.out);
             Writer out = new OutputStreamWriter(file, StandardCharsets.UTF_8)) {
            for (String api : APIS) {
                writeAll(CLIENTS + api + "RequestData", out);
                writeAll(CLIENTS + api + "ResponseData", out);
            }
            for (String other : OTHERS) writeAll(other, out);
        }
    }

    static void writeAll(String className, Writer out) throws Exception {
        Class<?> type = Class.forName(className);
        Schema[] schemas = (Schema[]) type.getField("SCHEMAS").get(null);
        short lowest = type.getField("LOWEST_SUPPORTED_VERSION").getShort(null);
        short highest = type.getField("HIGHEST_SUPPORTED_VERSION").getShort(null);
        String name = type.getSimpleName().replaceFirst("Data$", "");
        for (short version = lowest; version <= highest; version++) {
            out.write("{\"message\":\"" + name + "\",\"version\":" + version + ",\"cases\":[");
            String separator = "";
            for (Fill fill : Fill.all(name + version)) {
                if (fill.unknownTags && !hasTags(schemas[version])) continue;
                out.write(separator + oneCase(type, schemas[version], version, fill));
                separator = ",";
            }
            out.write("]}\n");
        }
    }

    /** The struct's bytes, read and written again by the generated class, so that they are what Kafka itself would send. */
    static String oneCase(Class<?> type, Schema schema, short version, Fill fill) throws Exception {
        Struct struct = (Struct) fill.value(schema, 0);
        ByteBuffer filled = ByteBuffer.allocate(struct.sizeOf());
        struct.writeTo(filled);
        filled.flip();
        Message message = read(type, filled, version);
        if (filled.hasRemaining()) throw new IllegalStateException(type + " left bytes unread");
        ByteBuffer sent = write(message, version);
        if (!message.equals(read(type, sent.duplicate(), version))) throw new IllegalStateException(type + " v" + version + " changes");
        byte[] bytes = new byte[sent.remaining()];
        sent.get(bytes);
        return "[\"" + fill.name + "\",\"" + Base64.getEncoder().encodeToString(bytes) + "\"," + json(message) + "]";
    }

    static Message read(Class<?> type, ByteBuffer bytes, short version) throws Exception {
        Message message = (Message) type.getDeclaredConstructor().newInstance();
        message.read(new ByteBufferAccessor(bytes), version);
        return message;
    }

    static ByteBuffer write(Message message, short version) {
        ObjectSerializationCache cache = new ObjectSerializationCache();
        ByteBuffer bytes = ByteBuffer.allocate(message.size(cache, version));
        message.write(new ByteBufferAccessor(bytes), cache, version);
        if (bytes.hasRemaining()) throw new IllegalStateException("size() is wrong");
        return bytes.flip();
    }

    static boolean hasTags(Schema schema) {
        for (BoundField field : schema.fields()) if (field.def.type instanceof TaggedFields) return true;
        return false;
    }

    /** Bytes as "hex:..."; a struct as an object of all its fields, by reflection, because the converters leave records empty. */
    static String json(Object value) throws Exception {
        if (value == null) return "null";
        if (value instanceof Boolean || value instanceof Number) return value.toString();
        if (value instanceof Uuid) return "\"" + value + "\"";
        if (value instanceof String) return quoted((String) value);
        if (value instanceof byte[]) return "\"hex:" + HexFormat.of().formatHex((byte[]) value) + "\"";
        if (value instanceof MemoryRecords) return json(((MemoryRecords) value).buffer());
        if (value instanceof ByteBuffer) {
            byte[] bytes = new byte[((ByteBuffer) value).remaining()];
            ((ByteBuffer) value).duplicate().get(bytes);
            return json(bytes);
        }
        StringBuilder out = new StringBuilder();
        if (value instanceof Collection) {
            for (Object item : (Collection<?>) value) out.append(out.isEmpty() ? "" : ",").append(json(item));
            return "[" + out + "]";
        }
        if (!(value instanceof Message)) throw new IllegalStateException("no rule for " + value.getClass());
        for (Field field : value.getClass().getDeclaredFields()) {
            boolean isOurs = !Modifier.isStatic(field.getModifiers()) && !field.getName().matches("_unknownTaggedFields|next|prev");
            if (!isOurs) continue;
            field.setAccessible(true);
            out.append(out.isEmpty() ? "" : ",").append("\"" + field.getName() + "\":").append(json(field.get(value)));
        }
        return "{" + out + "}";
    }

    static String quoted(String value) {
        StringBuilder out = new StringBuilder("\"");
        for (char c : value.toCharArray()) {
            if (c == '"' || c == '\\') out.append('\\').append(c);
            else if (c < ' ') out.append(String.format("\\u%04x", (int) c));
            else out.append(c);
        }
        return out.append('"').toString();
    }

    /** The fixed rules by which fields are filled. */
    static class Fill {
        static final long[] INTEGERS = {0, 1, -1, 42, Long.MAX_VALUE, Long.MIN_VALUE};
        static final long[] LONGS = {1L << 32, -(1L << 32) - 1, (1L << 53) - 1, 1 - (1L << 53), 1L << 53, 0xffffffffL, 1732000000123L};
        static final int[] BYTES = {0, 1, 3, 130, 1023, 1024, 1500};
        static final String[] STRINGS = {"", "a", "orders", "k\u00e4fka \u2603 \ud83d\ude00", "quote\" back\\slash \n", "long-".repeat(26), "x".repeat(127)};

        final String name;
        final boolean unknownTags;
        private final Random random;
        private int turn = 0;

        private Fill(String name, String seed, boolean unknownTags) {
            this.name = name;
            this.random = new Random((name + seed).hashCode());
            this.unknownTags = unknownTags;
        }

        /** "unknown" is the one whose bytes hold more than its values: tagged fields that no schema has. */
        static Fill[] all(String seed) {
            Fill[] fills = new Fill[4 + MIXED_FILLS];
            fills[0] = new Fill("least", seed, false);
            fills[1] = new Fill("greatest", seed, false);
            fills[2] = new Fill("negative", seed, false);
            fills[3] = new Fill("unknown", seed, true);
            for (int i = 0; i < MIXED_FILLS; i++) fills[4 + i] = new Fill("mixed" + i, seed, false);
            return fills;
        }

        Object value(Type type, int depth) {
            if (type.isNullable() && isNull()) return null;
            if (type.isArray()) return array(type.arrayElementType().get(), depth);
            if (type instanceof Schema) return struct((Schema) type, depth);
            switch (type.toString().replace("COMPACT_", "").replace("NULLABLE_", "")) {
                case "BOOLEAN": return integer(1) != 0;
                case "INT8": return (byte) integer(Byte.MAX_VALUE);
                case "INT16": return (short) integer(Short.MAX_VALUE);
                case "UINT16": return (int) integer(Short.MAX_VALUE) & 0xffff;
                case "INT32": return (int) integer(Integer.MAX_VALUE);
                case "UNSIGNED_INT32": case "UINT32": return integer(Integer.MAX_VALUE) & 0xffffffffL;
                case "INT64": return integer(Long.MAX_VALUE);
                case "UUID": return uuid();
                case "STRING": return string();
                case "BYTES": return ByteBuffer.wrap(bytes());
                case "RECORDS": return MemoryRecords.readableRecords(ByteBuffer.wrap(bytes()));
                default: throw new IllegalStateException("no rule for type " + type);
            }
        }

        private Struct struct(Schema schema, int depth) {
            Struct struct = new Struct(schema);
            for (BoundField field : schema.fields()) {
                Type type = field.def.type;
                struct.set(field, type instanceof TaggedFields ? tags((TaggedFields) type, depth) : value(type, depth + 1));
            }
            return struct;
        }

        private TreeMap<Integer, Object> tags(TaggedFields type, int depth) {
            TreeMap<Integer, Object> tags = new TreeMap<>();
            for (Map.Entry<Integer, org.apache.kafka.common.protocol.types.Field> field : type.fields().entrySet()) {
                boolean isThere = isMixed() ? random.nextBoolean() : !name.equals("least");
                if (!isThere) continue;
                Object value = value(field.getValue().type, depth + 1);
                boolean isNullStruct = value == null && field.getValue().type instanceof NullableSchema; // Schema and classes differ here
                if (!isNullStruct) tags.put(field.getKey(), value);
            }
            if (unknownTags) {
                for (int tag : new int[] {77, 300}) tags.put(tag, new RawTaggedField(tag, new byte[tag]));
            }
            return tags;
        }

        private Object[] array(Type item, int depth) {
            int length = name.equals("least") ? 0 : name.equals("negative") ? 1 : 2;
            if (isMixed()) length = item instanceof Schema ? 1 + random.nextInt(depth > 3 ? 2 : 3) : random.nextInt(4);
            boolean isScalar = item == Type.INT32 || item == Type.STRING || item == Type.COMPACT_STRING;
            if (isMixed() && isScalar && random.nextInt(8) == 0) length = 130; // a count of two bytes
            Object[] items = new Object[length];
            for (int i = 0; i < length; i++) items[i] = value(item, depth + 1);
            return items;
        }

        private boolean isMixed() {
            return name.startsWith("mixed") || unknownTags;
        }

        private boolean isNull() {
            return name.equals("least") || name.equals("negative") && turn++ % 2 == 0 || isMixed() && random.nextInt(3) == 0;
        }

        private long integer(long max) {
            if (name.equals("least")) return 0;
            if (name.equals("greatest")) return max;
            if (name.equals("negative")) return max == 1 ? 0 : -max - 1;
            int pick = random.nextInt(INTEGERS.length + LONGS.length);
            if (max == Long.MAX_VALUE && pick >= INTEGERS.length) return LONGS[pick - INTEGERS.length];
            long value = INTEGERS[pick % INTEGERS.length];
            return value == Long.MAX_VALUE ? max : value == Long.MIN_VALUE ? -max - 1 : value;
        }

        private Uuid uuid() {
            if (name.equals("least")) return Uuid.ZERO_UUID;
            if (name.equals("greatest")) return new Uuid(-1, -1);
            if (name.equals("negative")) return new Uuid(Long.MIN_VALUE, 1);
            return random.nextInt(4) == 0 ? Uuid.ZERO_UUID : new Uuid(random.nextLong(), random.nextLong());
        }

        private String string() {
            if (name.equals("least")) return "";
            if (name.equals("negative")) return STRINGS[3];
            return name.equals("greatest") ? "z".repeat(200) : STRINGS[random.nextInt(STRINGS.length)];
        }

        private byte[] bytes() {
            int length = name.equals("least") ? 0 : isMixed() ? BYTES[random.nextInt(BYTES.length)] : 200;
            byte[] bytes = new byte[length];
            for (int i = 0; i < length; i++) bytes[i] = (byte) i;
            return bytes;
        }
    }
}

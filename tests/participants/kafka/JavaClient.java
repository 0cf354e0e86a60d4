// Kafka's own Java client as an independent judge. Bytes are written in hexadecimal, a null as "null".
//
//   JavaClient read HOST:PORT TOPIC…    what a read_committed consumer sees, topic by topic: a line "PARTITION KEY VALUE"
//                                       for each record
//   JavaClient partitions COUNT         where the default partitioner puts the keys that stand on standard input, a line
//                                       each
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

public class JavaClient {
  public static void main(String[] arguments) throws Exception {
    if (arguments[0].equals("read")) {
      for (int i = 2; i < arguments.length; ++i) {
        read(arguments[1], arguments[i]);
      }
    } else {
      partitions(Integer.parseInt(arguments[1]));
    }
  }

  private static void read(String server, String topic) {
    Map<String, Object> settings =
        Map.of("bootstrap.servers", server, "isolation.level", "read_committed", "auto.offset.reset", "earliest");
    try (var consumer =
        new KafkaConsumer<byte[], byte[]>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
      List<TopicPartition> partitions =
          consumer.partitionsFor(topic).stream().map(p -> new TopicPartition(topic, p.partition())).toList();
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
      while (partitions.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
        for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(100))) {
          System.out.println(record.partition() + " " + hex(record.key()) + " " + hex(record.value()));
        }
      }
    }
  }

  private static void partitions(int count) throws Exception {
    BufferedReader keys = new BufferedReader(new InputStreamReader(System.in));
    for (String key = keys.readLine(); key != null; key = keys.readLine()) {
      System.out.println(BuiltInPartitioner.partitionForKey(HexFormat.of().parseHex(key), count));
    }
  }

  private static String hex(byte[] bytes) {
    return bytes == null ? "null" : HexFormat.of().formatHex(bytes);
  }
}

// The Java client's transactional producer: it holds one transaction at a time, so there is one for each in flight, and
// a thread that calls it. Arguments, records and report as in cell.h.
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class JavaProducer {
  private static final double TICKS_A_SECOND = 100; // of /proc on Linux, wherever Java runs

  private static final Map<String, String> cell = new HashMap<>();
  private static final AtomicLong next = new AtomicLong();
  private static volatile boolean stop = false;

  private record Sample(long committed, long latency) {}

  private record Usage(long at, double clientCpu, double brokerCpu) {}

  public static void main(String[] arguments) throws Exception {
    for (String argument : arguments) {
      String[] words = argument.split("=", 2);
      cell.put(words[0], words[1]);
    }
    int inFlight = number("in_flight");
    CountDownLatch ready = new CountDownLatch(inFlight);
    List<List<Sample>> samples = new ArrayList<>();
    List<Thread> threads = new ArrayList<>();
    for (int i = 0; i < inFlight; ++i) {
      List<Sample> own = new ArrayList<>();
      samples.add(own);
      threads.add(new Thread(() -> produce(ready, own)));
    }
    threads.forEach(Thread::start);
    ready.await();
    Thread.sleep(number("warm_up_ms"));
    Usage begin = usage();
    Thread.sleep(number("measured_ms"));
    Usage end = usage();
    String threadCount = status("Threads:");
    stop = true;
    for (Thread thread : threads) thread.join();
    report(samples.stream().flatMap(List::stream).toList(), begin, end, threadCount);
    // The producers have nothing left to do, and closing each takes its time.
    Runtime.getRuntime().halt(0);
  }

  private static void produce(CountDownLatch ready, List<Sample> samples) {
    try {
      byte[] value = new byte[number("value_bytes")];
      Arrays.fill(value, (byte) 'v');
      int records = number("records");
      int partitions = number("partitions");
      KafkaProducer<byte[], byte[]> producer = makeProducer();
      producer.initTransactions();
      ready.countDown();
      while (!stop) {
        long began = System.nanoTime();
        long first = next.getAndIncrement() * records;
        producer.beginTransaction();
        for (long number = first; number < first + records; ++number) {
          byte[] key = Long.toString(number).getBytes(StandardCharsets.US_ASCII);
          producer.send(new ProducerRecord<>(cell.get("topic"), (int) (number % partitions), key, value));
        }
        producer.commitTransaction(); // fails where a record did
        long now = System.nanoTime();
        samples.add(new Sample(now, now - began));
      }
    } catch (Throwable failure) {
      failure.printStackTrace();
      Runtime.getRuntime().halt(1);
    }
  }

  private static KafkaProducer<byte[], byte[]> makeProducer() {
    Map<String, Object> settings =
        Map.of(
            "bootstrap.servers", cell.get("server"),
            "transactional.id", "bench-" + UUID.randomUUID(),
            "acks", "all",
            "linger.ms", "0");
    return new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
  }

  private static void report(List<Sample> samples, Usage begin, Usage end, String threads) throws IOException {
    long[] latencies =
        samples.stream()
            .filter(sample -> sample.committed > begin.at && sample.committed <= end.at)
            .mapToLong(Sample::latency)
            .toArray();
    ByteBuffer bytes = ByteBuffer.allocate(Long.BYTES * latencies.length).order(ByteOrder.nativeOrder());
    for (long latency : latencies) bytes.putLong(latency);
    Files.write(Path.of(cell.get("samples")), bytes.array());
    System.out.printf(
        Locale.ROOT,
        "{\"committed\": %d, \"transactions\": %d, \"seconds\": %.6f, \"threads\": %s, \"client_cpu_s\": %.3f,"
            + " \"broker_cpu_s\": %.3f, \"peak_memory_kb\": %s}%n",
        samples.size(), latencies.length, (end.at - begin.at) / 1e9, threads, end.clientCpu - begin.clientCpu,
        end.brokerCpu - begin.brokerCpu, status("VmHWM:"));
    System.out.flush();
  }

  private static Usage usage() throws IOException {
    return new Usage(System.nanoTime(), cpuSeconds("self"), cpuSeconds(cell.get("broker_pid")));
  }

  private static double cpuSeconds(String process) throws IOException {
    String line = Files.readString(Path.of("/proc", process, "stat"));
    String[] fields = line.substring(line.lastIndexOf(')') + 2).split(" ");
    return (Long.parseLong(fields[11]) + Long.parseLong(fields[12])) / TICKS_A_SECOND;
  }

  private static String status(String field) throws IOException {
    return Files.readAllLines(Path.of("/proc/self/status")).stream()
        .filter(line -> line.startsWith(field))
        .map(line -> line.split("\\s+")[1])
        .findFirst()
        .orElseThrow();
  }

  private static int number(String name) {
    return Integer.parseInt(cell.get(name));
  }
}

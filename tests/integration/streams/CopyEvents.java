import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;

/**
 * A system under test: copies a topic to another one, exactly once, with one thread.
 *
 * Arguments: brokers, application id, topic in, topic out, messages per second at most (0: no limit), and N: of each
 * partition every message whose offset ends a run of N is lost (N above 0) or sent twice (N below 0; 0: neither).
 */
public class CopyEvents {
    public static void main(String[] words) {
        Properties config = new Properties();
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, words[0]);
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, words[1]);
        config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        config.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
        config.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
        config.put(StreamsConfig.STATE_DIR_CONFIG, System.getProperty("java.io.tmpdir"));
        config.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        config.put(ConsumerConfig.MAX_POLL_RECORDS_CONFIG, 100);
        Limit limit = new Limit(Long.parseLong(words[4]));
        long every = Long.parseLong(words[5]);
        StreamsBuilder builder = new StreamsBuilder();
        builder.<byte[], byte[]>stream(words[2]).process(() -> new Copy(limit, every)).to(words[3]);
        KafkaStreams streams = new KafkaStreams(builder.build(), config);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(10))));
        streams.setStateListener((now, before) -> System.out.println(now));
        streams.start();
    }

    /** So many messages a second at most; time in which there were none is no credit. */
    static class Limit {
        private final long periodNs;
        private long nextNs = System.nanoTime();

        Limit(long perSecond) {
            periodNs = perSecond == 0 ? 0 : TimeUnit.SECONDS.toNanos(1) / perSecond;
        }

        void await() {
            long now = System.nanoTime();
            nextNs = Math.max(nextNs + periodNs, now - TimeUnit.MILLISECONDS.toNanos(100));
            while (periodNs > 0 && (now = System.nanoTime()) < nextNs) {
                LockSupport.parkNanos(nextNs - now);
            }
        }
    }

    static class Copy implements Processor<byte[], byte[], byte[], byte[]> {
        private final Limit limit;
        private final long every;
        private ProcessorContext<byte[], byte[]> context;

        Copy(Limit limit, long every) {
            this.limit = limit;
            this.every = every;
        }

        @Override
        public void init(ProcessorContext<byte[], byte[]> context) {
            this.context = context;
        }

        @Override
        public void process(Record<byte[], byte[]> record) {
            limit.await();
            long offset = context.recordMetadata().get().offset();
            boolean isChosen = every != 0 && (offset + 1) % Math.abs(every) == 0;
            if (!isChosen || every < 0) {
                context.forward(record);
            }
            if (isChosen && every < 0) {
                context.forward(record);
            }
        }
    }
}

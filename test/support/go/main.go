// The franz-go driver: carries out the commands of test/support/driver.ts (see test/README.md, "Drivers") with franz-go.
// It is also the suite's neutral hand: it makes topics for clients without an admin side and reads what others wrote.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

type header struct {
	Name  string
	Value []byte
}

func (h header) MarshalJSON() ([]byte, error) { return json.Marshal([]any{h.Name, h.Value}) }
func (h *header) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[]any{&h.Name, &h.Value})
}

type record struct {
	Partition   *int32   `json:"partition"`
	Offset      int64    `json:"offset"`
	TimestampMs *int64   `json:"timestampMs"`
	Key         []byte   `json:"key"` // null stays null, "" stays empty: encoding/json keeps them apart
	Value       []byte   `json:"value"`
	Headers     []header `json:"headers"`
	Codec       string   `json:"codec,omitempty"` // told only by this driver: that of the batch it came in
}

var codecNames = []string{"none", "gzip", "snappy", "lz4", "zstd"}

type command struct {
	ID               int               `json:"id"`
	Op               string            `json:"op"`
	Topic            string            `json:"topic"`
	Group            string            `json:"group"`
	Protocol         string            `json:"protocol"`
	Codec            string            `json:"codec"`
	Partitions       int32             `json:"partitions"`
	Configs          map[string]string `json:"configs"`
	Name             string            `json:"name"`
	Value            string            `json:"value"`
	Records          []record          `json:"records"`
	From             map[string]int64  `json:"from"`
	To               map[string]int64  `json:"to"`
	At               json.RawMessage   `json:"at"`
	TimeoutMs        int64             `json:"timeoutMs"`
	SessionTimeoutMs int64             `json:"sessionTimeoutMs"`
	TransactionalID  string            `json:"transactionalId"`
	Instance         int               `json:"instance"`
	Values           [][2]any          `json:"values"`
	Ends             string            `json:"ends"`
	Count            int               `json:"count"`
	RoundRobin       bool              `json:"roundRobin"`
}

type placed struct {
	Partition int32 `json:"partition"`
	Offset    int64 `json:"offset"`
}

var (
	bootstrap string
	producers = map[string]*kgo.Client{}
	admin     *kadm.Client
	group     *member
	load      *stream
)

func options(more ...kgo.Opt) []kgo.Opt {
	return append([]kgo.Opt{
		kgo.SeedBrokers(bootstrap),
		kgo.MetadataMinAge(100 * time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 100 * time.Millisecond }),
	}, more...)
}

func client(more ...kgo.Opt) *kgo.Client {
	c, err := kgo.NewClient(options(more...)...)
	if err != nil {
		panic(err)
	}
	return c
}

// byRecord honours a partition that the command names and hashes the key as Kafka does otherwise.
type byRecord struct{ hashed kgo.Partitioner }
type byRecordTopic struct{ hashed kgo.TopicPartitioner }
type pinned struct{}

func (p byRecord) ForTopic(t string) kgo.TopicPartitioner { return byRecordTopic{p.hashed.ForTopic(t)} }
func (p byRecordTopic) RequiresConsistency(r *kgo.Record) bool {
	return r.Context != nil && r.Context.Value(pinned{}) != nil || p.hashed.RequiresConsistency(r)
}
func (p byRecordTopic) Partition(r *kgo.Record, n int) int {
	if r.Context != nil {
		if at, ok := r.Context.Value(pinned{}).(int32); ok {
			return int(at)
		}
	}
	return p.hashed.Partition(r, n)
}

func producer(codec string) *kgo.Client {
	if c := producers[codec]; c != nil {
		return c
	}
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	c := client(
		kgo.ProducerBatchCompression(codecs[codec]),
		kgo.RecordPartitioner(byRecord{kgo.StickyKeyPartitioner(nil)}),
		kgo.ProducerBatchMaxBytes(8<<20),
		kgo.AllowAutoTopicCreation(),
	)
	producers[codec] = c
	return c
}

func produce(ctx context.Context, q command) (any, error) {
	c := producer(q.Codec)
	out := make([]placed, len(q.Records))
	errs := make([]error, len(q.Records))
	var all sync.WaitGroup
	for i, r := range q.Records {
		k := &kgo.Record{Topic: q.Topic, Key: r.Key, Value: r.Value, Context: ctx}
		if r.Partition != nil {
			k.Context = context.WithValue(ctx, pinned{}, *r.Partition)
		}
		if r.TimestampMs != nil {
			k.Timestamp = time.UnixMilli(*r.TimestampMs)
		}
		for _, h := range r.Headers {
			k.Headers = append(k.Headers, kgo.RecordHeader{Key: h.Name, Value: h.Value})
		}
		all.Add(1)
		c.Produce(k.Context, k, func(k *kgo.Record, err error) {
			out[i], errs[i] = placed{k.Partition, k.Offset}, err
			all.Done()
		})
	}
	all.Wait()
	return map[string]any{"placed": out}, errors.Join(errs...)
}

func toRecord(k *kgo.Record) record {
	ms := k.Timestamp.UnixMilli()
	r := record{Partition: &k.Partition, Offset: k.Offset, TimestampMs: &ms, Key: k.Key, Value: k.Value, Headers: []header{}}
	r.Codec = codecNames[k.Attrs.CompressionType()]
	for _, h := range k.Headers {
		r.Headers = append(r.Headers, header{h.Key, h.Value})
	}
	return r
}

func read(ctx context.Context, q command) (any, error) {
	offsets := map[int32]kgo.Offset{}
	left := map[int32]int64{}
	for p, at := range q.From {
		n, _ := strconv.Atoi(p)
		if q.To[p] > at {
			offsets[int32(n)] = kgo.NewOffset().At(at)
			left[int32(n)] = q.To[p]
		}
	}
	records := []record{}
	if len(left) == 0 {
		return map[string]any{"records": records}, nil
	}
	c := client(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{q.Topic: offsets}),
		kgo.FetchMaxPartitionBytes(2<<20), kgo.KeepControlRecords(),
	)
	defer c.Close()
	for len(left) > 0 {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return map[string]any{"records": records}, fmt.Errorf("%w (still wanted: %v)", err, left)
		}
		fetches.EachRecord(func(k *kgo.Record) {
			end, wanted := left[k.Partition]
			if wanted && k.Offset < end && !k.Attrs.IsControl() {
				records = append(records, toRecord(k))
			}
			if wanted && k.Offset >= end-1 {
				delete(left, k.Partition)
			}
		})
	}
	return map[string]any{"records": records}, nil
}

var transactional = map[string]*kgo.Client{}

func transact(ctx context.Context, q command) error {
	key := fmt.Sprint(q.TransactionalID, " ", q.Instance)
	c := transactional[key]
	if c == nil {
		c = client(
			kgo.TransactionalID(q.TransactionalID), kgo.TransactionTimeout(10*time.Second),
			kgo.RecordPartitioner(kgo.ManualPartitioner()),
		)
		transactional[key] = c
	}
	if err := c.BeginTransaction(); err != nil {
		return err
	}
	for _, v := range q.Values {
		r := &kgo.Record{Topic: q.Topic, Partition: int32(v[0].(float64)), Value: []byte(v[1].(string))}
		if err := c.ProduceSync(ctx, r).FirstErr(); err != nil {
			return err
		}
	}
	if q.Ends == "open" {
		return nil
	}
	return c.EndTransaction(ctx, kgo.TransactionEndTry(q.Ends == "commit"))
}

func committed(ctx context.Context, q command) (any, error) {
	from := map[int32]kgo.Offset{}
	for p := int32(0); p < q.Partitions; p++ {
		from[p] = kgo.NewOffset().AtStart()
	}
	c := client(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{q.Topic: from}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(100*time.Millisecond),
	)
	defer c.Close()
	records := []record{}
	for quiet := time.Now().Add(time.Second); len(records) < q.Count || time.Now().Before(quiet); {
		within, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		fetches := c.PollFetches(within)
		cancel()
		if ctx.Err() != nil {
			return map[string]any{"records": records}, nil
		}
		fetches.EachRecord(func(k *kgo.Record) {
			records = append(records, toRecord(k))
			quiet = time.Now().Add(time.Second)
		})
	}
	return map[string]any{"records": records}, nil
}

func offsets(ctx context.Context, q command) (any, error) {
	var listed kadm.ListedOffsets
	var err error
	switch at := string(q.At); at {
	case `"earliest"`:
		listed, err = admin.ListStartOffsets(ctx, q.Topic)
	case `"latest"`:
		listed, err = admin.ListEndOffsets(ctx, q.Topic)
	default:
		ms, _ := strconv.ParseInt(at, 10, 64)
		listed, err = admin.ListOffsetsAfterMilli(ctx, ms, q.Topic)
	}
	if err == nil {
		err = listed.Error()
	}
	out := map[string]int64{}
	listed.Each(func(o kadm.ListedOffset) { out[strconv.Itoa(int(o.Partition))] = o.Offset })
	return map[string]any{"offsets": out}, err
}

// member is this process's one group member; it polls in the background until it leaves.
type member struct {
	client *kgo.Client
	stop   context.CancelFunc
	done   chan struct{}

	lock    sync.Mutex
	owned   map[int32]bool
	records []record
	fault   string
}

func join(q command) {
	m := &member{owned: map[int32]bool{}, done: make(chan struct{})}
	change := func(to bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, topics map[string][]int32) {
			m.lock.Lock()
			defer m.lock.Unlock()
			for _, p := range topics[q.Topic] {
				if to {
					m.owned[p] = true
				} else {
					delete(m.owned, p)
				}
			}
		}
	}
	options := []kgo.Opt{
		kgo.ConsumerGroup(q.Group), kgo.ConsumeTopics(q.Topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(time.Duration(q.SessionTimeoutMs)*time.Millisecond), kgo.HeartbeatInterval(500*time.Millisecond),
		kgo.OnPartitionsAssigned(change(true)), kgo.OnPartitionsRevoked(change(false)), kgo.OnPartitionsLost(change(false)),
	}
	if q.Protocol == "consumer" {
		options = append(options, kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()))
	}
	if q.RoundRobin {
		options = append(options, kgo.Balancers(kgo.RoundRobinBalancer()))
	}
	m.client = client(options...)
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	group = m
	go func() {
		defer close(m.done)
		for ctx.Err() == nil {
			fetches := m.client.PollFetches(ctx)
			m.lock.Lock()
			fetches.EachError(func(_ string, p int32, err error) {
				if ctx.Err() == nil {
					m.fault = fmt.Sprintf("partition %d: %v", p, err)
				}
			})
			fetches.EachRecord(func(k *kgo.Record) { m.records = append(m.records, toRecord(k)) })
			m.lock.Unlock()
		}
	}()
}

func (m *member) state() any {
	m.lock.Lock()
	defer m.lock.Unlock()
	owned := []int32{}
	for p := range m.owned {
		owned = append(owned, p)
	}
	records := m.records
	if records == nil {
		records = []record{}
	}
	return map[string]any{"partitions": owned, "records": records, "fault": m.fault}
}

func (m *member) leave() {
	m.stop()
	<-m.done
	m.client.Close()
}

// stream is the continuous load: idempotent, acks=all, numbered per partition, about 1,000 records a second.
type stream struct {
	client *kgo.Client
	stop   chan struct{}
	done   chan struct{}
	lock   sync.Mutex
	acked  [][3]int64
	sent   int64
	failed []string
}

func startStream(q command) {
	s := &stream{stop: make(chan struct{}), done: make(chan struct{})}
	s.client = client(
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MaxBufferedRecords(5000), kgo.ProducerLinger(time.Millisecond),
		kgo.RecordDeliveryTimeout(60*time.Second),
	)
	load = s
	go func() {
		defer close(s.done)
		for n := int64(0); ; n++ {
			select {
			case <-s.stop:
				return
			case <-time.After(time.Duration(q.Partitions) * time.Millisecond):
			}
			for p := int32(0); p < q.Partitions; p++ {
				k := &kgo.Record{Topic: q.Topic, Partition: p, Value: fmt.Appendf(nil, "%d:%d", p, n)}
				s.lock.Lock()
				s.sent++
				s.lock.Unlock()
				s.client.Produce(context.Background(), k, func(k *kgo.Record, err error) {
					s.lock.Lock()
					defer s.lock.Unlock()
					if err != nil {
						s.failed = append(s.failed, err.Error())
					} else {
						s.acked = append(s.acked, [3]int64{int64(k.Partition), n, k.Offset})
					}
				})
			}
		}
	}()
}

func (s *stream) status() any {
	s.lock.Lock()
	defer s.lock.Unlock()
	return map[string]any{"sent": s.sent, "acked": len(s.acked), "failed": len(s.failed)}
}

func (s *stream) finish(ctx context.Context) (any, error) {
	close(s.stop)
	<-s.done
	err := s.client.Flush(ctx)
	s.client.Close()
	s.lock.Lock()
	defer s.lock.Unlock()
	return map[string]any{"sent": s.sent, "acked": s.acked, "failed": s.failed}, err
}

// administer gives a topic more partitions, and asks for all that kadm can about its first one. Errors of single partitions are told by name.
func administer(ctx context.Context, q command) (any, error) {
	if admin == nil {
		admin = kadm.NewClient(client())
	}
	grown, err := admin.UpdatePartitions(ctx, int(q.Partitions), q.Topic)
	if err == nil {
		err = grown.Error()
	}
	if err != nil {
		return nil, err
	}
	first := kadm.TopicsSet{}
	first.Add(q.Topic, 0)
	directories, err := admin.DescribeAllLogDirs(ctx, first)
	if err != nil {
		return nil, err
	}
	var bytes int64
	for _, directory := range directories {
		described, _ := directory.LookupPartition(q.Topic, 0)
		bytes += described.Size
	}
	elected, err := admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, first)
	if err != nil {
		return nil, err
	}
	var request kadm.AlterPartitionAssignmentsReq
	request.CancelAssign(q.Topic, 0)
	cancelled, err := admin.AlterPartitionAssignments(ctx, request)
	if err != nil {
		return nil, err
	}
	newest, err := admin.ListMaxTimestampOffsets(ctx, q.Topic)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"logDirBytes": bytes, "election": errorName(elected[q.Topic][0].Err), "cancelled": errorName(cancelled[q.Topic][0].Err),
		"maxTimestampOffset": newest[q.Topic][0].Offset,
	}, nil
}

func errorName(err error) string {
	var known *kerr.Error
	if errors.As(err, &known) {
		return known.Message
	}
	return fmt.Sprint(err)
}

func execute(q command) (any, error) {
	if q.TimeoutMs == 0 {
		q.TimeoutMs = 30_000
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(q.TimeoutMs)*time.Millisecond)
	defer cancel()
	switch q.Op {
	case "administer":
		return administer(ctx, q)
	case "createTopic":
		configs := map[string]*string{}
		for k, v := range q.Configs {
			configs[k] = &v
		}
		_, err := admin.CreateTopic(ctx, q.Partitions, 1, configs, q.Topic)
		return nil, err
	case "topicConfig":
		found, err := admin.DescribeTopicConfigs(ctx, q.Topic)
		if err != nil {
			return nil, err
		}
		for _, c := range found[0].Configs {
			if c.Key == q.Name {
				return map[string]any{"value": c.Value}, found[0].Err
			}
		}
		return map[string]any{"value": nil}, found[0].Err
	case "setTopicConfig":
		changes := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: q.Name, Value: &q.Value}}
		altered, err := admin.AlterTopicConfigs(ctx, changes, q.Topic)
		if err != nil {
			return nil, err
		}
		return nil, altered[0].Err
	case "produce":
		return produce(ctx, q)
	case "transact":
		return nil, transact(ctx, q)
	case "committed":
		return committed(ctx, q)
	case "read":
		return read(ctx, q)
	case "offsets":
		return offsets(ctx, q)
	case "join":
		join(q)
		return nil, nil
	case "member":
		return group.state(), nil
	case "commit":
		return nil, group.client.CommitUncommittedOffsets(ctx)
	case "leave":
		group.leave()
		return nil, nil
	case "streamStart":
		startStream(q)
		return nil, nil
	case "streamStatus":
		return load.status(), nil
	case "streamStop":
		return load.finish(ctx)
	}
	return nil, fmt.Errorf("unknown op %q", q.Op)
}

func main() {
	bootstrap = os.Args[1]
	admin = kadm.NewClient(client())
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var q command
		if err := json.Unmarshal(line, &q); err != nil {
			panic(err)
		}
		result, err := execute(q)
		reply := map[string]any{"id": q.ID, "result": result}
		if err != nil {
			reply["error"] = err.Error()
		}
		if err := out.Encode(reply); err != nil {
			panic(err)
		}
	}
}

// The codec: golden bytes, and decoders that get less, or other, than they expect.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "base/crc32c.h"
#include "participants/kafka/wire/cluster_messages.h"
#include "participants/kafka/wire/produce_messages.h"
#include "participants/kafka/wire/record_batch.h"
#include "participants/kafka/wire/security_messages.h"
#include "participants/kafka/wire/transaction_messages.h"
#include "tests/participants/kafka/wire_bytes.h"

namespace assent::kafka::wire {
namespace {

TEST(EncoderTest, VarintsAreThoseOfProtocolBuffers) {
  Encoder out;
  out.UnsignedVarint(0);
  out.UnsignedVarint(127);
  out.UnsignedVarint(300);
  out.Varint(-1);
  out.Varint(1);
  out.Varint(-64);
  out.Varint(64);
  EXPECT_EQ(Hex(out.bytes()),
            "00"
            "7f"
            "ac02"
            "01"
            "02"
            "7f"
            "8001");
}

TEST(EncoderTest, IntegersAreBigEndian) {
  Encoder out;
  out.Int16(0x0102);
  out.Int32(-2);
  out.Int64(0x0102030405060708);
  EXPECT_EQ(Hex(out.bytes()),
            "0102"
            "fffffffe"
            "0102030405060708");
}

TEST(EncoderTest, AVarintTakesAsManyBytesAsItsSizeSays) {
  for (const std::int64_t value : {0L, -1L, 63L, 64L, -65L, 8191L, 8192L, INT64_MAX, INT64_MIN}) {
    Encoder out;
    out.Varint(value);
    EXPECT_EQ(VarintSize(value), out.size()) << value;
    Decoder in(out.bytes());
    EXPECT_EQ(in.Varint(), value);
    EXPECT_TRUE(in.ok());
  }
}

TEST(DecoderTest, ACountThatTheRestCannotHoldFails) {
  Decoder in(std::string_view("\xff\xff\xff\xff\x0f\x01\x02", 7));
  EXPECT_EQ(in.CompactArrayLength(1), 0u);
  EXPECT_FALSE(in.ok());
}

TEST(DecoderTest, ALengthThatTheRestCannotHoldFails) {
  Decoder in(
      std::string_view("\x7f"
                       "abc",
                       4));
  EXPECT_EQ(in.CompactString(), "");
  EXPECT_FALSE(in.ok());
}

TEST(DecoderTest, AVarintOfMoreThanTenBytesFails) {
  const std::string endless(11, '\xff');
  Decoder in(endless);
  EXPECT_EQ(in.UnsignedVarint(), 0u);
  EXPECT_FALSE(in.ok());
}

TEST(DecoderTest, AfterAFailureEverythingIsEmpty) {
  Decoder in(std::string_view("\x01", 1));
  in.Int32();
  EXPECT_FALSE(in.ok());
  EXPECT_EQ(in.Int8(), 0);
  EXPECT_EQ(in.remaining(), 0u);
}

TEST(FrameTest, ARequestStartsWithItsLengthAndTheHeaderOfVersionTwo) {
  const std::string frame = EncodeFrame(FindCoordinatorRequest{.transactional_id = "id"}, 7, "me");
  EXPECT_EQ(Hex(frame),
            "00000013"
            "000a"
            "0004"
            "00000007"
            "0002"
            "6d65"
            "00"  // header
            "01"
            "02"
            "036964"
            "00");  // transaction, one key
}

TEST(RequestTest, TheOnesOfSeveralVersionsSayWhichInTheirHeader) {
  for (const std::int16_t version : {EndTxnRequest::kV1, EndTxnRequest::kV2}) {
    const std::string frame = EncodeFrame(EndTxnRequest{.version = version}, 7, "me");
    EXPECT_EQ(Hex(frame.substr(4, 4)), "001a000" + std::to_string(version));
  }
}

TEST(RequestTest, TheHeaderOfSaslHandshakeHasNoTaggedFields) {
  EXPECT_EQ(Hex(EncodeFrame(SaslHandshakeRequest{.mechanism = "P"}, 7, "me")),
            "0000000f"
            "0011"
            "0001"
            "00000007"
            "00026d65"
            "000150");
}

TEST(ResponseTest, APartitionsOwnRefusalIsToldAndNotThatOfItsNeighbours) {
  const std::string bytes = Bytes(
      "00000000"
      "02"
      "0274"
      "03"
      "00000000003700"  // 55, not attempted
      "00000001001d00"  // 29, no right to
      "00"
      "00");
  Decoder in(bytes);
  const auto response = AddPartitionsToTxnResponse::Decode(in);
  EXPECT_TRUE(in.ok());
  EXPECT_EQ(response.error_code, 29);
  EXPECT_EQ(response.topic, "t");
  EXPECT_EQ(response.partition, 1);
}

TEST(RequestTest, EachHasItsGoldenBytes) {
  EXPECT_EQ(Hex(Encoded(ApiVersionsRequest{.software_name = "a", .software_version = "1"})),
            "0261"
            "0231"
            "00");
  EXPECT_EQ(Hex(Encoded(MetadataRequest{.topics = {"t"}})),
            "02"
            "00000000000000000000000000000000"
            "0274"
            "00"
            "00"
            "00"
            "00");
  EXPECT_EQ(Hex(Encoded(MetadataRequest{})),
            "01"
            "00"
            "00"
            "00");  // no topics, which is not null: all topics
  EXPECT_EQ(Hex(Encoded(InitProducerIdRequest{.transactional_id = "id", .transaction_timeout_ms = 60000})),
            "036964"
            "0000ea60"
            "ffffffffffffffff"
            "ffff"
            "00");
  EXPECT_EQ(Hex(Encoded(SaslHandshakeRequest{.mechanism = "PLAIN"})), "0005504c41494e");
  EXPECT_EQ(Hex(Encoded(SaslAuthenticateRequest{.bytes = std::string("\0a", 2)})),
            "030061"
            "00");
  EXPECT_EQ(Hex(Encoded(AddPartitionsToTxnRequest{
                .transactional_id = "id", .producer_id = 5, .epoch = 2, .topics = {{"t", {0, 3}}}})),
            "036964"
            "0000000000000005"
            "0002"
            "02"
            "0274"
            "03"
            "00000000"
            "00000003"
            "00"
            "00");
  EXPECT_EQ(Hex(Encoded(EndTxnRequest{.transactional_id = "id", .producer_id = 5, .epoch = 2, .commit = true})),
            "036964"
            "0000000000000005"
            "0002"
            "01"
            "00");
  EXPECT_EQ(Hex(Encoded(DescribeTransactionsRequest{.transactional_id = "id"})),
            "02"
            "036964"
            "00");
  EXPECT_EQ(Hex(Encoded(ListTransactionsRequest{})),
            "01"
            "01"
            "00");
  EXPECT_EQ(Hex(Encoded(DescribeConfigsRequest{.broker = 1, .setting = "s"})),
            "02"
            "04"
            "0231"
            "02"
            "0273"
            "00"
            "00"
            "00"
            "00");
}

TEST(RequestTest, ProduceGroupsPartitionsByTopic) {
  const ProduceRequest request{
      .transactional_id = "id", .timeout_ms = 1000, .partitions = {{"a", 0, "X"}, {"a", 2, "Y"}, {"b", 1, "Z"}}};
  EXPECT_EQ(Hex(Encoded(request)),
            "036964"
            "ffff"
            "000003e8"
            "03"
            "0261"
            "03"
            "00000000"
            "0258"
            "00"
            "00000002"
            "0259"
            "00"
            "00"
            "0262"
            "02"
            "00000001"
            "025a"
            "00"
            "00"
            "00");
}

TEST(RecordBatchTest, IsCompressedWhereThatMakesItSmaller) {
  const std::string long_text(100'000, 'x');
  for (const auto& [name, code] : {std::pair("gzip", 1), {"snappy", 2}, {"lz4", 3}, {"zstd", 4}}) {
    RecordBatchBuilder large;
    large.Add({.value = long_text});
    const std::string batch = large.Finish(9, 3, 4, *ParseCompression(name));
    EXPECT_LT(batch.size(), 10'000u) << name;
    EXPECT_EQ(Hex(batch.substr(21, 2)), "001" + std::to_string(code)) << name;
    RecordBatchBuilder tiny;
    tiny.Add({.value = "v"});
    EXPECT_EQ(tiny.Finish(9, 3, 4, *ParseCompression(name)), tiny.Finish(9, 3, 4)) << name;
  }
  EXPECT_EQ(ParseCompression("lzo"), std::nullopt);
}

TEST(RecordBatchTest, HasItsGoldenBytes) {
  RecordBatchBuilder builder;
  Record first{.key = "k", .value = "v1", .timestamp_ms = 1'600'000'000'000};
  first.headers.push_back({.key = "h", .value = "x"});
  first.headers.push_back({.key = "n", .value = std::nullopt});
  builder.Add(first);
  builder.Add({.key = std::nullopt, .value = std::nullopt, .timestamp_ms = 1'600'000'000'005});
  const std::string batch = builder.Finish(/*producer_id=*/9, /*epoch=*/3, /*base_sequence=*/4);
  const std::string covered =
      "0010"
      "00000001"
      "00000174876e8000"
      "00000174876e8005"
      "0000000000000009"
      "0003"
      "00000004"
      "00000002"
      "20"
      "00"
      "00"
      "00"
      "026b"
      "047631"
      "04"
      "0268"
      "0278"
      "026e"
      "01"
      "0c"
      "00"
      "0a"
      "02"
      "01"
      "01"
      "00";
  Encoder crc;
  crc.Int32(static_cast<std::int32_t>(Crc32c(Bytes(covered))));
  const std::string rest =
      "ffffffff"
      "02" +
      Hex(crc.bytes()) + covered;
  Encoder length;
  length.Int32(static_cast<std::int32_t>(rest.size() / 2));
  EXPECT_EQ(Hex(batch), "0000000000000000" + Hex(length.bytes()) + rest);
}

TEST(RecordBatchTest, ARecordTakesNoMoreThanItsBound) {
  const std::string big(100'000, 'x');
  for (const std::string_view value : {std::string_view(""), std::string_view("abc"), std::string_view(big)}) {
    const Record record{.key = "key", .value = value, .headers = {{.key = "h", .value = value}}, .timestamp_ms = 77};
    RecordBatchBuilder builder;
    builder.Add(record);
    EXPECT_LE(builder.size(), MostBytesOf(record));
    EXPECT_GE(builder.size() + 20, MostBytesOf(record));
  }
}

TEST(ResponseTest, ApiVersionsTellsTheFinalizedFeatures) {
  const std::string body = Bytes(
      "0000"
      "02"
      "0000"
      "0003"
      "000c"
      "00"
      "00000000"
      "01"
      "02"
      "1a"
      "02"
      "14" +
      Hex("transaction.version") +
      "0002"
      "0000"
      "00");
  Decoder in(body);
  const auto response = ApiVersionsResponse::Decode(in);
  ASSERT_TRUE(in.ok());
  ASSERT_EQ(response.apis.size(), 1u);
  EXPECT_EQ(response.apis[0].most, 12);
  ASSERT_EQ(response.finalized.size(), 1u);
  EXPECT_EQ(response.finalized[0].name, "transaction.version");
  EXPECT_EQ(response.finalized[0].level, 2);
}

// One well-formed response of each kind.
struct Sample {
  std::string name;
  std::string bytes;
  std::function<void(Decoder&)> decode;
};

std::vector<Sample> Samples() {
  const std::string uuid(32, '0');
  return {
      {"ApiVersions",
       Bytes("0000"
             "02"
             "0000"
             "0003"
             "000c"
             "00"
             "00000000"
             "01"
             "02"
             "09"
             "02"
             "0361620002"
             "0000"
             "00"),
       [](Decoder& in) { ApiVersionsResponse::Decode(in); }},
      {"Metadata",
       Bytes("00000000"
             "02"
             "00000001"
             "0268"
             "00002384"
             "00"
             "00"
             "00"
             "00000001"
             "02"
             "0000"
             "0274" +
             uuid +
             "00"
             "02"
             "0000"
             "00000000"
             "00000001"
             "00000000"
             "0200000001"
             "0200000001"
             "01"
             "00"
             "00000000"
             "00"
             "00"),
       [](Decoder& in) { MetadataResponse::Decode(in); }},
      {"FindCoordinator",
       Bytes("00000000"
             "02"
             "0269"
             "00000001"
             "0268"
             "00002384"
             "0000"
             "00"
             "00"
             "00"),
       [](Decoder& in) { FindCoordinatorResponse::Decode(in); }},
      {"DescribeConfigs",
       Bytes("00000000"
             "02"
             "0000"
             "00"
             "04"
             "0231"
             "02"
             "0273"
             "0239"
             "00"
             "05"
             "00"
             "02"
             "0273"
             "0239"
             "05"
             "00"
             "03"
             "00"
             "00"
             "00"
             "00"),
       [](Decoder& in) { DescribeConfigsResponse::Decode(in); }},
      {"SaslHandshake",
       Bytes("0021"
             "00000001"
             "0005504c41494e"),
       [](Decoder& in) { SaslHandshakeResponse::Decode(in); }},
      {"SaslAuthenticate",
       Bytes("0000"
             "00"
             "030061"
             "00000000000005dc"
             "00"),
       [](Decoder& in) { SaslAuthenticateResponse::Decode(in); }},
      {"InitProducerId",
       Bytes("00000000"
             "0000"
             "0000000000000005"
             "0001"
             "00"),
       [](Decoder& in) { InitProducerIdResponse::Decode(in); }},
      {"EndTxn",
       Bytes("00000000"
             "0000"
             "0000000000000005"
             "0001"
             "00"),
       [](Decoder& in) { EndTxnResponse::Decode(in, EndTxnRequest::kV2); }},
      {"EndTxn of V1",
       Bytes("00000000"
             "0000"
             "00"),
       [](Decoder& in) { EndTxnResponse::Decode(in, EndTxnRequest::kV1); }},
      {"AddPartitionsToTxn",
       Bytes("00000000"
             "02"
             "0274"
             "03"
             "00000000003700"
             "00000001001d00"
             "00"
             "00"),
       [](Decoder& in) { AddPartitionsToTxnResponse::Decode(in); }},
      {"DescribeTransactions",
       Bytes("00000000"
             "02"
             "0000"
             "0269"
             "0853746174654f6b"
             "0000ea60"
             "0000000000000001"
             "0000000000000005"
             "0001"
             "02"
             "0274"
             "0200000000"
             "00"
             "00"
             "00"),
       [](Decoder& in) { DescribeTransactionsResponse::Decode(in); }},
      {"ListTransactions",
       Bytes("00000000"
             "0000"
             "01"
             "02"
             "0269"
             "0000000000000005"
             "0273"
             "00"
             "00"),
       [](Decoder& in) { ListTransactionsResponse::Decode(in); }},
      {"Produce",
       Bytes("02"
             "0274"
             "02"
             "00000000"
             "0000"
             "0000000000000000"
             "ffffffffffffffff"
             "0000000000000000"
             "02"
             "00000000"
             "0265"
             "00"
             "0266"
             "00"
             "00"
             "00000000"
             "00"),
       [](Decoder& in) { ProduceResponse::Decode(in); }},
  };
}

TEST(ResponseTest, AWellFormedOneIsReadToItsEnd) {
  for (const Sample& sample : Samples()) {
    Decoder in(sample.bytes);
    sample.decode(in);
    EXPECT_TRUE(in.ok()) << sample.name;
    EXPECT_EQ(in.remaining(), 0u) << sample.name;
  }
}

TEST(ResponseTest, OneCutAtAnyByteIsRefused) {
  for (const Sample& sample : Samples()) {
    for (std::size_t length = 0; length < sample.bytes.size(); ++length) {
      // A copy of just these bytes, so that a sanitizer sees any read behind them.
      const std::string cut = sample.bytes.substr(0, length);
      Decoder in(cut);
      sample.decode(in);
      EXPECT_FALSE(in.ok()) << sample.name << " cut at " << length;
    }
  }
}

// Each partition has a copy of it.
TEST(ResponseTest, ATopicOfProduceIsNoLongerThanKafkasAre) {
  for (const std::size_t length : {249u, 250u}) {
    Encoder out;
    out.CompactArrayLength(1);
    out.CompactString(std::string(length, 't'));
    out.CompactArrayLength(0);
    out.NoTaggedFields();
    out.Int32(0);
    out.NoTaggedFields();
    Decoder in(out.bytes());
    ProduceResponse::Decode(in);
    EXPECT_EQ(in.ok(), length == 249) << length;
  }
}

TEST(ResponseTest, AnyByteMayBeWrongWithoutHarm) {
  std::minstd_rand random(1);
  for (const Sample& sample : Samples()) {
    for (std::size_t at = 0; at < sample.bytes.size(); ++at) {
      for (const int value : {0x00, 0x01, 0x7f, 0x80, 0xff, static_cast<int>(random() & 0xff)}) {
        std::string damaged = sample.bytes;
        damaged[at] = static_cast<char>(value);
        Decoder in(damaged);
        sample.decode(in);
        EXPECT_LE(in.remaining(), damaged.size());
      }
    }
  }
}

}  // namespace
}  // namespace assent::kafka::wire

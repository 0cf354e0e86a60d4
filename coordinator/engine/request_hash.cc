#include "coordinator/engine/request_hash.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <openssl/sha.h>

#include <string_view>

namespace assent {
namespace {

std::string Sha256(std::string_view bytes) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
         reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

// Maps have no order of their own: only the deterministic form is the same twice.
void AppendDeterministic(const google::protobuf::MessageLite& message, std::string& bytes) {
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  message.SerializeToCodedStream(&coded);
}

}  // namespace

std::string HashOfRequest(const v1::BeginRequest& request) {
  v1::BeginRequest work;
  *work.mutable_labels() = request.labels();
  std::string bytes = "begin:";
  AppendDeterministic(work, bytes);
  return Sha256(bytes);
}

std::string HashOfRequest(const v1::SubmitRequest& request) {
  v1::SubmitRequest labels;
  *labels.mutable_labels() = request.labels();
  std::string bytes = "submit:";
  AppendDeterministic(labels, bytes);
  for (const v1::SubmitBranch& branch : request.branches()) AppendDeterministic(branch, bytes.append("|"));
  return Sha256(bytes);
}

}  // namespace assent
